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

  data=      pictures, with captions or without: a folder, an archive, all that data.path of training takes
  out=       a new folder: the pictures with a .txt beside each, in the folders that they are in
  model=     a captioning model (BLIP, BLIP-2, GIT): its folder or hub id; it captions what has no caption
  recaption= true: it captions all                 prefix=   words that its captions begin with
  strip=     tags to take out, as a,b              add=      tags to put at the end where they are missing
  trigger=   a phrase to put at the end where it is missing
  side=      shrink to so many pixels on the short side; smaller pictures stay as they are
  column=    the caption's column in a table, text by default
  apply=     true: do it. Without it, it shows what it would do and writes nothing.

Originals are never touched: what is written goes to out=, whole or not at all.

  sweeper prepare data=my/pictures out=my/prepared model=my/blip side=1024
  sweeper prepare data=my/pictures out=my/prepared strip=1girl,solo "trigger=in my style" apply=true"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareRequest:
    """What the command line asks for; the fields are its keys, see `USAGE`."""

    data: PathText
    out: PathText
    model: PathTextOrNone = ""
    recaption: bool = False
    prefix: str = ""
    strip: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    trigger: str = ""
    side: Annotated[int, Field(ge=16)] | None = None
    column: Annotated[str, Field(min_length=1)] = "text"
    apply: bool = False

    def __post_init__(self) -> None:
        if not self.model and (self.recaption or self.prefix):
            raise ValueError("recaption and prefix are for a captioning model; name one by model=")


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
