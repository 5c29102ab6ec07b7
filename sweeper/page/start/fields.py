"""What the form asks for, from the schema of docs/reference.md: which fields there are, what each means and takes.

This list is the wall between a form and a command line. A field is here only if no value of it can name code: a number,
a truth value, one word of a closed list, an option of a group, a name or a phrase (`OF_TEXT`), or the folder of
pictures, which has checks of its own. Lists, mappings, paths and the names of layers are for the command line.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter

from foundation.config.compose import options
from foundation.data.spec import OF_TRIALS
from sweeper.records.config import TRIAL_GROUPS, Config
from sweeper.reference.conf import comment_of, default_options
from sweeper.reference.fields import ConfigField, fields_of
from sweeper.reference.words import type_words
from train.spec import OF_THE_STUDY
from train.spec.adapter import PRESETS

FOLDER: Final = "data.path"
OWN_FOLDER: Final = "folder"
"""The option of `data` that wants `FOLDER`."""
GROUPS: Final = ("experiment", "base", "data")
"""Chosen by an option each; `experiment` may be none."""
OF_TEXT: Final = ("study.name", "data.trigger", "eval.class_word")
VALUES: Final = (
    *("data.kind", "data.trigger", "eval.class_word"),
    *("study.name", "study.num_trials", "train.steps", "study.hours"),
)
"""Fields with one value for the study."""
_CHOSEN_BY_GROUP: Final = "name"
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {"adapter.targets": PRESETS}
"""Fields that take any text, with the words that are known; all others of text are left out."""
_GROUP_WORDS: Final = {"adapter": "The kind of adapter.", "optimizer": "The optimizer.", "lr_scheduler": "The curve."}


@dataclass(frozen=True, kw_only=True, slots=True)
class FormField:
    """A field of the form."""

    path: str
    """Dotted path, or a group."""
    meaning: str
    takes: str
    """In words, with the range."""
    options: tuple[str, ...] = ()
    """All that it may be, where that is a closed list."""
    comments: Mapping[str, str] | None = None
    """What each option is."""


@lru_cache
def values() -> tuple[FormField, ...]:
    """The fields with one value for the study, in the order of the form."""
    known = _fields()
    return tuple(_field(known[path]) for path in (FOLDER, *VALUES))


def chosen_groups() -> tuple[FormField, ...]:
    """The groups of which one option is chosen; a person's own options are among them."""
    return tuple(_of_group(group, f"{group}=") for group in GROUPS)


@lru_cache
def searchable() -> tuple[FormField, ...]:
    """What may be searched, or have one value in every trial: groups of options, then fields as the reference has."""
    found = [_of_group(group, meaning) for group, meaning in _GROUP_WORDS.items()]
    for path, field in _fields().items():
        group, _, name = path.partition(".")
        of_trials = group in TRIAL_GROUPS or (group == "data" and name in OF_TRIALS)
        of_study = (group == "train" and name in OF_THE_STUDY) or path in VALUES or name == _CHOSEN_BY_GROUP
        if of_trials and not of_study and field.holds is None and (path in _WORDS or _is_plain(field.hint)):
            found.append(_field(field))
    return tuple(found)


def paths() -> frozenset[str]:
    """Every path and group that a form may set."""
    return frozenset({*GROUPS, FOLDER, *VALUES, *(each.path for each in searchable())})


@lru_cache
def _fields() -> Mapping[str, ConfigField]:
    types: dict[str, type] = typing.get_type_hints(Config)
    return {each.path: each for group, tp in types.items() for each in fields_of(tp, group)}


def _field(field: ConfigField) -> FormField:
    schema = TypeAdapter(field.hint).json_schema()
    words = _WORDS.get(field.path) or tuple(_closed_list(schema))
    takes = ", ".join(words) if field.path in _WORDS else type_words(field.hint)
    return FormField(path=field.path, meaning=field.meaning, takes=takes.replace("`", ""), options=words)


def _of_group(group: str, meaning: str) -> FormField:
    names = options(group)
    default = default_options().get(group, "")
    first = tuple(sorted(names, key=lambda name: name != default))
    comments = {name: comment_of(group, name) for name in names}
    return FormField(path=group, meaning=meaning, takes=", ".join(first), options=first, comments=comments)


def _is_plain(hint: Any) -> bool:
    """Whether a type takes numbers, truth values and words of a closed list alone, or none."""
    schema = TypeAdapter(hint).json_schema()
    return all(
        "enum" in each or "const" in each or each.get("type") in ("integer", "number", "boolean", "null")
        for each in schema.get("anyOf", [schema])
    )


def _closed_list(schema: Mapping[str, Any]) -> Iterator[str]:
    """The words of a closed list; none where it also takes numbers or any text."""
    parts = schema.get("anyOf", [schema])
    if not all("enum" in each or "const" in each or each.get("type") in ("boolean", "null") for each in parts):
        return
    for each in parts:
        if "enum" in each or "const" in each:
            yield from map(str, each.get("enum", [each.get("const")]))
        elif each.get("type") == "boolean":
            yield from ("true", "false")
        elif each.get("type") == "null":
            yield "null"
