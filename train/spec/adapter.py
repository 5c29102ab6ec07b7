"""The adapter that a trial trains: the `adapter` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterSpec:
    """The adapter that a trial trains; PEFT's `LoraConfig` gives the words their meaning."""

    name: Literal["lora"] = "lora"
    """The kind of adapter."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the update B·A, 1 to 1024."""
    alpha_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """alpha / rank: the update's scale (with rslora: alpha / √rank scales it)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    targets: Literal["attention", "attention+ff", "all"] | Annotated[tuple[str, ...], Field(min_length=1)] = "attention"
    """Which layers are adapted: attention projections, these and the feed-forward layers, all linear layers and
    convolutions of the blocks, or a list of module names."""
    init: Literal[True, "gaussian"] = True
    """How A starts (B is 0): PEFT's default or gaussian. PEFT's other ways change the base, which trials share."""
    rslora: bool = False
    """Scale by alpha / √rank instead of alpha / rank."""
    dora: bool = False
    """Learn each weight's magnitude apart from its direction (DoRA); slower, as such adapters share no product."""
    rank_pattern: dict[str, Annotated[int, Field(ge=1, le=1024)]] = field(default_factory=dict)
    """Other ranks for some layers: the end of a layer's name, or a regular expression, to its rank."""
    alpha_pattern: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = field(default_factory=dict)
    """Other alphas (not ratios) for some layers, named as in `rank_pattern`."""
    text_encoder: bool = False
    """Train the text encoder, too: its attention, and what else of `targets` it has."""
    text_encoder_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Rank in the text encoder, where that is trained; None is as `rank`."""

    @property
    def alpha(self) -> float:
        """alpha as PEFT and other tools know it."""
        return self.alpha_ratio * self.rank
