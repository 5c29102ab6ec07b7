"""The arguments of `sweeper eval`: its keys, their meaning, their mistakes. Light, so mistakes show at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from eval.metrics.registry import check_chosen
from eval.spec import MetricName, Sampler
from foundation.bases.spec import BaseSpec
from foundation.config.home import PathText, PathTextOrNone
from foundation.config.keyed import as_type, read_keyed
from foundation.config.parse import parse as parse_as
from foundation.data.spec import DataSpec
from foundation.errors import ConfigError

USAGE = """\
sweeper eval lora=FILE|FOLDER [lora=…] [key=value …]     judge a LoRA against its base

  lora=       the LoRA: a .safetensors file or a folder with one, whoever wrote it (docs/exports.md); a folder or a
              pattern (runs/*.safetensors) of several are judged one after another by the same pictures, in the order
              of steps or epochs that kohya's scripts, OneTrainer, ai-toolkit, SimpleTuner, diffusers or this project
              put into their names, and it says which is best, at which strength, and from where they are
              overtrained; give it as often as needed
  to_end=     true: judge also what comes after two in a row that are overfit, or clearly past the best
  strengths=  0.6,0.8,1.2    where else the leading ones of several are judged, beside 1 as trained; none: nowhere
  report=FILE.html  also write a page with all of it, curves and pictures, in one file to be sent
  sheet=FILE.png    also write a sheet of pictures: strength × step × prompt
  base=       what it belongs to: pocket (default), a pipeline's folder, a hub id, or a .safetensors checkpoint with
              base.family=; docs/families.md says of which families
  base.KEY=   other settings of training's base group: base.family, base.parts, base.t5, base.quantization,
              base.train_guidance. base.path, base.resolution and base.max_tokens are also called base=, resolution=
              and max_tokens=
  data=       what it was trained on: a folder or archive of captioned images, as data.path of training takes it
  held_out=   such pictures it was not trained on; without it those of data= that training holds out
  data.KEY=   any other setting of training's data group, so that pictures are read as they were for training:
              data.caption_column, data.skip_broken, data.find_copies, data.mask … (docs/reference.md). data.path,
              data.validation_path, data.trigger, data.holdout and data.holdout_at_least are also called data=,
              held_out=, trigger=, holdout= and holdout_at_least=
  prompt=     what to draw, {trigger} where the trigger goes; give it as often as needed (default: held-out captions)
  unrelated=  a prompt that asks for nothing of the kind; two or more to measure drift
  look_for_copies= 4    captions of pictures of data= that are drawn, too: what was learned by heart comes back
  trigger=    the trigger phrase; captions that lack it get it at their end, as in training; it is left out where
              prompt match is measured
  class_word=   what stands for it there (a subject's class: backpack)
  clip=       pocket (default), or a CLIP or SigLIP folder or hub id
  image_features=   a DINOv2 to compare pictures with one another (default: the CLIP)
  style_features=   an eye for style alone, such as CSD (docs/judge.md; default: as image_features)
  identity_features= an eye for faces: a folder of ONNX models (docs/judge.md; with data.kind=face)
  seeds= 4    pictures a prompt       steps= 25    denoising steps     guidance= 5     guidance scale
  metric=     a metric of an installed package that is measured, too (docs/extending.md); as often as needed
  sampler= own, ddim or dpm++, as eval.sampler       guidance_every= 1, as eval.guidance_every
  resolution= side of the pictures in pixels, as base.resolution of training (default: the pipeline's own)
  max_tokens= tokens of a caption that T5 or a language model reads, as base.max_tokens (default: the pipeline's own)
  rows= 32    denoiser rows at once   device=      cpu, cuda (default: what is there)
  json=FILE   also write the numbers there       samples=FOLDER   also write the pictures there

  sweeper eval lora=multirun/pencil/best "prompt=a red cup, in pencil style" seeds=2
  sweeper eval lora=output/mine base=sd.safetensors base.family=stable_diffusion data=my/pictures
  sweeper eval lora=mine.safetensors base=my/base data=my/pictures trigger="in my style" json=mine.json"""

_REPEATED = ("lora", "prompt", "unrelated", "metric")
_ANY_SIZE = 512
"""Stands for a resolution where none was given, and is not looked at."""
_NOT_DRAWN = ("drawn", "num_train", "num_validation")
_NOT_OF_BASE = ("name", "lr_factor", "guidance_scale", "sample_steps")
"""What `sweeper eval` has other keys for, or does without."""
_DATA = {f"data.{field.name}": str(field.type) for field in fields(DataSpec) if field.name not in (*_NOT_DRAWN, "name")}
_BASE = {f"base.{field.name}": str(field.type) for field in fields(BaseSpec) if field.name not in _NOT_OF_BASE}
_SHORT: Final = {
    "base": "base.path",
    "resolution": "base.resolution",
    "max_tokens": "base.max_tokens",
    "data": "data.path",
    "held_out": "data.validation_path",
    "holdout": "data.holdout",
    "holdout_at_least": "data.holdout_at_least",
    "trigger": "data.trigger",
}


USUAL_STRENGTHS: Final = (0.6, 0.8, 1.2)


def _numbers(text: object) -> object:
    """Numbers of `0.6,0.8`; none of `none`."""
    if not isinstance(text, str):
        return text
    return () if text == "none" else [each.strip() for each in text.split(",")]


Strengths = Annotated[
    tuple[Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)], ...] | None, BeforeValidator(_numbers)
]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalRequest:
    """What the command line asks for; the fields are its keys, see `USAGE`."""

    lora: Annotated[tuple[PathText, ...], Field(min_length=1)]
    base: BaseSpec
    """What it belongs to."""
    own_size: bool = True
    """Whether its pictures are as large as its pipeline draws them by itself, whatever `base.resolution` is."""
    data: DataSpec | None = None
    """The pictures; None for none. Where only held-out ones are named, these are its `path`."""
    trained_on: bool = True
    """Whether `data.path` is what it was trained on."""
    trigger: str = ""
    prompt: tuple[str, ...] = ()
    unrelated: tuple[str, ...] = ()
    look_for_copies: Annotated[int, Field(ge=0)] = 4
    class_word: str = ""
    clip: PathText = "pocket"
    image_features: PathTextOrNone = ""
    style_features: PathTextOrNone = ""
    identity_features: PathTextOrNone = ""
    metric: tuple[MetricName, ...] = ()
    seeds: Annotated[int, Field(ge=1)] = 4
    steps: Annotated[int, Field(ge=1)] = 25
    guidance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    sampler: Sampler = "own"
    guidance_every: Annotated[int, Field(ge=1)] = 1
    rows: Annotated[int, Field(ge=1)] = 32
    device: str | None = None
    to_end: bool = False
    strengths: Strengths = None
    """Beside 1, of the leading ones of several; None where nothing was said: `USUAL_STRENGTHS`."""
    report: PathText | None = None
    sheet: PathText | None = None
    json: PathText | None = None
    samples: PathText | None = None

    @property
    def is_series(self) -> bool:
        """Whether it asks of a single LoRA what is told of all that a training saved."""
        return self.strengths is not None or self.report is not None or self.sheet is not None


_OWN: Final = {field.name for field in fields(EvalRequest)} - {"trained_on", "own_size"}
KEYS: Final = frozenset(_OWN | _SHORT.keys() | _DATA.keys() | _BASE.keys())


def parse_request(arguments: Sequence[str]) -> EvalRequest:
    """Read `key=value` arguments.

    Raises:
        ConfigError: with every mistake at once; one of a package by itself.
    """
    drawn = [argument for argument in arguments if argument.partition("=")[0].removeprefix("data.") in _NOT_DRAWN]
    others = [argument for argument in arguments if argument not in drawn]
    values, problems = read_keyed(others, KEYS, _REPEATED)
    problems += [f"{each}: what is drawn for training lies in multirun/cache; name its folder: data=" for each in drawn]
    said = _config_values(values, problems)
    values |= _pictures(said, problems) | _base(said, problems)
    if "lora" not in values:
        problems.append("lora must be given: lora=FILE or lora=FOLDER")
        values["lora"] = ["missing"]
    try:
        request = TypeAdapter(EvalRequest).validate_python(values)
    except ValidationError as error:
        for problem in error.errors():
            problems.append(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}, got {problem['input']!r}")
    if problems:
        raise ConfigError(problems)
    check_chosen(request.metric)
    return request


def _config_values(values: dict[str, Any], problems: list[str]) -> dict[str, str]:
    """What is said of pictures and base, by the config's names; takes their keys from `values`."""
    said: dict[str, str] = {}
    for key in [key for key in values if key in _SHORT or key in _DATA or key in _BASE]:
        name = _SHORT.get(key, key)
        if name in said:
            problems.append(f"{key} and {name if key != name else 'its short name'} are the same; give one of them")
        said[name] = _unquote(values.pop(key))
    return said


def _base(said: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """`base` and `own_size` of an `EvalRequest`; adds what is wrong."""
    own = {name.removeprefix("base."): as_type(text, _BASE[name]) for name, text in said.items() if name in _BASE}
    path = str(own.get("path", "pocket"))
    try:
        base = parse_as(BaseSpec, {"name": path, "path": path, "resolution": _ANY_SIZE} | own, where="base")
    except ConfigError as error:
        problems += error.problems
        base = BaseSpec(name=path, path=path, resolution=_ANY_SIZE)
    return {"base": base, "own_size": "resolution" not in own}


def _pictures(said: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """`data`, `trained_on` and `trigger` of an `EvalRequest`; adds what is wrong."""
    said = {name: text for name, text in said.items() if name not in _BASE}
    trigger = said.get("data.trigger", "")
    held_out_alone = "data.path" not in said and "data.validation_path" in said
    if held_out_alone:
        said["data.path"] = said.pop("data.validation_path")
    if "data.path" not in said:
        idle = sorted(said.keys() - {"data.trigger"})
        problems += [f"{key} says how pictures are read, but there are none; give data=FOLDER" for key in idle]
        return {"trigger": trigger}
    fields_of_data = {name.removeprefix("data."): as_type(text, _DATA[name]) for name, text in said.items()}
    try:
        data = parse_as(DataSpec, {"name": "data", **fields_of_data}, where="data")
    except ConfigError as error:
        problems += error.problems
        return {"trigger": trigger}
    return {"data": data, "trained_on": not held_out_alone, "trigger": trigger}


def _unquote(text: str) -> str:
    """A value without the quotes that the other commands' grammar wants around some."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1].replace(f"\\{text[0]}", text[0]) if quoted else text
