"""The arguments of `sweeper export`: its formats and keys, their meaning, their mistakes. Light, for help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from foundation.config.home import at_home
from foundation.config.keyed import is_keyed, read_keyed
from foundation.errors import ConfigError
from foundation.hub import is_hub_id

_FILE_FORMATS: Final = ("diffusers", "kohya", "peft")
"""What `foundation.adapters.exports.FILE_FORMATS` has, which takes seconds to import."""
FULL: Final = "full"
MERGED: Final = "merged"
_PLACES: Final = ("out", "base", "folder")
RECIPES: Final = ("kohya", "onetrainer", "ai-toolkit", "simpletuner", "diffusers")
"""What `sweeper.trainers.registry.TRAINERS` has, which takes a while to import."""
_OF_RECIPES: Final = ("recipe", "out", "folder", "title")
_FOR_HUB: Final = ("license", "license_name", "license_link", "author", "push", "private")
_OF_HUB: Final = ("hub", *_FOR_HUB, "out", "folder", "title")
KEYS: Final = (*_PLACES, "strength", "title", "recipe", "hub", *_FOR_HUB)
_LICENSE: Final = re.compile(r"[a-z0-9][a-z0-9.-]*")
_OTHER: Final = "other"
USAGE: Final = """\
sweeper export STUDY|FOLDER|FILE [FORMAT …] [out=FOLDER] [key=value …]     a LoRA for other programs
sweeper export STUDY|FOLDER|FILE recipe=TRAINER [out=FOLDER]               its settings for another trainer
sweeper export STUDY hub=OWNER/NAME license=LICENSE [push=true]            a study's best as a model of the Hub

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
  hub=       owner/name: a folder ready for the Hub: card, files, pictures, ComfyUI's workflows; for a study's best
  license=   the LoRA's, by the Hub's identifiers (cc-by-4.0, openrail++ …); with other, license_name= and license_link=
  author=    who made it, for the card and the header
  push=      true: also put it there, with the token that HF_TOKEN in the environment holds
  private=   true: as a model that you alone see (default); false: for all
  out=       a new folder (default: FOLDER-export, FOLDER-TRAINER, FOLDER-hub)
  strength=  of the merged pipeline (default: what the study chose, else 1 as trained)
  base=      what to merge into, or to tell differences from (default: what it was trained on)
  title=     what the file is called (default: the study's name)
  folder=    where studies are (default: multirun)

  sweeper export pencil
  sweeper export multirun/pencil/trials/0007/checkpoints/step-000120 kohya out=seventh
  sweeper export pencil recipe=onetrainer
  sweeper export pencil hub=me/pencil license=cc-by-4.0"""


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
    if "hub" in keys:
        problems += _wrong_hub(words, keys)
    else:
        problems += [f"{name}= is for hub=owner/name, which is not there" for name in keys if name in _FOR_HUB]
    if not words:
        problems.append("name a study, a folder or a file first")
    if problems:
        raise ConfigError(problems)
    return at_home(words[0]), list(dict.fromkeys(words[1:])), keys


def _wrong_hub(words: Sequence[str], keys: Mapping[str, str]) -> Iterator[str]:
    if not is_hub_id(keys["hub"]):
        yield f"hub must be owner/name, as the Hub takes it, got {keys['hub']!r}"
    if words[1:]:
        yield f"hub writes what the Hub wants; leave {', '.join(words[1:])} out, or hub="
    given = keys.get("license", "")
    if not _LICENSE.fullmatch(given.rstrip("+")):
        yield f"hub wants license=, by the Hub's identifiers, as cc-by-4.0, apache-2.0 or other, got {given!r}"
    wanted = [name for name in ("license_name", "license_link") if given == _OTHER and not keys.get(name)]
    yield from (f"license=other wants {name}=, too" for name in wanted)
    for name in ("push", "private"):
        if keys.get(name, "true") not in ("true", "false"):
            yield f"{name} must be true or false, got {keys[name]!r}"
    yield from (f"hub takes no {name}=" for name in keys if name not in _OF_HUB)


def _wrong_recipe(words: Sequence[str], keys: Mapping[str, str]) -> Iterator[str]:
    if keys["recipe"] not in RECIPES:
        yield f"recipe must be one of {', '.join(RECIPES)}, got {keys['recipe']}"
    if words[1:]:
        yield f"recipe writes a config alone; leave {', '.join(words[1:])} out, or recipe="
    yield from (f"recipe takes no {name}=" for name in keys if name not in _OF_RECIPES)
