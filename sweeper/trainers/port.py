"""The port of a trainer: a table of its fields, each with what it is here, or why it is nothing here.

A config of a trainer is read into one flat mapping, dotted name to value (`Fields`); lists of data sets are numbered
from the second on (`datasets.folder_path`, `datasets[1].folder_path`). Ours is flat, too (`Settings`): a dotted path of
the config, or a group for its option.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Settings = dict[str, Any]
"""What is set in our config: `adapter.rank` to 16, `optimizer` to the option `lion`."""
Fields = Mapping[str, Any]
"""A trainer's config, flat."""

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Theirs:
    """A trainer's config while it is read: values by name, what came of each, and what is wrong.

    A name is not there where its value is null or an empty text, as programs with windows write what nobody filled in.
    """

    def __init__(self, fields: Fields) -> None:
        self.fields = {name: value for name, value in fields.items() if value is not None and value != ""}
        self.family = ""
        """Of the base, a name in `foundation.bases.families`; set by the rows that read the base."""
        self.left: dict[str, str] = {}
        """Names that are not carried over for their value, and why."""
        self.idle: set[str] = set()
        """Names that set nothing here, as their value does nothing there."""
        self.remarks: list[str] = []
        """What is said of the whole: a default of the trainer that no field named, or where ours differs."""
        self.problems: list[str] = []
        """A line for each value that is none of its field."""

    def name(self, *names: str) -> str:
        """The first of these names that is there; the first of all where none is."""
        return next((name for name in names if name in self.fields), names[0])

    def get(self, *names: str) -> Any:
        """The value of the first of these that is there, or None."""
        return self.fields.get(self.name(*names))

    def number(self, *names: str, default: float = 0.0) -> float:
        """A number, also where it is written as a text (YAML reads `1e-4` as one); `default` where none is there."""
        value = self.get(*names)
        if value is None:
            return default
        found = as_number(value)
        if found is None:
            self.problems.append(f"{self.name(*names)} must be a number, got {value!r}")
            return default
        return found

    def whole(self, *names: str, default: int = 0) -> int:
        """A whole number; see `number`."""
        value = self.number(*names, default=default)
        if value != int(value):
            self.problems.append(f"{self.name(*names)} must be a whole number, got {self.get(*names)!r}")
            return default
        return int(value)

    def flag(self, *names: str, default: bool = False) -> bool:
        """True or false, also as a text or as 0 and 1."""
        value = self.get(*names)
        if value is None:
            return default
        word = str(value).strip().lower().removesuffix(".0")
        if word not in (*_TRUE, *_FALSE):
            self.problems.append(f"{self.name(*names)} must be true or false, got {value!r}")
            return default
        return word in _TRUE

    def text(self, *names: str, default: str = "") -> str:
        """A text."""
        value = self.get(*names)
        if value is None:
            return default
        if isinstance(value, dict | list):
            self.problems.append(f"{self.name(*names)} must be a text, got {value!r}")
            return default
        return str(value).strip()

    def word(self, *names: str, allowed: Mapping[str, Any], default: Any, why: str) -> Any:
        """What a word stands for, in whatever case; of another word `why` is noted, and `default` returned."""
        said = self.text(*names)
        known = {word.lower(): meaning for word, meaning in allowed.items()}
        if said and said.lower() not in known:
            self.leave(f"{said}: {why}", *names)
        return known.get(said.lower(), default)

    def leave(self, why: str, *names: str) -> None:
        """Note why those of these names that are there are not carried over."""
        self.left.update({name: why for name in names if name in self.fields})


class Ours:
    """A trial of ours while it is written as another trainer's config."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config` has a mapping for each group, complete as dataclasses are."""
        self.config = config

    def __getitem__(self, path: str) -> Any:
        group, _, rest = path.partition(".")
        return self.config[group][rest]

    @property
    def family(self) -> str:
        """Of its base, as our registry calls it."""
        return str(self["base.family"])

    @property
    def trains_text(self) -> bool:
        """Whether its text encoder is trained."""
        return bool(self["adapter.text_encoder"])

    @property
    def alpha(self) -> float:
        """Of its adapter."""
        return float(self["adapter.alpha_ratio"] * self["adapter.rank"])


Read = Callable[[Theirs], Settings]
Write = Callable[[Ours], dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Fields of a trainer that become fields of ours, together."""

    theirs: tuple[str, ...]
    """Their names; more than one where they say it in several ways, or one needs another. One that ends in `.` stands
    for all that begin so."""
    ours: tuple[str, ...]
    """Dotted paths of our config, or groups."""
    read: Read
    """Their fields to ours; what is not there has the trainer's own default."""
    write: Write = field(default=lambda _: {})
    """Ours to theirs; nothing where another row writes it."""
    words: str = ""
    """How one becomes the other, for the page; empty where it is the same value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unused:
    """Fields of a trainer that become nothing, for one reason."""

    theirs: tuple[str, ...]
    """Their names; one that ends in `.` stands for all that begin so."""
    why: str
    """The reason, as a sentence's end."""
    off: tuple[Any, ...] = ()
    """Values by which such a field does nothing there either."""

    def fits(self, name: str) -> bool:
        """Whether it speaks of this name."""
        return any(name == each or (each.endswith(".") and name.startswith(each)) for each in self.theirs)


Document = tuple[str, Any]
"""A file's name, and what it holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """Another trainer."""

    name: str
    """What `recipe=` and messages call it."""
    title: str
    """Which program that is, and which of its files are read."""
    rows: tuple[Row, ...]
    """What is carried over, read in this order."""
    unused: tuple[Unused, ...]
    """What is not."""
    kind_of: Callable[[Any], str]
    """What a document is of this trainer, in words; empty where it is none of its own."""
    flatten: Callable[[list[Document]], Fields]
    """Its documents as one flat mapping."""
    write: Callable[[dict[str, Any], str], dict[str, str]]
    """What the rows wrote, and the title, as files by name."""
    remarks: tuple[str, ...] = ()
    """Where it trains in another way, whatever its config says."""


def same(theirs: str, ours: str, kind: str, default: Any, *also: str, off: Any = ...) -> Row:
    """A field that is ours by another name: `theirs`, or `also`, is the dotted path `ours`.

    `kind` is `number`, `whole`, `flag` or `text`, `default` the trainer's own value; `off` is the value by
    which theirs says what null is here; it is not written.
    """

    def read(found: Theirs) -> Settings:
        value = getattr(found, kind)(theirs, *also, default=default)
        return {ours: None if value == off else value}

    def write(trial: Ours) -> dict[str, Any]:
        value = trial[ours]
        return {} if value is None else {theirs: value}

    return Row(theirs=(theirs, *also), ours=(ours,), read=read, write=write)


def choice(theirs: str, ours: str, words: Mapping[str, Any], default: str, why: str, *also: str) -> Row:
    """A field whose words are ours by other names.

    `theirs` and `also` are its names, `ours` the dotted path, `words` theirs to ours, `default` the trainer's own word;
    `why` is said of unknown ones.
    """
    back = {meaning: word for word, meaning in reversed(list(words.items()))}

    def read(found: Theirs) -> Settings:
        return {ours: found.word(theirs, *also, allowed=words, default=words[default], why=why)}

    def write(trial: Ours) -> dict[str, Any]:
        return {theirs: back[trial[ours]]} if trial[ours] in back else {}

    pairs = ", ".join(f"{word} is {meaning}" for word, meaning in words.items())
    return Row(theirs=(theirs, *also), ours=(ours,), read=read, write=write, words=pairs)


def as_number(value: Any) -> float | None:
    """The number that a value is or writes, or None; it is finite."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def plain(value: float) -> float | int:
    """A number as people write it: whole ones without a point, others to twelve digits."""
    short = float(f"{value:.12g}")
    return int(short) if short == int(short) else short
