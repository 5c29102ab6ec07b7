"""`python -m sweeper.export`: a LoRA of a study as the files that other programs take."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from foundation.adapter_files import WEIGHTS_FILE
from foundation.console import complain, say
from foundation.durable import new_folder
from foundation.errors import SAID, AdapterError, ConfigError
from foundation.keyed import is_keyed, read_keyed
from foundation.quiet import quiet_libraries
from sweeper.strength import AS_TRAINED
from sweeper.winner import CONFIG, SCORES
from train.bases.folder import EMBEDDED
from train.exports import FILE_FORMATS, about_of, file_title, read_adapter, write_format

USAGE: Final = """\
python -m sweeper.export STUDY|FOLDER|FILE [FORMAT …] [out=FOLDER] [key=value …]     a LoRA for other programs

  STUDY      a study's name: its best; or any checkpoint's folder, or a LoRA file
  FORMAT     kohya      one file for A1111, Forge, ComfyUI and kohya's trainers, as far as they know the base's family
             diffusers  one file for diffusers
             peft       a folder for each part, for PeftModel.from_pretrained
             merged     the whole pipeline with the LoRA in its weights, for anything that takes a base
             (default: kohya, diffusers and peft)
  out=       a new folder (default: FOLDER-export)
  strength=  of the merged pipeline (default: what the study chose, else 1 as trained)
  base=      what to merge into (default: what it was trained on)
  title=     what the file is called (default: the study's name)
  folder=    where studies are (default: multirun)

  python -m sweeper.export pencil
  python -m sweeper.export multirun/pencil/trials/0007/checkpoints/step-000120 kohya out=seventh"""
MERGED: Final = "merged"
_KEYS: Final = ("out", "strength", "base", "title", "folder")
_TRIAL_CONFIGS: Final = (CONFIG, "config.json")
"""A trial's config as a study writes it, and as `python -m train` does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """A LoRA, and what lies beside it."""

    path: Path
    """The file, or its folder."""
    config: Mapping[str, Any]
    """The trial's; empty where it is not to be found."""
    strength: float
    """The study's choice; as trained where it made none."""

    @property
    def title(self) -> str:
        study = (self.config.get("study") or {}).get("name")
        return str(study or (self.path.stem if self.path.is_file() else self.path.resolve().name))


def main(arguments: Sequence[str]) -> int:
    """Export as told; 0, or 2 with one clear line for each mistake a person can put right."""
    if not arguments or {"-h", "--help", "help"} & set(arguments):
        say(USAGE)
        return 0 if arguments else 2
    try:
        say(*export(arguments))
    except SAID as error:
        complain(error)
        return 2
    return 0


def export(arguments: Sequence[str]) -> list[str]:
    """Write what is asked for, whole or not at all; a line for each thing written.

    Raises:
        UserError: the arguments, the LoRA or the base are wrong.
    """
    target, formats, keys = _parsed(arguments)
    source = _source(target, Path(keys.get("folder", "multirun")))
    default = source.path.with_suffix("") if source.path.is_file() else source.path
    out = Path(keys.get("out") or f"{default}-export").expanduser()
    if out.exists():
        raise ConfigError([f"out {out} exists already; name a new folder, nothing is overwritten"])
    title = file_title(keys.get("title", source.title))
    strength = _strength(keys["strength"]) if "strength" in keys else source.strength
    adapter = read_adapter(source.path)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = about_of(source.config, title=title, date=now)
    lines = []
    with new_folder(out) as fresh:
        for name in formats:
            if name == MERGED:
                _write_merged(source, keys.get("base"), strength, fresh / MERGED)
                lines.append(
                    f"{MERGED}: {out / MERGED} at strength {strength:g}, for DiffusionPipeline.from_pretrained"
                )
            else:
                written = write_format(name, adapter, fresh, about)
                lines.append(
                    f"{name}: {out / written.relative_to(fresh)}, for {FILE_FORMATS[name].programs(adapter, about)}"
                )
    return lines


def _parsed(arguments: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    words = [argument for argument in arguments if not is_keyed(argument)]
    keys, problems = read_keyed([argument for argument in arguments if is_keyed(argument)], _KEYS, ())
    known = [*FILE_FORMATS, MERGED]
    problems += [f"a format must be one of {', '.join(known)}, got {word}" for word in words[1:] if word not in known]
    if not words:
        problems.append("name a study, a folder or a file first")
    if problems:
        raise ConfigError(problems)
    return words[0], list(dict.fromkeys(words[1:])) or list(FILE_FORMATS), keys


def _strength(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError([f"strength must be a number, got {text!r}"]) from error


def _source(target: str, studies: Path) -> _Source:
    """Where a LoRA is: a file, its folder, a study's folder, or a study by its name."""
    given = Path(target).expanduser()
    places = [given, given / "best", studies / target / "best"]
    path = next((each for each in places if each.is_file() or (each / WEIGHTS_FILE).is_file()), None)
    if path is None:
        raise AdapterError(
            f"there is no LoRA in {given} and no study {target} with a best one in {studies}/; name a study, a folder "
            f"with {WEIGHTS_FILE}, or a file"
        )
    folder = path.parent if path.is_file() else path
    scores = _read(folder / SCORES) if (folder / SCORES).is_file() else {}
    return _Source(path=path, config=_config(folder.resolve()), strength=float(scores.get("strength", AS_TRAINED)))


def _config(folder: Path) -> dict[str, Any]:
    """The config beside a LoRA, or of the trial whose checkpoint it is."""
    for place in (folder, folder.parent, folder.parent.parent):
        for name in _TRIAL_CONFIGS:
            if (place / name).is_file():
                return _read(place / name)
    return {}


def _read(file: Path) -> dict[str, Any]:
    """A mapping in YAML; JSON is YAML, too."""
    try:
        value = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file} is damaged: {' '.join(str(error).split())}"]) from error
    return value if isinstance(value, dict) else {}


def _write_merged(source: _Source, base: str | None, strength: float, folder: Path) -> None:
    location = base or (source.config.get("base") or {}).get("path")
    if not location:
        raise ConfigError([f"nothing beside {source.path} tells its base; name it: base=FOLDER or a hub id"])
    quiet_libraries()  # before they are imported: some speak at import
    from train.merge import pipeline

    pipe = pipeline.open_pipeline(str(EMBEDDED.get(location, location)))
    pipeline.merge_all(pipe, [(read_adapter(source.path), strength)])
    pipeline.write_pipeline(pipe, folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
