"""What the supervisor's side and a worker's actor say to each other, around the messages that any launcher carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweeper.launchers.ray.versions import Versions
from sweeper.records.config import Config
from sweeper.records.messages import Event, WorkerCommand
from train.spec import ObjectiveSpec

Files = tuple[tuple[str, bytes], ...]
"""Paths, relative to some folder, with what is in them."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or a folder that is replaced as a whole, by its path below the folder of studies."""

    path: str
    files: Files
    """Of a folder all that is in it, by their paths there; of a file itself, by an empty path."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file or folder that the config names, and that a node may lack."""

    group: str
    name: str
    """The config's field is `group.name`."""
    path: Path
    files: tuple[tuple[str, int], ...]
    """Paths below it and sizes; a file alone has an empty path."""
    digest: str
    """Of all of it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A file in the study's folder that only who sees that folder can read."""

    file: Path
    token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """All that an actor needs to begin."""

    config: Config
    """With the paths of the supervisor's machine, absolute."""
    objectives: tuple[ObjectiveSpec, ...]
    number: int
    """Of this life of the worker, unlike any other's in the study."""
    versions: Versions
    probe: Mark
    assets: tuple[Asset, ...]
    work: str
    """See `run_process`."""


# From the actor, beside events:


@dataclass(frozen=True, slots=True)
class Arrived:
    """The actor runs."""

    name: str
    """Of its device."""
    node: str
    """Ray's id of its node."""
    shares: bool
    """Whether that sees the study's folder, and may write there."""


@dataclass(frozen=True, slots=True)
class Pull:
    """Send a piece of a file: of an asset by its index, or of the cache (-1)."""

    asset: int
    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Somebody here wants to make what is called so; `Go` says when nobody else does, and what is there by then."""

    name: str


@dataclass(frozen=True, slots=True)
class Done:
    """It was made, or found; what is new of the cache comes with it."""

    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that an actor says, with the files that belong to it."""

    number: int
    """1, 2 … for each actor."""
    said: Event | Arrived | Pull | Begin | Done
    parts: tuple[Part, ...] = ()


# To the actor, beside commands:


@dataclass(frozen=True, slots=True)
class Answer:
    """To a word of its number."""

    to: int
    value: bytes | tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    """To `Pull` the piece; to `Begin` the entries of the cache, each with its files and their sizes."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Save, and end: the node is going."""


Saying = WorkerCommand | Answer | Leave
