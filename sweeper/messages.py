"""What supervisor and workers say to each other. Plain frozen data, sent through a pipe between our own processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eval.evaluation import Evaluation, Validation
from train.reports import Capacity, StepReport, described
from train.spec import TrialSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Admit:
    """Train this trial in a free slot; with a saved state in its folder, go on from there."""

    trial: int
    spec: TrialSpec
    folder: Path


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
    strength: float = 1.0
    """The LoRA's scale; 1 is as it was trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Draw the first of the finalists' prompts with a checkpoint, for people to look at; `out` takes the pictures."""

    checkpoint: Path
    prompts: int
    """So many of them."""
    seed: int
    out: Path
    strength: float


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Save every slot's state and end."""


Command = Admit | Verdict | Rescore | Draw | Shutdown


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """The worker has loaded base, data and judge."""

    num_slots: int
    capacity: tuple[Capacity, ...] = ()
    """What was measured to find `num_slots`; empty when the config said it."""
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
    """The worker cannot start or go on: something a person can put right, in one line."""

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


@dataclass(frozen=True, slots=True)
class Noted:
    """Something about the device that a person should know; nothing follows from it."""

    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Died:
    """The worker's process ended without being asked; told by the launcher."""

    reason: str


Event = (
    Ready | Refused | Admitted | Stepped | Evaluated | Validated | Finished | Failed | Rescored | Drew | Noted | Died
)


def loaded_words(event: Ready) -> list[str]:
    """What a person is told of a worker that has loaded, one line each."""
    capacity = [f"{event.device}: slots and what they train together: {described(event.capacity)}"]
    return [
        *(capacity if event.capacity else []),
        f"{event.device}: {event.num_slots} slots, {event.num_train} pictures to learn from, "
        f"{event.num_validation} held out ({event.seconds:.0f} s to load)",
    ]
