"""The arguments of `sweeper prepare`: its keys, their meaning, their mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Final

from pydantic import Field

from foundation.config.home import PathText, PathTextOrNone
from foundation.config.keyed import as_type, read_keyed
from foundation.config.parse import parse
from foundation.errors import ConfigError

USAGE = """\
sweeper prepare data=FOLDER out=FOLDER [key=value …]     captions, tags and sizes for a set of pictures
sweeper prepare doctor data=FOLDER [key=value …]         what is amiss with a set of pictures, and what to add

  data=      pictures, with captions or without: a folder, an archive, all that data.path of training takes
  out=       a new folder: the pictures with a .txt beside each, in the folders that they are in
  model=     what captions pictures that have no caption: an image-text-to-text model of transformers (BLIP, GIT,
             Florence-2, Qwen-VL, JoyCaption …), its folder or hub id; or a tagger's folder (WD14 and its kin:
             model.onnx and selected_tags.csv)
  prompt=    what the model is asked by, where it answers; of Florence-2 a task, <MORE_DETAILED_CAPTION>
  max_tokens= of a caption at most (60, or 200 of a model that answers)
  threshold= and character_threshold= from which on a tagger's tag counts (0.35 and 0.85)
  recaption= true: it captions all                 prefix=   words that its captions begin with
  strip=     tags to take out, as a,b              add=      tags to put at the end where they are missing
  trigger=   a phrase to put at the end where it is missing
  side=      shrink to so many pixels on the short side; smaller pictures stay as they are
  column=    the caption's column in a table, text by default
  apply=     true: do it. Without it, it shows what it would do and writes nothing.

Originals are never touched: what is written goes to out=, whole or not at all.

  sweeper prepare data=my/pictures out=my/prepared model=my/blip side=1024
  sweeper prepare data=my/pictures out=my/prepared model=my/Qwen2.5-VL-7B "prompt=Describe the drawing." apply=true
  sweeper prepare data=my/pictures out=my/prepared strip=1girl,solo "trigger=in my style" apply=true"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareRequest:
    """What the command line asks for; the fields are its keys, see `USAGE`."""

    data: PathText
    out: PathText
    model: PathTextOrNone = ""
    prompt: str = ""
    max_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.35
    character_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.85
    recaption: bool = False
    prefix: str = ""
    strip: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    trigger: str = ""
    side: Annotated[int, Field(ge=16)] | None = None
    column: Annotated[str, Field(min_length=1)] = "text"
    apply: bool = False

    def __post_init__(self) -> None:
        if not self.model and (self.recaption or self.prefix or self.prompt):
            raise ValueError("recaption, prefix and prompt are for a captioning model; name one by model=")


KEYS: Final = {field.name: str(field.type) for field in fields(PrepareRequest)}
"""The type of each, as it is written."""


def read_request(arguments: Sequence[str]) -> PrepareRequest:
    """Read `key=value` arguments.

    Raises:
        ConfigError: with every mistake at once.
    """
    texts, problems = read_keyed(arguments, KEYS, ())
    try:
        request = parse(PrepareRequest, {key: as_type(text, KEYS[key]) for key, text in texts.items()})
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    if problems:
        raise ConfigError(problems)
    return request
