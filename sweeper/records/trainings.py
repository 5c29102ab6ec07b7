"""How a study's trainings are numbered: a trial as Optuna has it, a rerun by a number that tells what it is of.

A rerun is a trial's training once more, beside the search: a repeat, with another training seed, or a refit, on all
pictures. A blend is the average of checkpoints that are there already, of one trial (a mean) or of several (a soup): it
was never trained, and lies and is numbered as reruns are. Workers, trackers and displays know every training by one
number. A rerun's hangs on its trial's alone, so it is the same however often, and wherever, a study was interrupted,
and however long it becomes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, Self, cast, get_args

Kind = Literal["", "refit", "mean", "soup"]
MAX_REPEATS: Final = 100
_REPEAT: Final = 1_000_000
"""More than a study has trials."""
_KIND: Final = 1_000_000_000
_NAME: Final = re.compile(r"(\d+)(?:\.(\d+))?(?:[ -](refit|mean|soup))?")


@dataclass(frozen=True, slots=True)
class Training:
    """One training of a study."""

    trial: int
    """The number of the trial whose settings it has."""
    repeat: int = 0
    """How much its training seed lies above the trial's."""
    kind: Kind = ""
    """`refit`: it learns from all pictures. `mean`: of checkpoints of the trial. `soup`: of the trial and others."""

    @classmethod
    def of(cls, number: int) -> Self:
        """The training with a number."""
        kind, others = divmod(number, _KIND)
        repeat, trial = divmod(others, _REPEAT)
        return cls(trial, repeat, get_args(Kind)[kind])

    @classmethod
    def of_name(cls, name: str) -> Self | None:
        """The training of a name, or of a folder's; None where it is another's."""
        found = _NAME.fullmatch(name)
        return cls(int(found[1]), int(found[2] or 0), cast(Kind, found[3] or "")) if found else None

    @property
    def number(self) -> int:
        """Its number, unlike any other's; a trial's is Optuna's."""
        return self.trial + self.repeat * _REPEAT + get_args(Kind).index(self.kind) * _KIND

    @property
    def is_rerun(self) -> bool:
        """Whether it is beside the search."""
        return self.number != self.trial

    @property
    def is_refit(self) -> bool:
        """Whether it learns from all pictures."""
        return self.kind == "refit"

    @property
    def is_blend(self) -> bool:
        """Whether it is made of checkpoints, and was never trained."""
        return self.kind in ("mean", "soup")

    @property
    def source(self) -> Training:
        """The training that a refit is a refit of, or a blend begins with; of others themselves."""
        return Training(self.trial, self.repeat)

    @property
    def folder(self) -> str:
        """Its folder's name: `0007`, `0007.1`, `0007.1-refit`, `0007-mean`."""
        return f"{self.trial:04}{self._which}".replace(" ", "-")

    @property
    def _which(self) -> str:
        return f"{f'.{self.repeat}' if self.repeat else ''}{f' {self.kind}' if self.kind else ''}"

    def __str__(self) -> str:
        """What people call it: `7`, its first repeat `7.1`, that one's refit `7.1 refit`, the mean `7 mean`."""
        return f"{self.trial}{self._which}"


def number_of(name: str) -> int:
    """The number of the training that is called so.

    Raises:
        ValueError: none is.
    """
    training = Training.of_name(name)
    if training is None:
        raise ValueError(f"no name of a training: {name!r}")
    return training.number


def name_of(number: int) -> str:
    """What people call the training with a number."""
    return str(Training.of(number))
