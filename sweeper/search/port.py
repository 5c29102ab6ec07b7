"""Where the supervisor's trials come from, and go to when they end: the search, or what is trained beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sweeper.search.dimension import Params

EndStatus = Literal["finished", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedTrial:
    """A trial that has ended."""

    number: int
    params: Params
    status: EndStatus
    value: float | None
    """Its score. Of a pruned trial the last reported; None without any."""
    reason: str
    """Why it ended."""
    reported: Mapping[int, float] = field(default_factory=dict)
    """Step to score of every evaluation that was noted."""

    def verdict_at(self, step: int) -> tuple[EndStatus, str] | None:
        """How it ended, and why, once it is as far again as it was judged; None before."""
        return (self.status, self.reason) if step >= max(self.reported, default=0) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnfinishedTrial:
    """A trial that an earlier run left unfinished: it goes on under its number."""

    number: int
    params: Params
    paused: str = ""
    """Why it waits though slots are free; empty where it was at work."""


class TrialSource(Protocol):
    """Trials by number. What is told of one is kept for good; every trial of `ask` is told an end once."""

    kind: str
    """What these are called, in the plural."""

    def ask(self) -> tuple[int, Params]:
        """The next trial: its number and its parameters."""

    def report(self, number: int, step: int, score: float) -> None:
        """Note a running trial's score at a step; a score noted before for that step is replaced."""

    def constrain(self, number: int, excess: float) -> None:
        """Note how far a running trial's checkpoint is from being clean: at most 0 is."""

    def pause(self, number: int, reason: str) -> None:
        """Note that a running trial waits, and why; an empty reason: that it goes on."""

    def tell_complete(self, number: int, score: float, reason: str = "", values: Sequence[float] = ()) -> None:
        """End a trial with the score of its best checkpoint, and the objectives' values where there are several."""

    def tell_pruned(self, number: int, reason: str) -> None:
        """End a trial early, without a checkpoint worth keeping."""

    def tell_failed(self, number: int, reason: str) -> None:
        """End a trial that could not be trained."""

    def ended_trials(self) -> list[EndedTrial]:
        """Every trial that has ended, in order of number."""

    def running(self) -> list[UnfinishedTrial]:
        """Every trial that was begun and has not ended, in order of number."""

    def front(self) -> list[int]:
        """The Pareto front, in order of number; none with one objective."""
