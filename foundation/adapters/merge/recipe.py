"""How several LoRAs become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Method = Literal[
    "linear",
    "cat",
    "svd",
    "ties",
    "ties_svd",
    "dare_linear",
    "dare_linear_svd",
    "dare_ties",
    "dare_ties_svd",
    "magnitude_prune",
    "magnitude_prune_svd",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How several LoRAs become one."""

    method: Method = "linear"
    """See `foundation.adapters.merge.combine`."""
    rank: Annotated[int, Field(ge=1)] | None = None
    """Rank that resize gives, and of what ends in svd; None is the highest of those that are combined."""
    density: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the numbers that ties, dare and magnitude_prune keep, between 0 and 1."""
    majority: Literal["total", "frequency"] = "total"
    """How ties elects a sign: by sums or by counts."""
    seed: int = 0
    """Of dare's random choice."""
