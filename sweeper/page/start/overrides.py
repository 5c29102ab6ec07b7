"""From a filled form to the overrides of a command, and from a mistake's line back to the field that it is of.

Every text of the form becomes one value: a number, `true`, `false`, `null`, or a text in quotes, so that none can close
its override and begin another one, nor be read as a sweep. What quotes do not stop, since OmegaConf reads it later, is
refused: `${…}`, which would put a variable of this machine's environment into a name or a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from foundation.config.keyed import in_shell, quote
from foundation.config.parse import parse
from foundation.errors import ConfigError
from sweeper.page.start.fields import FOLDER, GROUPS, OF_TEXT, OWN_FOLDER, VALUES, searchable
from sweeper.records.config import TRIAL_GROUPS

How = Literal["value", "choice", "even", "log"]
"""One value for all trials; one of several; between two numbers, evenly or in the logarithm."""
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORDS: Final = ("true", "false", "null")
_WORD: Final = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_READ_OTHERWISE: Final = (*_WORDS, "nan", "inf")
_PATH: Final = re.compile(r"/[\w./-]*", re.ASCII)
_OPTION: Final = re.compile(r"\w[\w.-]*", re.ASCII)
_LONGEST: Final = 1000
"""Characters of a text."""
_MOST: Final = 64
"""Values of a choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What a form says of one thing that may be searched."""

    key: str
    how: How
    texts: tuple[str, ...]
    """The values of a choice; both ends of an interval; or the one value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A filled form; what is empty is as the study has it by itself."""

    groups: dict[str, str] = field(default_factory=dict)
    """Group to option."""
    folder: str = ""
    """Of pictures, where the data is a folder of one's own."""
    values: dict[str, str] = field(default_factory=dict)
    """Path to what was typed."""
    search: tuple[Search, ...] = ()


def read_form(mapping: Mapping[str, Any]) -> Form:
    """Return what a page sent as a form.

    Raises:
        ConfigError: it is none, or sets what a form may not set.
    """
    form = parse(Form, mapping)
    known = {each.path for each in searchable()}
    problems = [f"{group} cannot be chosen here" for group in form.groups if group not in GROUPS]
    problems += [f"{path} cannot be set here" for path in form.values if path not in VALUES]
    problems += [f"{each.key} cannot be searched here" for each in form.search if each.key not in known]
    problems += [f"{key} is named twice" for key in _paths_named_twice(each.key for each in form.search)]
    for path, text in _texts(form):
        problems += [f"{path} {why}" for why in _wrong(text)]
    if problems:
        raise ConfigError(problems)
    return form


def overrides_of(form: Form, folder: Path | None, studies: Path) -> list[str]:
    """Return the form's overrides; `folder` is that of the pictures, which was checked, and `studies` that of studies.

    Raises:
        ConfigError: one line for each thing searched whose values are none.
    """
    found = [_choice(group, form.groups[group]) for group in GROUPS if form.groups.get(group)]
    if folder is not None:
        found.append(f"{FOLDER}={_path(folder)}")
    found += [f"{path}={_value(text, path)}" for path in VALUES if (text := form.values.get(path, "").strip())]
    problems: list[str] = []
    for each in form.search:
        try:
            found.append(f"{each.key}={_sweep(each)}")
        except ValueError as error:
            problems.append(f"{each.key} {error}")
    if problems:
        raise ConfigError(problems)
    return [*found, f"study.folder={_path(studies.resolve())}"]


def command_of(overrides: Iterable[str]) -> str:
    """The command with these overrides, to be typed into a shell."""
    return " ".join(["sweeper", *map(in_shell, overrides)])


def _path(path: Path) -> str:
    return str(path) if _PATH.fullmatch(str(path)) else quote(str(path))


def wants_folder(form: Form) -> bool:
    """Whether the form's data is a folder of one's own."""
    return form.groups.get("data") == OWN_FOLDER


def by_field(problems: Iterable[str], paths: Iterable[str]) -> dict[str, list[str]]:
    """Mistakes by the field that each is of: the one that its line names first; those of none under ""."""
    longest_first = "|".join(re.escape(path) for path in sorted(paths, key=len, reverse=True))
    named = re.compile(rf"(?<![\w.])({longest_first})(?![\w]|\.\w)")
    found: dict[str, list[str]] = {}
    for line in problems:
        at = named.search(line)
        found.setdefault(at[1] if at else "", []).append(line)
    return found


def _sweep(search: Search) -> str:
    texts = [text.strip() for text in search.texts]
    if search.how == "value":
        if len(texts) != 1 or not texts[0]:
            raise ValueError("wants a value")
        return _value(texts[0], search.key)
    if search.how == "choice":
        values = list(dict.fromkeys(text for text in texts if text))
        if not 1 <= len(values) <= _MOST:
            raise ValueError(f"wants 1 to {_MOST} values to choose from, got {len(values)}")
        return f"choice({','.join(_value(text, search.key) for text in values)})"
    if len(texts) != 2 or not all(map(_NUMBER.fullmatch, texts)):
        raise ValueError(f"wants two numbers to search between, got {' and '.join(texts) or 'none'}")
    whole = all(text.lstrip("+-").isdecimal() for text in texts)
    tags = [*(["log"] if search.how == "log" else []), *(["int"] if whole and _is_whole(search.key) else [])]
    interval = f"interval({','.join(texts)})"
    return f"tag({','.join([*tags, interval])})" if tags else interval


def _is_whole(key: str) -> bool:
    return next((each.takes.startswith("whole number") for each in searchable() if each.path == key), False)


def _choice(group: str, option: str) -> str:
    plus = "+" if group == "experiment" else ""
    return f"{plus}{group}={option if _OPTION.fullmatch(option) else quote(option)}"


def _value(text: str, path: str) -> str:
    """A value in Hydra's grammar: what is no number, truth value or none stands in quotes."""
    if path in TRIAL_GROUPS:
        return text if _OPTION.fullmatch(text) else quote(text)
    is_plain = path not in OF_TEXT and (text in _WORDS or _NUMBER.fullmatch(text))
    is_word = _WORD.fullmatch(text) and text.lower() not in _READ_OTHERWISE
    return text if is_plain or is_word else quote(text)


def _texts(form: Form) -> Iterator[tuple[str, str]]:
    yield from form.groups.items()
    yield FOLDER, form.folder
    yield from form.values.items()
    yield from ((each.key, text) for each in form.search for text in each.texts)


def _wrong(text: str) -> Iterator[str]:
    """What a text may not hold, whatever field it is of."""
    if len(text) > _LONGEST:
        yield f"must have at most {_LONGEST} characters, got {len(text)}"
    if "${" in text or text.strip() == "???":
        yield "must not hold ${ nor be ???, which stand for something else in a configuration"
    if not text.isprintable():
        yield "must be one line of characters that can be seen"


def _paths_named_twice(keys: Iterable[str]) -> Sequence[str]:
    seen = list(keys)
    return [key for key in dict.fromkeys(seen) if seen.count(key) > 1]
