"""Reads a trainer's config by its table: what it is here, and what became of each of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from foundation.errors import ConfigError
from sweeper.trainers.agreement import settle
from sweeper.trainers.port import Fields, Row, Settings, Theirs, Trainer, as_number
from sweeper.trainers.reasons import OWN

_SECRET: Final = re.compile(r"api_key|secret|passw|access_key|(^|[._-])(hf_|huggingface_|auth_)?token$", re.IGNORECASE)
_LONG: Final = 60
"""Characters of a value that are shown."""
_KEY: Final = ("optimizer.lr", "adapter.rank", "train.steps", "train.epochs", "train.batch_size")
"""What is said where a file is silent of it."""

State = Literal["carried", "off", "own", "left", "unknown"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one field of theirs."""

    name: str
    value: Any
    state: State
    """Carried over; of no effect there with this value; done here in a way of its own, which changes nothing of what is
    learned; left out for a reason; or in no table of ours."""
    words: str
    """Where it went, or why not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A trainer's config as ours."""

    trainer: Trainer
    settings: Settings
    """What is set, by dotted path, groups for their options."""
    fates: tuple[Fate, ...]
    """One for each field, in the file's order."""
    remarks: tuple[str, ...]
    """Where the trial is another one than theirs, which no single field tells."""
    advice: tuple[str, ...]
    """What a person should look at."""

    def count(self, state: State) -> int:
        """How many fields are in this state."""
        return sum(fate.state == state for fate in self.fates)

    @property
    def tally(self) -> str:
        """All counts, in one line."""
        kinds: tuple[tuple[State, str], ...] = (
            ("carried", "carried over"),
            ("off", "without effect there"),
            ("own", "done here in its own way"),
            ("left", "left out"),
            ("unknown", "unknown"),
        )
        return f"{len(self.fates)} fields: {', '.join(f'{self.count(state)} {words}' for state, words in kinds)}"


def read(trainer: Trainer, fields: Fields) -> Reading:
    """Return a flat config of a trainer as ours.

    Raises:
        ConfigError: a line for each value that is none of its field, and for what cannot be trained here at all.
    """
    theirs = Theirs(fields)
    settings: Settings = {}
    went: dict[str, tuple[str, ...]] = {}
    advice: list[str] = []
    for row in trainer.rows:
        found = row.read(theirs)
        settings.update(found)
        named = [name for name in theirs.fields if _reads(row, name)]
        went.update(dict.fromkeys(named, tuple(found)))
        if not named:
            silent = [path for path in found if path in _KEY and found[path] is not None]
            advice += [f"{path} is {found[path]}, the trainer's default; no field says it" for path in silent]
    settle(settings, theirs)
    if settings.get("train.epochs"):
        advice.append("eval.every stays as it is: set it to about an eighth of the steps that these epochs are")
    if theirs.problems:
        raise ConfigError(list(dict.fromkeys(theirs.problems)))
    fates = tuple(_fate(trainer, theirs, went, name, value) for name, value in fields.items())
    remarks = tuple(dict.fromkeys(theirs.remarks))
    return Reading(trainer=trainer, settings=settings, fates=fates, remarks=remarks, advice=tuple(advice))


def _fate(trainer: Trainer, theirs: Theirs, went: Mapping[str, tuple[str, ...]], name: str, value: Any) -> Fate:
    if name in theirs.left:
        return Fate(name, value, "left", theirs.left[name])
    if name in theirs.idle:
        return Fate(name, value, "off", "without effect there")
    if name in went:
        return Fate(name, value, *(("carried", ", ".join(went[name])) if went[name] else ("off", "nothing to set")))
    known = [each for each in trainer.unused if each.fits(name)]
    if not known and "[" in name:
        return Fate(name, value, "left", "one data set is read here, the first; put all pictures below one folder")
    is_read = any(_reads(row, name) for row in trainer.rows)
    if value is None or value == "":
        return Fate(name, value, "off" if known or is_read else "unknown", "not filled in")
    if is_read:  # a row that found it wanting said so above
        return Fate(name, value, "off", "not filled in")
    if not known:
        return Fate(name, value, "unknown", "no field that is known here")
    if any(_equal(value, each) for each in known[0].off):
        return Fate(name, value, "off", f"off there ({known[0].why})")
    return Fate(name, value, "own" if known[0].why in OWN else "left", known[0].why)


def _reads(row: Row, name: str) -> bool:
    return any(name == each or (each.endswith(".") and name.startswith(each)) for each in row.theirs)


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, also where one of them is written as a text."""
    if isinstance(one, bool) or isinstance(other, bool):
        return str(one).lower() == str(other).lower()
    numbers = as_number(one), as_number(other)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return bool(str(one).lower() == str(other).lower() if isinstance(one, str) else one == other)


def lines_of(reading: Reading) -> Iterator[str]:
    """What a person is told of it: the fields that are not carried over, reason by reason, then the remarks."""
    for state, head in (("own", "done here in its own way"), ("left", "left out")):
        reasons: dict[str, list[str]] = {}
        for fate in reading.fates:
            if fate.state == state:
                reasons.setdefault(fate.words, []).append(fate.name if state == "own" else _text_of(fate))
        yield from (f"{head}: {', '.join(names)}: {why}" for why, names in reasons.items())
    if unknown := [_text_of(fate) for fate in reading.fates if fate.state == "unknown"]:
        yield f"unknown: {', '.join(unknown)}"
    yield from (f"note: {words}" for words in (*reading.remarks, *reading.advice))


def _text_of(fate: Fate) -> str:
    """A field with its value on one line, cut when long; never a value that opens an account."""
    text = "***" if _SECRET.search(fate.name) else " ".join(str(fate.value).split())
    return f"{fate.name}={text if len(text) <= _LONG else text[: _LONG - 1] + '…'}"
