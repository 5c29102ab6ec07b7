"""The arguments of `sweeper export`: its formats and keys, their meaning, their mistakes. Light, for help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from foundation.config.home import at_home
from foundation.config.keyed import is_keyed, read_keyed
from foundation.errors import ConfigError

_FILE_FORMATS: Final = ("diffusers", "kohya", "peft")
"""What `foundation.adapters.exports.FILE_FORMATS` has, which takes seconds to import."""
FULL: Final = "full"
MERGED: Final = "merged"
_PLACES: Final = ("out", "base", "folder")
RECIPES: Final = ("kohya", "onetrainer", "ai-toolkit", "simpletuner", "diffusers")
"""What `sweeper.trainers.registry.TRAINERS` has, which takes a while to import."""
_OF_RECIPES: Final = ("recipe", "out", "folder", "title")
KEYS: Final = (*_PLACES, "strength", "title", "recipe")
USAGE: Final = """\
sweeper export STUDY|FOLDER|FILE [FORMAT …] [out=FOLDER] [key=value …]     a LoRA for other programs
sweeper export STUDY|FOLDER|FILE recipe=TRAINER [out=FOLDER]               its settings for another trainer

  STUDY      a study's name: its best; or any checkpoint's folder, or a LoRA file
  FORMAT     kohya      one file for ComfyUI, Forge, A1111 and kohya's trainers, as far as they know kind and family
             full       one large file of all weights' differences, of every kind: for ComfyUI, Forge and A1111
             diffusers  one file for diffusers
             peft       a folder for each part, for PeftModel.from_pretrained
             merged     the whole pipeline with the LoRA in its weights, for anything that takes a base; alone it is
                        out= itself, beside others out/merged
             (default: kohya, diffusers and peft)
  recipe=    kohya, onetrainer, ai-toolkit, simpletuner or diffusers: its config in place of files; what is not the
             same there is said, setting by setting
  out=       a new folder (default: FOLDER-export, FOLDER-TRAINER)
  strength=  of the merged pipeline (default: what the study chose, else 1 as trained)
  base=      what to merge into, or to tell differences from (default: what it was trained on)
  title=     what the file is called (default: the study's name)
  folder=    where studies are (default: multirun)

  sweeper export pencil
  sweeper export multirun/pencil/trials/0007/checkpoints/step-000120 kohya out=seventh
  sweeper export pencil recipe=onetrainer"""


def parse(arguments: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    """Read a study, folder or file, formats (none named: none), and keys.

    Raises:
        ConfigError: with every mistake at once.
    """
    words = [argument for argument in arguments if not is_keyed(argument)]
    keys, problems = read_keyed([argument for argument in arguments if is_keyed(argument)], KEYS, (), _PLACES)
    known = [*_FILE_FORMATS, FULL, MERGED]
    problems += [f"a format must be one of {', '.join(known)}, got {word}" for word in words[1:] if word not in known]
    if "recipe" in keys:
        problems += _wrong_recipe(words, keys)
    if not words:
        problems.append("name a study, a folder or a file first")
    if problems:
        raise ConfigError(problems)
    return at_home(words[0]), list(dict.fromkeys(words[1:])), keys


def _wrong_recipe(words: Sequence[str], keys: Mapping[str, str]) -> Iterator[str]:
    if keys["recipe"] not in RECIPES:
        yield f"recipe must be one of {', '.join(RECIPES)}, got {keys['recipe']}"
    if words[1:]:
        yield f"recipe writes a config alone; leave {', '.join(words[1:])} out, or recipe="
    yield from (f"recipe takes no {name}=" for name in keys if name not in _OF_RECIPES)
