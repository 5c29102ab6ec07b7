"""What a batch is told: a file of studies, or keys whose values are studies each, as one list of studies."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from foundation.config.compose import is_option, parse_overrides
from foundation.config.home import at_home
from foundation.config.keyed import quote
from foundation.errors import ConfigError
from foundation.files.documents import as_mapping, read_yaml
from sweeper.api.settings import Sweep, overrides_of
from sweeper.notify import KEY as NOTIFY
from sweeper.notify import set_urls
from sweeper.records.study_names import check_study_name

KEYS: Final = ("each", "at_once", "devices", "folder", "name", NOTIFY)
_OWN: Final = ("each", "at_once", "devices", "folder", "name")
_OF_FILE: Final = ("common", "studies", "at_once", "devices", "folder", "name", "notify", NOTIFY)
_SWEEP: Final = re.compile(r"(choice|range|interval|tag|glob)\(.*\)", re.DOTALL)
_NAME: Final = re.compile(r"[\w.-]{1,80}", re.ASCII)
_MOST_AT_ONCE: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One study of a batch."""

    name: str
    overrides: tuple[str, ...]
    """With its name and its folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRequest:
    """What is wanted."""

    name: str
    folder: Path
    """Of the studies."""
    entries: tuple[Entry, ...]
    at_once: int
    devices: tuple[str, ...]
    """To be dealt; none: all that are there, found when they are needed."""

    @property
    def own_folder(self) -> Path:
        """Where the summary and what studies say go."""
        return self.folder / "batches" / self.name


def read_request(arguments: Sequence[str]) -> BatchRequest:
    """Read a command line, from which addresses of messengers are taken already.

    Raises:
        ConfigError: with every mistake at once; those of the studies' settings are not looked for.
    """
    files = [each for each in arguments if "=" not in each]
    own = [each for each in arguments if each.partition("=")[0] in _OWN]
    common = [each for each in arguments if "=" in each and each not in own]
    if len(files) > 1:
        raise ConfigError([f"name one file of studies, got {', '.join(files)}"])
    keys = _keys(own)
    each = keys.pop("each", [])
    if bool(files) == bool(each):
        raise ConfigError(["name a file of studies, or by each= the setting of which every value is a study"])
    if files:
        file = Path(at_home(files[0]))
        keys, studies = _read_file(file, keys)
        name = keys.get("name") or _plain(file.stem)
        named = {study: [*studies[study], *common] for study in studies}
    else:
        name = keys.get("name") or "batch"
        named = _each(each, common)
    return _request(name, keys, named)


def _keys(own: Sequence[str]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    problems = []
    for argument in own:
        key, _, value = argument.partition("=")
        if key == "each":
            keys.setdefault(key, []).extend(part for part in value.strip("[]").split(",") if part)
        elif key in keys:
            problems.append(f"{key} must be given once, got it again as {argument!r}")
        else:
            keys[key] = value.strip("[]").split(",") if key == "devices" else value
    if problems:
        raise ConfigError(problems)
    return keys


def _read_file(file: Path, keys: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The file's keys, behind those of the command line, and its studies with what is common to them."""
    try:
        stored = as_mapping(read_yaml(file, ConfigError), str(file), ConfigError)
    except FileNotFoundError:
        raise ConfigError([f"there is no file {file}; name a file of studies, YAML with `studies:`"]) from None
    problems = [f"{file}: {key} is unknown; it takes {', '.join(_OF_FILE)}" for key in stored if key not in _OF_FILE]
    common = _settings(stored.get("common") or {}, f"{file}: common", problems)
    named = stored.get("studies")
    if not isinstance(named, Mapping) or not named:
        problems.append(f"{file}: studies must name a study or more, each with its settings, got {_kind(named)}")
        named = {}
    studies = {
        str(name): [*common, *_settings(value or {}, f"{file}: {name}", problems)] for name, value in named.items()
    }
    urls = stored.get(NOTIFY) or (stored.get("notify") or {}).get("urls") or []
    urls = [urls] if isinstance(urls, str) else urls
    if not isinstance(urls, list) or not all(isinstance(each, str) for each in urls):
        problems.append(f"{file}: {NOTIFY} must be a list of addresses")
    if problems:
        raise ConfigError(problems)
    if urls:
        set_urls(urls)
    own = {key: stored[key] for key in ("at_once", "devices", "folder", "name") if key in stored}
    return own | dict(keys), studies


def _settings(value: object, where: str, problems: list[str]) -> list[str]:
    """A study's settings as overrides; in a mapping a text such as `choice(4,8)` is a sweep."""
    if isinstance(value, Mapping):
        value = {str(name): _with_sweeps(each) for name, each in value.items()}
    elif not isinstance(value, list):
        problems.append(f"{where} must be a mapping of settings, or a list such as [base=sd15], got {_kind(value)}")
        return []
    try:
        return overrides_of(value)
    except ConfigError as error:
        problems += [f"{where}: {line}" for line in error.problems]
        return []


def _with_sweeps(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _with_sweeps(each) for name, each in value.items()}
    return Sweep(value) if isinstance(value, str) and _SWEEP.fullmatch(value) else value


def _each(keys: Sequence[str], arguments: Sequence[str]) -> dict[str, list[str]]:
    """A study for each combination of the values that the keys have among the arguments, by a name made of them."""
    swept, rest, problems = dict[str, list[str]](), list[str](), list[str]()
    for argument in arguments:
        key = argument.partition("=")[0].lstrip("+")
        if key in keys:
            swept[key] = list(_values(argument, problems))
        else:
            rest.append(argument)
    problems += [f"each={key}: there is no {key}=A,B among the arguments" for key in keys if key not in swept]
    if problems:
        raise ConfigError(problems)
    found: dict[str, list[str]] = {}
    for values in itertools.product(*(swept[key] for key in keys)):
        name = "-".join(_plain(Path(value.partition("=")[2].strip("'\"")).name or "it") for value in values)
        if name in found:
            raise ConfigError([f"two studies would be called {name}; write them into a file, each with its name"])
        found[name] = [*rest, *values]
    return found


def _values(argument: str, problems: list[str]) -> Iterator[str]:
    """An override for each value of a sweep, or of a list."""
    (parsed, wrong) = parse_overrides([argument])
    problems += wrong
    for override in parsed:
        key = override.get_key_element()
        if override.is_choice_sweep():
            yield from (f"{key}={each}" for each in override.sweep_string_iterator())
        elif isinstance(value := override.value(), list):
            texts = map(str, value)
            yield from (f"{key}={each if is_option(key, each) else quote(each)}" for each in texts)
        else:
            yield argument


def _request(name: str, keys: Mapping[str, Any], named: Mapping[str, Sequence[str]]) -> BatchRequest:
    problems = []
    at_once, devices = keys.get("at_once", 1), keys.get("devices", [])
    if not (str(at_once).isascii() and str(at_once).isdecimal() and 1 <= int(at_once) <= _MOST_AT_ONCE):
        problems.append(f"at_once must be a whole number from 1 to {_MOST_AT_ONCE}, got {at_once}")
    if not isinstance(devices, list) or not all(isinstance(each, str) and each for each in devices):
        problems.append(f"devices must be a list of devices, as [cuda:0,cuda:1], got {devices}")
    folder = Path(at_home(str(keys.get("folder", "multirun"))))
    for study in (name, *named):
        if not _NAME.fullmatch(study) or study.startswith("."):
            problems.append(f"a name must be letters, digits, '.', '_' and '-', at most 80, got {study!r}")
            continue
        try:
            check_study_name(study)
        except ConfigError as error:
            problems += error.problems
    taken = {
        key: study
        for study, overrides in named.items()
        for key in (each.partition("=")[0].lstrip("+") for each in overrides)
        if key in ("study.name", "study.folder")
    }
    problems += [f"{study}: {key} is the batch's to say; leave it out" for key, study in taken.items()]
    if problems:
        raise ConfigError(problems)
    entries = [
        Entry(name=study, overrides=(*overrides, f"study.name={study}", f"study.folder={quote(str(folder))}"))
        for study, overrides in named.items()
    ]
    return BatchRequest(name=name, folder=folder, entries=tuple(entries), at_once=int(at_once), devices=tuple(devices))


def _plain(text: str) -> str:
    """A text in letters that suit a name."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^\w.-]+", "-", plain).strip("-._")[:80] or "it"


def _kind(value: object) -> str:
    return "nothing" if value is None else f"{value!r}"[:80]
