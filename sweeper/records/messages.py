"""What supervisor and workers say to each other. Plain frozen data, sent through a pipe between our own processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eval.evaluation import Evaluation, Validation
from train.reports import Capacity, StepReport
from train.spec import TrialSpec

Activity = Literal["loading", "training", "judging"]
"""What a worker does while it is not waiting for the supervisor."""


@dataclass(frozen=True, slots=True)
class MeasureCapacity:
    """Measure how many trials the device trains best at once, `most` of them at most; the answer to `BaseLoaded`."""

    most: int


@dataclass(frozen=True, slots=True)
class OpenSlots:
    """Make so many slots and load the judge; the answer to `BaseLoaded` or `CapacityMeasured`."""

    num_slots: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Admit:
    """Train this trial in a free slot; with a saved state in its folder, go on from there."""

    trial: int
    spec: TrialSpec
    folder: Path
    attempt: int = 0
    """See `sweeper.records.attempts`: who has an older number may not write there any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer to `Evaluated`, for which the slot waits."""

    trial: int
    go_on: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescore:
    """Judge a checkpoint again with other seeds, on the finalists' prompts; `out` takes the pictures."""

    trial: int
    step: int
    checkpoint: Path
    seeds: tuple[int, ...]
    out: Path
    all_seeds: tuple[int, ...]
    """What finalists are drawn with; `seeds` are the first of these. The base's own pictures are of all of them, so
    that every worker judges against the same ones."""
    strength: float = 1.0
    """The LoRA's scale; 1 is as it was trained."""
    against_all: bool = False
    """Whether every picture counts as trained on, and what all trainings learn from is what it is held against: so a
    refit and what it is a refit of are judged alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Draw the first of the finalists' prompts with a checkpoint, for people to look at; `out` takes the pictures."""

    checkpoint: Path
    prompts: int
    """So many of them."""
    seed: int
    out: Path
    strength: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """Train these side by side to their ends, and take their validation losses; nothing is kept of them."""

    specs: tuple[TrialSpec, ...]


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Save every slot's state and end."""


WorkerCommand = MeasureCapacity | OpenSlots | Admit | Verdict | Rescore | Draw | Probe | Shutdown


@dataclass(frozen=True, slots=True)
class BaseLoaded:
    """Base and data are on the device, and the study leaves the number of slots open: what should they be?"""

    kind: str
    """Devices of the same kind hold as many slots."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityMeasured:
    """The answer to `MeasureCapacity`."""

    capacity: tuple[Capacity, ...]
    num_slots: int
    """What it comes to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """The worker has loaded base, data and judge."""

    num_slots: int
    device: str
    num_train: int
    num_validation: int
    notes: tuple[str, ...] = ()
    """What a person should know of the data on this base, one line each."""
    base_images: tuple[tuple[str, Path], ...]
    """What the base draws, a sheet of all seeds for each prompt."""
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """No worker can start or go on: something of the study that a person can put right, in one line."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFailed:
    """This worker's device cannot be used, in one line; the worker has ended. Others may go on."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """The trial has its slot, after `step` steps of an earlier attempt, with what was seen there.

    An evaluation at `step` itself is not among it: it comes again as `Evaluated`, since its verdict may be unknown.
    """

    trial: int
    step: int
    history: tuple[Evaluation, ...]
    validations: tuple[Validation, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Stepped:
    """Steps of one trial since the last such event."""

    trial: int
    reports: tuple[StepReport, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """A checkpoint was saved and judged. The slot waits for a `Verdict`."""

    trial: int
    evaluation: Evaluation
    checkpoint: Path
    images: tuple[tuple[str, Path], ...]
    """A sheet of all seeds for each prompt, named by the prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Validated:
    """The validation loss was taken between two evaluations; the slot waits for nothing."""

    trial: int
    validation: Validation


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The trial has left its slot after its last step or a verdict to stop."""

    trial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The trial has left its slot because it cannot go on."""

    trial: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescored:
    """The answer to `Rescore`."""

    trial: int
    evaluation: Evaluation
    base: Evaluation
    """The base's own, with the same seeds."""
    pictures: Path
    """Folder of what was drawn, under `judging.picture_name`s."""
    base_pictures: Path
    """The same of the base."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drew:
    """The answer to `Draw`."""

    pictures: Path
    """Folder of what was drawn, under `judging.picture_name`s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """The answer to `Probe`: validation losses by held-out picture."""

    losses: tuple[tuple[float, ...], ...]
    """Of each training; none of one that could not go on."""
    base: tuple[float, ...]
    """The base's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """The trial's state after these steps is on the worker's disk, between evaluations or before the worker ends."""

    trial: int
    step: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a person should know; nothing follows from it."""

    words: str
    of_study: bool = False
    """Whether it is the same on every device, and so said once, whoever says it; else it is about the device."""


@dataclass(frozen=True, slots=True)
class Working:
    """The worker is at work on this; said when it begins, and again wherever it takes long."""

    activity: Activity


@dataclass(frozen=True, slots=True)
class Waiting:
    """The launcher has no place for the worker yet, and asks for one: nothing is to be kept for it meanwhile."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The worker has its place and begins to load; said by launchers that said `Waiting`."""

    name: str
    """Of its device, unlike any other worker's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Died:
    """The worker's process ended; the launcher reports it."""

    reason: str
    by_itself: bool = True
    """False where its machine went, or was told to: that speaks against no trial and no device."""


Event = (
    BaseLoaded
    | CapacityMeasured
    | Ready
    | Refused
    | DeviceFailed
    | Admitted
    | Stepped
    | Evaluated
    | Validated
    | Finished
    | Failed
    | Rescored
    | Drew
    | Probed
    | Saved
    | Noted
    | Working
    | Waiting
    | Placed
    | Died
)

OfTrial = Admitted | Stepped | Evaluated | Validated | Finished | Failed | Saved
"""What a worker says of a trial that it has."""
