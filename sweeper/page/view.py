"""What the page knows of a study: plain values that go to JSON, the same for the live page and for the file.

Whoever draws it (`static/`) knows these names. A number that is not finite is null there; a text is as its owner wrote
it, and is escaped where it is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final, Literal

StudyState = Literal["running", "unfinished", "finished"]
TrialStatus = Literal["running", "waiting", "paused", "finished", "pruned", "failed"]
"""waiting: an interrupted study goes on with it; paused: it seems hopeless, and goes on should it be no more."""
Point = tuple[float, float]
"""Step and value."""
_DIGITS: Final = 5
"""Of a number in JSON that is a measurement: more than a chart of any size shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A checkpoint's evaluation."""

    step: int
    score: float
    score_se: float
    overfit: float
    """The overfit index, 0 to 1."""
    words: str
    metrics: Mapping[str, float]
    """Those that the page shows, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureSet:
    """What one checkpoint drew at one strength."""

    step: int
    strength: float
    seeds_from: int
    """0 for a trial's own evaluations, more for finalists, whose seeds and prompts no trial saw."""
    folder: str
    """Below the folder of studies."""
    counts: Mapping[str, Sequence[int]]
    """Kind of prompts to how many pictures there are of each, one a seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialView:
    """One training: a trial, or a rerun of one."""

    number: int
    name: str
    """What people call it: 7, or 7.1 for a rerun."""
    status: TrialStatus
    ended_because: str
    """In words; empty before."""
    diagnosis: str
    """What its course says: good, underfit …; empty before an evaluation."""
    because: str
    advice: str
    params: Mapping[str, object]
    """By the names of `StudyView.params`."""
    chosen: int | None
    """The step of the checkpoint that counts for it; None before an evaluation."""
    step: int
    """As far as it came."""
    loss: float
    """At its last step."""
    slot: int | None
    evaluations: Sequence[Judged]
    losses: Sequence[Point]
    """Training loss, averaged over as many steps as make at most `curves.MOST` points."""
    rates: Sequence[Point]
    """Learning rate."""
    validations: Sequence[Point]
    """Validation ratio, of evaluations and between them."""
    training_s: float
    judging_s: float
    gigabytes: float
    fresh: float | None
    """Its score with fresh seeds, of a finalist."""
    is_rerun: bool
    pictures: Sequence[PictureSet]
    run: str = ""
    """Its run in MLflow; empty where that is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParamView:
    """A hyperparameter that was searched, under one name for all trials."""

    name: str
    kind: Literal["number", "choice"]
    log: bool
    values: Sequence[object]
    """All that it may be, of a choice; none of an interval, whose axis goes from the least to the largest tried."""
    words: str
    """What was searched, as study.yaml has it."""
    share: float | None
    """Its importance; None where that cannot be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptView:
    """A prompt, and what stands beside its pictures."""

    kind: str
    """prompt, unrelated, training, class, or final: what finalists are drawn with."""
    text: str
    real: int | None
    """The number of the real picture, in `StudyView.reals`, whose caption is nearest to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealPicture:
    """A picture of the data set."""

    file: str
    """Its copy, below the folder of studies."""
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What a slot did for a while."""

    kind: Literal["loading", "training", "judging", "waiting", "idle"]
    """waiting: a trial is there, and its device judges another slot's; idle: none is."""
    trial: str
    """Its name; empty where none was there."""
    began: float
    """Seconds since the first of the study."""
    ended: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One slot's spans in order."""

    name: str
    spans: Sequence[Span]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """What all slots did."""

    lanes: Sequence[Lane]
    seconds: float
    """From the first to the last that is known."""
    shares: Mapping[str, float]
    """Kind to its share of all slots' time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceView:
    """Which checkpoint was chosen."""

    trial: int
    training: str
    """The name of the training: the trial's, or a rerun's."""
    step: int
    strength: float
    score: float
    metrics: Mapping[str, float]
    by_hand: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyView:
    """A study as it stands."""

    name: str
    state: StudyState
    read_at: float
    """Seconds since 1970."""
    base: str
    trigger: str
    kind: str
    aim: str
    """The metric that says how far a checkpoint came: style, likeness, identity."""
    higher_is_better: bool
    clean: float
    """The overfit index below which a checkpoint may be chosen."""
    trials_wanted: int
    steps: int
    """Of a trial at most."""
    sentences: Sequence[str]
    """What won and why; of a study that runs how it stands; of a failed one why there is no best."""
    choice: ChoiceView | None
    trials: Sequence[TrialView]
    params: Sequence[ParamView]
    importance_note: str
    prompts: Sequence[PromptView]
    reals: Sequence[RealPicture]
    base_pictures: Sequence[PictureSet]
    timeline: Timeline
    training_s: float
    judging_s: float
    gigabytes: float
    left_s: float | None
    """About how long it still takes, while it runs; None where there is nothing to go by."""
    experiment: str
    """Its experiment in MLflow; empty where that is not known."""
    command: str = ""
    """The command that goes on with it; empty where that is not known."""
    best: Sequence[str] = ()
    """The files of the best."""
    notes: Sequence[str] = field(default_factory=tuple)
    """What could not be read, in words."""


def as_json(value: Any) -> Any:
    """Return a view as values for JSON: names to values, null for what is not finite, measurements in five digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float):
        return _short(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    return round(value, 3) if abs(value) >= 1e5 else float(f"{value:.{_DIGITS}g}")
