"""The arguments of `sweeper export`: its formats and keys, their meaning, their mistakes. Light, for help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from foundation.config.home import at_home
from foundation.config.keyed import is_keyed, read_keyed
from foundation.errors import ConfigError

_FILE_FORMATS: Final = ("diffusers", "kohya", "peft")
"""What `foundation.adapters.exports.FILE_FORMATS` has, which takes seconds to import."""
FULL: Final = "full"
MERGED: Final = "merged"
_PLACES: Final = ("out", "base", "folder")
KEYS: Final = (*_PLACES, "strength", "title")
USAGE: Final = """\
sweeper export STUDY|FOLDER|FILE [FORMAT …] [out=FOLDER] [key=value …]     a LoRA for other programs

  STUDY      a study's name: its best; or any checkpoint's folder, or a LoRA file
  FORMAT     kohya      one file for ComfyUI, Forge, A1111 and kohya's trainers, as far as they know kind and family
             full       one large file of all weights' differences, of every kind: for ComfyUI, Forge and A1111
             diffusers  one file for diffusers
             peft       a folder for each part, for PeftModel.from_pretrained
             merged     the whole pipeline with the LoRA in its weights, for anything that takes a base; alone it is
                        out= itself, beside others out/merged
             (default: kohya, diffusers and peft)
  out=       a new folder (default: FOLDER-export)
  strength=  of the merged pipeline (default: what the study chose, else 1 as trained)
  base=      what to merge into, or to tell differences from (default: what it was trained on)
  title=     what the file is called (default: the study's name)
  folder=    where studies are (default: multirun)

  sweeper export pencil
  sweeper export multirun/pencil/trials/0007/checkpoints/step-000120 kohya out=seventh"""


def parse(arguments: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    """Read a study, folder or file, formats (none named: none), and keys.

    Raises:
        ConfigError: with every mistake at once.
    """
    words = [argument for argument in arguments if not is_keyed(argument)]
    keys, problems = read_keyed([argument for argument in arguments if is_keyed(argument)], KEYS, (), _PLACES)
    known = [*_FILE_FORMATS, FULL, MERGED]
    problems += [f"a format must be one of {', '.join(known)}, got {word}" for word in words[1:] if word not in known]
    if not words:
        problems.append("name a study, a folder or a file first")
    if problems:
        raise ConfigError(problems)
    return at_home(words[0]), list(dict.fromkeys(words[1:])), keys
