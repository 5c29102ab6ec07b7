"""What comes of the files of a training, as plain data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from eval.evaluation import Evaluation, value_of
from eval.selection import best_clean
from eval.strength import AS_TRAINED, choose_strength, gain
from foundation.adapters.files import Saved

ERRORS: Final = 2.0
"""Standard errors of a difference, prompt by prompt, up to which two are not told apart."""
SHOWN_PROMPTS: Final = 3
"""Of so many the pictures with the first seed are kept, for sheet and page."""
IN_A_ROW: Final = 2
"""So many must be past the best, one after another, for what comes after them to be passed over (docs/judge.md)."""
LEADERS: Final = 3
"""So many at most are judged at several strengths."""


@dataclass(kw_only=True, slots=True)
class Judged:
    """One file and what was seen of it."""

    saved: Saved
    name: str
    """What it is called, no other alike."""
    evaluation: Evaluation
    """As trained."""
    tried: dict[float, Evaluation] = field(default_factory=dict)
    """At every strength that it was judged at, `AS_TRAINED` among them."""
    pictures: dict[float, list[Image.Image]] = field(default_factory=dict)
    """By strength, of the first `SHOWN_PROMPTS` prompts with the first seed."""

    def strength(self, clean: float) -> float:
        """The strength to use it at, see `eval.strength`; as trained where no other was tried."""
        return choose_strength({AS_TRAINED: self.evaluation, **self.tried}, clean)

    def at_its_best(self, clean: float) -> Evaluation:
        """The evaluation at that strength."""
        return {AS_TRAINED: self.evaluation, **self.tried}[self.strength(clean)]

    @property
    def is_past(self) -> bool:
        """Whether it is overfit, or clearly past the best of those before."""
        return self.evaluation.overfit or self.evaluation.past_best


@dataclass(kw_only=True, slots=True)
class Series:
    """What came of the files of a training."""

    clean: float
    """Up to which overfit index one is clean."""
    judged: list[Judged] = field(default_factory=list)
    """Those that were judged, in their order."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Files that fit the base not, or are no LoRA, and why."""
    not_reached: list[Saved] = field(default_factory=list)
    """What comes after one that is past the best."""

    @property
    def best_as_trained(self) -> Judged:
        """The clean one with the best score at strength 1."""
        evaluations = [each.evaluation for each in self.judged]
        indices = [0.0 if math.isnan(each.overfit_index) else each.overfit_index for each in evaluations]
        return self.judged[best_clean([each.score for each in evaluations], indices, self.clean)]

    @property
    def best(self) -> Judged:
        """Which to use, each at its own strength.

        That which is best as trained, unless another at its strength is clean and surely better: of several that are
        about as good the luckiest looks better than it is.
        """
        first, clean = self.best_as_trained, self.clean
        own = first.at_its_best(clean)
        others = [
            each
            for each in self.judged
            if each.tried
            and (now := each.at_its_best(clean)).overfit_index < clean
            and (gain(now, own).is_real or own.overfit_index >= clean)
        ]
        return max(others, key=lambda each: value_of(each.at_its_best(clean)), default=first)

    @property
    def by_rank(self) -> list[Judged]:
        """All, the best first, then by their scores as trained."""
        best = self.best
        others = [each for each in self.judged if each is not best]
        return [best, *sorted(others, key=lambda each: -value_of(each.evaluation))]

    @property
    def alike(self) -> list[Judged]:
        """Those that are not told apart from the one that is best as trained, the best first."""
        best = self.best_as_trained
        others = [each for each in self.judged if each is not best and _is_alike(best.evaluation, each.evaluation)]
        return sorted(others, key=lambda each: -value_of(each.evaluation))

    @property
    def first_past(self) -> Judged | None:
        """The first that is overfit or clearly past its best: of `IN_A_ROW` such, or a lone one where there is none."""
        past = [number for number, each in enumerate(self.judged) if each.is_past]
        begins = [number for number in past if is_confirmed(self.judged[number : number + IN_A_ROW])]
        return self.judged[(begins or past)[0]] if past else None

    @property
    def leaders(self) -> list[Judged]:
        """What is worth to be judged at several strengths: the best, one that is overtrained, those alike to the best.

        What is overtrained may be good where it acts less strongly.
        """
        past = [each for each in (self.first_past,) if each is not None]
        chosen = [self.best_as_trained, *past, *self.alike]
        return list({id(each): each for each in chosen}.values())[:LEADERS]

    @property
    def columns(self) -> list[Judged]:
        """Those that are shown in a sheet, in their order: the best, the leaders, then others evenly."""
        wanted = list({id(each): each for each in (self.best, *self.leaders)}.values())
        others = [each for each in self.judged if not any(each is one for one in wanted)]
        room = max(0, SHOWN_FILES - len(wanted))
        spread = others if len(others) <= room else [others[i * len(others) // room] for i in range(room)]
        return [each for each in self.judged if any(each is one for one in (*wanted, *spread))]


SHOWN_FILES: Final = 6
"""Columns of a sheet."""


def is_confirmed(last: Sequence[Judged]) -> bool:
    """Whether the last ones say together that a training is past its best: one may be unlucky pictures."""
    return len(last) >= IN_A_ROW and all(each.is_past for each in last[-IN_A_ROW:])


def _is_alike(best: Evaluation, other: Evaluation) -> bool:
    """Whether the best is not better by two standard errors of the difference, over the prompts."""
    pairs: Sequence[tuple[float, float]] = list(zip(best.prompt_scores, other.prompt_scores, strict=False))
    differences = [one - two for one, two in pairs if math.isfinite(one - two)]
    if len(differences) < 2:
        return False
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return abs(statistics.fmean(differences)) <= ERRORS * error
