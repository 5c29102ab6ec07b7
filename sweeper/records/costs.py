"""What training and judging take. Plain values: who reads them need load no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from foundation.config.plain import number, whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Time, and the most memory that was in use meanwhile."""

    seconds: float = 0.0
    gigabytes: float = 0.0
    """Of 10⁹ bytes: what PyTorch had given out of a GPU's memory; without one all that the worker's process held."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(seconds=self.seconds + other.seconds, gigabytes=max(self.gigabytes, other.gigabytes))

    def share(self, count: int) -> Cost:
        """Of each of so many who had it together."""
        return Cost(seconds=self.seconds / count, gigabytes=self.gigabytes)

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s and at most {self.gigabytes:.1f} GB"


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Of training and of judging, side by side."""

    training: Cost = Cost()
    judging: Cost = Cost()

    def __add__(self, other: Costs) -> Costs:
        return Costs(training=self.training + other.training, judging=self.judging + other.judging)

    def __str__(self) -> str:
        return f"training took {self.training}, judging {self.judging}"

    def metrics(self) -> dict[str, float]:
        """What was measured, by names such as `training_seconds`."""
        return {f"{what}_{unit}": value for what, cost in asdict(self).items() for unit, value in cost.items() if value}


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What a trial took from the entry before to this one; goes to JSON and back unchanged."""

    step: int
    """Training steps done by then."""
    costs: Costs

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"step": self.step, **asdict(self.costs)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Spent:
        """Read what `to_json` returned."""
        training, judging = (
            Cost(seconds=number(values[what]["seconds"]), gigabytes=number(values[what]["gigabytes"]))
            for what in ("training", "judging")
        )
        return cls(step=whole(values["step"]), costs=Costs(training=training, judging=judging))
