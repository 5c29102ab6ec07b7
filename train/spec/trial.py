"""One trial, put together from its groups."""

from __future__ import annotations

from dataclasses import dataclass, field

from train.spec.adapter import AdapterSpec
from train.spec.lr_scheduler import LrSchedulerSpec
from train.spec.objective import ObjectiveSpec
from train.spec.optimizer import OptimizerSpec
from train.spec.training import TrainingSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSpec:
    """One trial: everything that a slot needs to know beside the base and the data."""

    adapter: AdapterSpec = field(default_factory=AdapterSpec)
    """The adapter."""
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    """Its optimizer."""
    lr_scheduler: LrSchedulerSpec = field(default_factory=LrSchedulerSpec)
    """Its learning-rate curve."""
    objective: ObjectiveSpec = field(default_factory=ObjectiveSpec)
    """Its loss."""
    train: TrainingSpec = field(default_factory=TrainingSpec)
    """Its steps."""

    @property
    def pack_key(self) -> str:
        """Trials of the same key can share a forward and backward pass."""
        alone = "" if self.objective.prior_weight else " without regularisation pictures"
        return f"batch {self.train.batch_size}{alone}"

    @property
    def compiled_rank(self) -> int | None:
        """How wide a compiled pack is at least; None when it is not compiled."""
        if self.train.compile == "off":
            return None
        return self.train.compile_rank or self.adapter.rank

    def __post_init__(self) -> None:
        if self.optimizer.name != "prodigy":
            return
        restarts = self.lr_scheduler.name == "cosine_with_restarts"
        if restarts and not self.optimizer.safeguard_warmup:
            raise ValueError(
                "prodigy with cosine_with_restarts needs optimizer.safeguard_warmup=true: "
                "each restart's small steps would spoil its estimate of the step size"
            )
        ratio = self.optimizer.text_encoder_lr_ratio
        if self.adapter.text_encoder and ratio not in (0, 1):
            raise ValueError(
                "optimizer.text_encoder_lr_ratio must be 1 (or 0) for prodigy, which estimates one step size for all "
                f"that it trains, got {ratio:g}; set it to 1, or choose among other optimizers"
            )
