"""Where a person's own options of the config groups lie, beside ours in `conf/`.

In this order, the first that has an option counts:

    --config-dir DIR, -cd DIR                        as often as needed
    hydra.searchpath=[file://DIR,pkg://package.conf]
    ./conf                                           of the folder that one works in, unless it is our own
    packages that are installed, by an entry point of `sweeper.configs` whose value is the package of the YAML

Our own options come before all of these. A file that would take the place of one of ours is refused in a folder that
the command names, and passed over with a line elsewhere: there it may be meant for another program. Nothing is
imported to find a package's folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from foundation.config.installed import entry_points_of
from foundation.console import say
from foundation.errors import ConfigError

CONF: Final = Path(__file__).resolve().parents[2] / "conf"
"""The folder of our YAML, next to the packages."""
CONFIGS: Final = "sweeper.configs"
"""The group of entry points that name packages of YAML."""
FLAGS: Final = ("--config-dir", "-cd")
SEARCHPATH: Final = "hydra.searchpath"


@dataclass(slots=True)
class Searched:
    """What this process searches beside our own folder; a command's arguments settle it."""

    folders: tuple[Path, ...] = ()


searched: Final = Searched()


def folders() -> tuple[Path, ...]:
    """The folders to search after our own, in this order."""
    return tuple(dict.fromkeys((*searched.folders, *_of_packages(tuple(sys.path)))))


def search_presets(arguments: Sequence[str]) -> list[str]:
    """Search the folders that a command line names, and `./conf`, from now on; return its other arguments.

    Raises:
        ConfigError: a line for each that is no folder, or that holds an option of the name of one of ours.
    """
    named, others, problems = _named_folders(arguments)
    taken = [each for folder in named for each in _taken_names(folder)]
    problems += [f"{file}: {choice} is built in; give yours another name" for file, choice in taken]
    if problems:
        raise ConfigError(problems)
    own = Path("conf").resolve()
    beside = (own,) if own.is_dir() and own != CONF else ()
    searched.folders = (*named, *beside)
    passed_over = [each for folder in folders() if folder not in named for each in _taken_names(folder)]
    say(*(f"note: {file} is not read: {choice} is built in" for file, choice in passed_over), to=sys.stderr)
    return others


def _named_folders(arguments: Sequence[str]) -> tuple[list[Path], list[str], list[str]]:
    """The folders that arguments name, the other arguments, and what is wrong."""
    found, paths, others, problems = list[Path](), list[Path](), list[str](), list[str]()
    rest = iter(arguments)
    for argument in rest:
        head, equals, value = argument.partition("=")
        try:
            if head in FLAGS:
                found.append(_folder(value if equals else next(rest, ""), head))
            elif head.lstrip("+") == SEARCHPATH:
                paths = [_location(text) for text in _folders_of(argument)]
            else:
                others.append(argument)
        except ValueError as error:
            problems.append(f"{argument}: {error}")
    return [*found, *paths], others, problems


def _folders_of(argument: str) -> list[str]:
    try:
        value = OverridesParser.create().parse_overrides([argument])[0].value()
    except HydraException:
        value = None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"a list is wanted: {SEARCHPATH}=[file://FOLDER,pkg://PACKAGE]")
    return value


def _location(text: str) -> Path:
    scheme, separator, rest = text.rpartition("://")
    if scheme == "pkg":
        if (folder := package_folder(rest)) is None:
            raise ValueError(f"{text} is no package with a folder")
        return folder
    if separator and scheme != "file":
        raise ValueError(f"{text} is neither file:// nor pkg://")
    return _folder(rest, SEARCHPATH)


def _folder(text: str, what: str) -> Path:
    if not text:
        raise ValueError(f"{what} wants a folder")
    folder = Path(text).expanduser().resolve()
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    return folder


def package_folder(name: str) -> Path | None:
    """The folder of a package, found without importing it or its parents; None where there is none."""
    places: list[str] = []
    for part in name.replace("/", ".").split("."):
        if not part.isidentifier():
            return None
        found = PathFinder.find_spec(part, places) if places else find_spec(part)
        if found is None or not found.submodule_search_locations:
            return None
        places = list(found.submodule_search_locations)
    return next((Path(place).resolve() for place in places if Path(place).is_dir()), None)


@lru_cache
def _of_packages(_: tuple[str, ...]) -> tuple[Path, ...]:
    """The folders of installed packages' YAML, with what is searched for modules.

    Raises:
        ConfigError: one names a package that is not there.
    """
    found = []
    for each in entry_points_of(CONFIGS).values():
        if (folder := package_folder(each.value)) is None:
            raise ConfigError([f"{each.origin} names {each.value}, which is no package with a folder"])
        found.append(folder)
    return tuple(found)


def _taken_names(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files of a folder that have the name of one of ours and hold something else, each with its `group=option`."""
    for group in sorted(CONF.iterdir()):
        for file in sorted((folder / group.name).rglob("*.yaml")) if group.is_dir() else ():
            ours = CONF / (name := file.relative_to(folder))
            if ours.is_file() and ours.read_bytes() != file.read_bytes():
                option = name.with_suffix("").relative_to(group.name).as_posix()
                yield file, f"{group.name}={option}"
