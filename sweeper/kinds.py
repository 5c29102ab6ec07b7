"""Adds to a study's overrides what kind its pictures are of, where nobody says it and their captions do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation.config.compose import KIND, compose, parse_overrides
from foundation.config.keyed import quote
from foundation.config.parse import parse
from foundation.console import say
from foundation.data.kinds import FoundKind, kind_of
from foundation.data.spec import DataSpec
from foundation.errors import UserError
from sweeper.records.paths import cache_of


def with_kind(overrides: Sequence[str]) -> list[str]:
    """The overrides, and after them `data.kind`, `data.trigger` and `eval.class_word` as the captions have them.

    What was found is said in one line. Mistakes are left to those who read the overrides for good.
    """
    found, lines = find_kind(overrides)
    say(*lines)
    return found


def find_kind(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The same, and the lines that are to be said.

    What the overrides or an option say already stays. Of a set that is drawn all is known.
    """
    given = list(overrides)
    try:
        parsed, _ = parse_overrides(overrides)
        config = compose([str(each.input_line) for each in parsed if not each.is_sweep_override()])
        data = parse(DataSpec, config["data"], where="data")
        if data.path is None or (data.kind != "style" and data.trigger and config["eval"]["class_word"]):
            return given, []
        captions = _captions(data, cache_of(Path(str(config["study"]["folder"]))))
    except (UserError, OSError, LookupError, TypeError):
        return given, []
    is_said = bool({each.key_or_group for each in parsed} & {KIND, f"data.{KIND}"}) or data.kind != "style"
    found = kind_of(captions, data.trigger)
    if found is None or (is_said and "style" in (found.kind, data.kind)):
        unclear = "data.kind is style: no phrase in all captions calls a subject; data.kind=subject says that one does"
        return given, [] if is_said else [unclear]
    own = dict(_settings(found, config, is_said))
    return [*given, *(f"{key}={quote(value)}" for key, value in own.items())], [*_line(found, own, len(captions))]


def _captions(data: DataSpec, cache: Path) -> list[str]:
    from foundation.data.captions import read_captions  # what reads pictures is not for studies that are finished
    from foundation.data.sources import locate

    where = locate(str(data.path), cache, where="data.path", caption_column=data.caption_column)
    return [entry.caption for entry in read_captions(where, data.caption_column, "data.path", "data").entries]


def _settings(found: FoundKind, config: Mapping[str, Any], is_said: bool) -> Iterator[tuple[str, str]]:
    """What was found and is not set yet."""
    if not is_said and found.kind != "style":
        eye = config["eval"].get("identity_features", "")
        yield f"data.{KIND}", found.kind if eye or found.kind != "face" else "subject"
    if found.kind == "style":
        return
    if found.trigger != config["data"]["trigger"]:
        yield "data.trigger", found.trigger
    if not config["eval"]["class_word"]:
        yield "eval.class_word", found.class_word


def _line(found: FoundKind, own: Mapping[str, str], count: int) -> Iterable[str]:
    if found.kind == "style":
        yield f'data.kind is style: all {count} captions say "{found.trigger}"'
    elif own:
        said = ", ".join(f"{key} is {value}" for key, value in own.items())
        change = "; data.kind=style changes that" if f"data.{KIND}" in own else ""
        yield f'{said}: all {count} captions say "{found.trigger}"{change}'
