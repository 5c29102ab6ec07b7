"""The arguments of `sweeper import`: its files and keys, their meaning, their mistakes. Light, for help."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.config.keyed import is_keyed, read_keyed
from foundation.errors import ConfigError

TRAINERS: Final = ("kohya", "onetrainer", "ai-toolkit", "simpletuner", "diffusers")
"""What `sweeper.trainers.registry.TRAINERS` has, which takes a while to import."""
KEYS: Final = ("folder", "name", "overwrite", "trainer")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
USAGE: Final = """\
sweeper import FILE … [name=NAME] [key=value …]     a config of another trainer as an experiment of yours

  FILE        kohya        a preset of kohya_ss (.json), a training and a dataset config of sd-scripts (.toml)
              onetrainer   a config or a preset (.json), and its concepts (.json)
              ai-toolkit   a job (.yaml, .json)
              simpletuner  config.json or config.env, and its data backends and LyCORIS config (.json)
              diffusers    the command that starts an example script (.sh)
  name=       what the experiment is called (default: as the first file)
  folder=     where your own options lie (default: conf); it becomes FOLDER/experiment/NAME.yaml
  trainer=    whose config it is, where that is not seen from it
  overwrite=  true replaces an experiment of yours of the same name

Their setting is the study's first trial; around it rates, rank and alpha are searched. What is not carried over is
listed, each field with its reason; docs/import.md has all fields.

  sweeper import my_preset.json name=mine
  sweeper import config.toml dataset.toml
  sweeper +experiment=mine data.path=my/pictures"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """What is wanted."""

    files: tuple[str, ...]
    """What is read, as it was written."""
    name: str
    """Of the experiment."""
    folder: Path
    """Where its group lies."""
    trainer: str
    """Whose the files are; empty where that is to be seen."""
    overwrite: bool
    """Whether a file that is there is replaced."""

    @property
    def file(self) -> Path:
        """Where the experiment is written."""
        return self.folder / "experiment" / f"{self.name}.yaml"


def parse(arguments: Sequence[str]) -> ImportRequest:
    """Read files and keys.

    Raises:
        ConfigError: with every mistake at once.
    """
    files = [argument for argument in arguments if not is_keyed(argument)]
    keyed = [argument for argument in arguments if is_keyed(argument)]
    keys, problems = read_keyed(keyed, KEYS, (), ("folder",))
    if not files:
        problems.append("name a config of another trainer first")
    name = keys.get("name", _name_of(files[0]) if files else "x")
    if not _NAME.fullmatch(name):
        problems.append(f"name must be letters, digits, hyphens and underscores, got {name!r}")
    trainer, overwrite = keys.get("trainer", ""), keys.get("overwrite", "false")
    if trainer and trainer not in TRAINERS:
        problems.append(f"trainer must be one of {', '.join(TRAINERS)}, got {trainer}")
    if overwrite not in ("true", "false"):
        problems.append(f"overwrite must be true or false, got {overwrite}")
    if problems:
        raise ConfigError(problems)
    return ImportRequest(
        files=tuple(files),
        name=name,
        folder=Path(keys.get("folder", "conf")),
        trainer=trainer,
        overwrite=overwrite == "true",
    )


def _name_of(file: str) -> str:
    """A file's name in letters that suit an option's."""
    plain = unicodedata.normalize("NFKD", Path(file).stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain)[:80].strip("-") or "imported"
