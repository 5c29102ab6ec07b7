"""What `python -m eval` is asked for: its keys, their meaning, their mistakes. Light, so mistakes show at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from eval.spec import Sampler
from foundation.errors import ConfigError
from foundation.folder import HOLDOUT, MIN_HELD_OUT
from foundation.keyed import read_keyed

USAGE = """\
python -m eval lora=FILE|FOLDER [key=value …]     judge a LoRA against its base

  lora=       the LoRA: a .safetensors file or a folder with one; diffusers' or kohya's names
  base=       pipeline it belongs to: pocket (default), a folder, a hub id; docs/families.md says of which families
  data=       what it was trained on: a folder or archive of captioned images, as data.path of training takes it
  held_out=   such pictures it was not trained on; without it those of data= that training holds out:
              holdout= 0.2, the share, and holdout_at_least= 3, as data.holdout and data.holdout_at_least of training
  prompt=     what to draw, {trigger} where the trigger goes; give it as often as needed (default: held-out captions)
  unrelated=  a prompt that asks for nothing of the kind; two or more to measure drift
  trigger=    the trigger phrase; captions that lack it get it at their end, as in training; it is left out where
              prompt match is measured
  stand_in=   what stands for it there (a subject's class: backpack)
  clip=       pocket (default), or a CLIP or SigLIP folder or hub id
  image_features=   a DINOv2 to compare pictures with one another (default: the CLIP)
  style_features=   an eye for style alone, such as CSD (docs/judge.md; default: as image_features)
  seeds= 4    pictures a prompt       steps= 25    denoising steps     guidance= 5     guidance scale
  sampler= own, ddim or dpm++, as eval.sampler       guidance_every= 1, as eval.guidance_every
  resolution= side of the pictures in pixels, as base.resolution of training (default: the pipeline's own)
  max_tokens= tokens of a caption that T5 or a language model reads, as base.max_tokens (default: the pipeline's own)
  rows= 32    denoiser rows at once   device=      cpu, cuda (default: what is there)
  json=FILE   also write the numbers there       samples=FOLDER   also write the pictures there"""

_REPEATED = ("prompt", "unrelated")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asks for; the fields are its keys, see `USAGE`."""

    lora: Annotated[str, Field(min_length=1)]
    base: str = "pocket"
    data: str | None = None
    held_out: str | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] = HOLDOUT
    holdout_at_least: Annotated[int, Field(ge=1)] = MIN_HELD_OUT
    prompt: tuple[str, ...] = ()
    unrelated: tuple[str, ...] = ()
    trigger: str = ""
    stand_in: str = ""
    clip: str = "pocket"
    image_features: str = ""
    style_features: str = ""
    seeds: Annotated[int, Field(ge=1)] = 4
    steps: Annotated[int, Field(ge=1)] = 25
    guidance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    sampler: Sampler = "own"
    guidance_every: Annotated[int, Field(ge=1)] = 1
    resolution: Annotated[int, Field(ge=16, multiple_of=8)] | None = None
    max_tokens: Annotated[int, Field(ge=16, le=1024)] | None = None
    rows: Annotated[int, Field(ge=1)] = 32
    device: str | None = None
    json: str | None = None
    samples: str | None = None


def parse(arguments: Sequence[str]) -> Request:
    """Read `key=value` arguments.

    Raises:
        ConfigError: with every mistake at once.
    """
    known = {field.name for field in fields(Request)}
    values, problems = read_keyed(arguments, known, _REPEATED)
    if "lora" not in values:
        problems.append("lora must be given: lora=FILE or lora=FOLDER")
        values["lora"] = "missing"
    try:
        request = TypeAdapter(Request).validate_python(values)
    except ValidationError as error:
        for problem in error.errors():
            problems.append(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}, got {problem['input']!r}")
    if problems:
        raise ConfigError(problems)
    return request
