"""The arguments of `sweeper merge`: its keys, their meaning, their mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

from foundation.adapters.merge.recipe import Recipe
from foundation.config.home import PathText
from foundation.config.keyed import read_keyed
from foundation.errors import ConfigError

USAGE = """\
sweeper merge VERB lora=FILE|FOLDER … out=FOLDER [key=value …]     LoRAs after training

  merge     write the base with LoRAs in its own weights, a pipeline that needs none
  unmerge   take LoRAs out of such a pipeline (base=) again; the same LoRAs, strengths and order
  combine   make one LoRA out of several
  resize    give a LoRA another rank, the best there is; says how much of it is kept

  lora=       a .safetensors file or its folder, whoever wrote it (docs/exports.md); as often as needed
  weight=     one for each lora, in their order: strength (merge, unmerge) or weight (combine); default 1
  base=       pocket (default), a pipeline folder or a hub id: what the LoRAs belong to (merge, unmerge)
  precision=  of the merged weights: fp32 (default), bf16, fp16
  method=     combine by linear (default), cat, svd, ties, dare_linear, dare_ties, magnitude_prune,
              ties_svd, dare_linear_svd, dare_ties_svd, magnitude_prune_svd
  rank=       the rank that resize gives; of what ends in svd (default: the highest of those combined)
  density= .5 share that ties, dare and magnitude_prune keep     majority=total|frequency   how ties elects signs
  seed= 0     of dare's choice                                   title=   what the result is called (default: as out)
  format=     diffusers (default), kohya, peft; as often as needed (combine, resize)

  sweeper merge merge lora=multirun/pencil/best weight=0.8 out=multirun/pencil/merged
  sweeper merge combine lora=a lora=b weight=0.7 weight=0.5 method=svd rank=16 out=both format=kohya
  sweeper merge resize lora=multirun/pencil/best rank=4 out=small"""

Verb = Literal["merge", "unmerge", "combine", "resize"]
_REPEATED = ("lora", "weight", "format")
_RECIPE = {field.name for field in fields(Recipe)}


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRequest:
    """What the command line asks for; the fields are its keys, see `USAGE`."""

    verb: Verb
    lora: Annotated[tuple[PathText, ...], Field(min_length=1)]
    out: PathText
    weight: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    base: PathText = "pocket"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    recipe: Recipe = Recipe()  # noqa: RUF009, it is frozen
    format: tuple[Literal["diffusers", "kohya", "peft"], ...] = ("diffusers",)
    title: str = ""

    @property
    def weights(self) -> tuple[float, ...]:
        """One for each LoRA."""
        return self.weight or (1.0,) * len(self.lora)


KEYS: Final = frozenset({field.name for field in fields(MergeRequest)} | _RECIPE) - {"verb", "recipe"}


def parse_merge(arguments: Sequence[str]) -> MergeRequest:
    """Read a verb and `key=value` arguments.

    Raises:
        ConfigError: with every mistake at once.
    """
    problems: list[str] = []
    verb = arguments[0]
    if verb not in get_args(Verb):
        problems.append(f"the first word must be one of {', '.join(get_args(Verb))}, got {verb!r}")
    values = {"verb": verb} | _values(arguments[1:], problems)
    if problems:
        raise ConfigError(problems)
    try:
        request = TypeAdapter(MergeRequest).validate_python(values)
    except ValidationError as error:
        raise ConfigError([_words(problem) for problem in error.errors()]) from error
    _check(request)
    return request


def _values(arguments: Sequence[str], problems: list[str]) -> dict[str, Any]:
    values, wrong = read_keyed(arguments, KEYS, _REPEATED)
    problems += wrong
    if recipe := {key: values.pop(key) for key in sorted(_RECIPE & values.keys())}:
        values["recipe"] = recipe
    problems += [f"{key} must be given: {key}=FOLDER" for key in ("lora", "out") if key not in values]
    return values


def _words(problem: Any) -> str:
    where = ".".join(str(each) for each in problem["loc"]).removeprefix("recipe.")
    return f"{where}: {problem['msg']}, got {problem['input']!r}"


def _check(request: MergeRequest) -> None:
    problems = []
    if len(request.weights) != len(request.lora):
        problems.append(f"weight must be given for each lora: {len(request.lora)} lora=, {len(request.weight)} weight=")
    if request.verb == "resize" and (request.recipe.rank is None or len(request.lora) != 1):
        problems.append("resize takes one lora= and the rank= that it shall have")
    if Path(request.out).exists():
        problems.append(f"out {request.out} exists already; name a new folder, nothing is overwritten")
    if problems:
        raise ConfigError(problems)
