"""What the judge says of a checkpoint. Plain values: who reads them need load no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from foundation.config.plain import named_numbers, number, numbers, plain, text, truth, whole

WORST: Final = -100.0
"""What a checkpoint scores that draws nothing that can be measured; the least that a score can be."""

OF_THE_BASE: Final = 0.0
"""What the base itself scores, and an adapter that does nothing: `eval.score` counts from there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What the judge says of one checkpoint; goes to JSON and back unchanged."""

    step: int
    """Training steps done."""
    score: float
    """Higher is better, see `eval.score`; NaN where there are no real pictures to hold it against."""
    score_se: float
    """Standard error of the score, bootstrap over prompts and seeds; NaN with one prompt."""
    overfit_index: float
    """0 to 1, see `eval.overfit`; NaN where neither copies nor the validation loss were measured."""
    overfit: bool
    """Whether this and the evaluations before it say that the trial is overfit."""
    words: str
    """Why, in one line."""
    severities: Mapping[str, float]
    """Each criterion's, 0 to 1; NaN for what was not measured."""
    metrics: Mapping[str, float]
    """Everything measured, by name; NaN where it could not be."""
    validation_losses: Sequence[float]
    """(N,) mean loss of each held-out image, for the paired test of later evaluations."""
    prompt_aims: Sequence[float] = ()
    """(P,) how far each prompt's pictures came to what is learned (`eval.aims`), to compare trials."""
    prompt_scores: Sequence[float] = ()
    """(P,) what each prompt adds to the score (`eval.score.pseudo_values`), to compare evaluations prompt by prompt."""
    past_best: bool = False
    """Whether its score fell far and surely below that of an earlier checkpoint of its trial."""

    @property
    def numbers(self) -> dict[str, float]:
        """All that was measured and what it comes to, by name, with the step."""
        return {
            **self.metrics,
            "step": float(self.step),
            "score": self.score,
            "score_se": self.score_se,
            "overfit_index": self.overfit_index,
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, which knows no NaN and no infinity: they become null, "inf", "-inf"."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Evaluation:
        """Read what `to_json` returned; keys that a later version added are passed over.

        Raises:
            ValueError, TypeError, LookupError: it is something else.
        """
        kinds: dict[str, Callable[[object], Any]] = {"int": whole, "float": number, "bool": truth, "str": text}
        kinds |= {"Mapping[str, float]": named_numbers, "Sequence[float]": numbers}
        known = {each.name: kinds[str(each.type)](values[each.name]) for each in fields(cls) if each.name in values}
        return cls(**known)


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """The validation loss between two evaluations; goes to JSON and back unchanged."""

    step: int
    """Training steps done."""
    ratio: float
    """The loss as a ratio to the base's; NaN or infinite where it is no number any more."""
    losses: Sequence[float]
    """(N,) mean loss of each held-out image."""

    def to_json(self) -> dict[str, Any]:
        """As `Evaluation.to_json`."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Validation:
        """Read what `to_json` returned."""
        return cls(step=whole(values["step"]), ratio=number(values["ratio"]), losses=numbers(values["losses"]))


def value_of(evaluation: Evaluation) -> float:
    """The score as a number to rank by, always finite: what cannot be measured ranks below everything."""
    return evaluation.score if math.isfinite(evaluation.score) else WORST
