"""The arguments of `sweeper prepare doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Final

from pydantic import Field

from foundation.config.home import PathText, PathTextOrNone
from foundation.config.keyed import as_type, read_keyed
from foundation.config.parse import parse
from foundation.errors import ConfigError

USAGE: Final = """\
sweeper prepare doctor data=FOLDER [clip=MODEL] [key=value …]     what is amiss with pictures, and what to add

  data=      pictures with captions: a folder, an archive, all that data.path of training takes
  side=      the side that they will be trained at; smaller ones are named (default: 512)
  clip=      a CLIP, its folder or hub id, which tells captions that do not fit, and how alike pictures are
  trigger=   the phrase that every caption should have
  column=    the caption's column in a table, text by default
  sheet=     a new file, sheet.html: every picture with what is amiss of it, the worst first
  json=      a new file for the same in numbers

Blurred, small, narrow, dark and bright pictures, copies of one another, captions that are missing, alike, or do not
fit, how varied the set is, and what to add. It changes nothing.

  sweeper prepare doctor data=my/pictures side=1024
  sweeper prepare doctor data=my/pictures clip=openai/clip-vit-large-patch14 sheet=sheet.html json=doctor.json"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorRequest:
    """What the command line asks for; the fields are its keys, see `USAGE`."""

    data: PathText
    side: Annotated[int, Field(ge=16)] = 512
    clip: PathTextOrNone = ""
    trigger: str = ""
    column: Annotated[str, Field(min_length=1)] = "text"
    sheet: PathTextOrNone = ""
    json: PathTextOrNone = ""


KEYS: Final = {field.name: str(field.type) for field in fields(DoctorRequest)}


def read_request(arguments: Sequence[str]) -> DoctorRequest:
    """Read `key=value` arguments.

    Raises:
        ConfigError: with every mistake at once.
    """
    texts, problems = read_keyed(arguments, KEYS, ())
    try:
        request = parse(DoctorRequest, {key: as_type(text, KEYS[key]) for key, text in texts.items()})
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    if problems:
        raise ConfigError(problems)
    return request
