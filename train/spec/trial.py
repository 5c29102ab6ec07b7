"""One trial, put together from its groups."""

from __future__ import annotations

from dataclasses import dataclass, field

from foundation.bases.spec import BaseSpec
from foundation.data.spec import DataSpec, Views
from train.spec.adapter import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS
from train.spec.lr_scheduler import LrSchedulerSpec
from train.spec.objective import ObjectiveSpec
from train.spec.optimizer import OptimizerSpec
from train.spec.training import TrainingSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Lasting:
    """What of a pack's passes is made once and lasts while trials come and go."""

    rank: int
    """How wide the stacks are at least."""
    compiled: bool = False
    """Whether the repeated blocks are compiled."""
    recorded: bool = False
    """Whether whole passes are recorded as CUDA graphs."""


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
    views: Views = field(default_factory=Views)
    """How it sees the pictures that all trials share."""

    @property
    def pack_key(self) -> str:
        """Trials of the same key can share a forward and backward pass."""
        alone = "" if self.objective.prior_weight else " without regularisation pictures"
        preserving = " with the class preserved" if self.objective.preserve_class else ""
        return f"batch {self.train.batch_size}{alone}{preserving}"

    @property
    def lasting(self) -> Lasting | None:
        """What its pack makes once; None for nothing."""
        if not self.train.lasts:
            return None
        return Lasting(
            rank=self.train.compile_rank or self.adapter.rank,
            compiled=self.train.compile == "regional",
            recorded=self.train.cuda_graphs,
        )

    def __post_init__(self) -> None:
        if self.adapter.name == "adalora" and self.train.precision == "fp16":
            raise ValueError(
                "adapter=adalora needs train.precision fp32 or bf16: fp16 skips steps that its rank schedule counts"
            )
        self._check_steps()
        self._check_parts()

    def _check_steps(self) -> None:
        """Optimizers that are more than a rule for one step, and what else acts over many."""
        optimizer, kind = self.optimizer, self.optimizer.kind
        restarts = self.lr_scheduler.name == "cosine_with_restarts"
        if restarts and "safeguard_warmup" in kind.fields and not optimizer.safeguard_warmup:
            raise ValueError(
                f"{optimizer.name} with cosine_with_restarts needs optimizer.safeguard_warmup=true: "
                "each restart's small steps would spoil its estimate of the step size"
            )
        if kind.schedule_free and self.lr_scheduler.falls:
            raise ValueError(
                f"{optimizer.name} with lr_scheduler={self.lr_scheduler.name} averages late steps that hardly move: "
                "its average stands in for a falling rate; use constant or constant_with_warmup"
            )
        if kind.schedule_free and self.train.ema_decay is not None:
            raise ValueError(
                f"train.ema_decay with {optimizer.name} would average twice: what it is judged by is an average; "
                "set train.ema_decay=null"
            )

    def _check_parts(self) -> None:
        """Learning rates of the adapter's parts."""
        if self.optimizer.lora_plus_ratio != 1 and not ADAPTER_KINDS[self.adapter.name].as_lora:
            able = ", ".join(name for name, kind in ADAPTER_KINDS.items() if kind.as_lora)
            raise ValueError(
                f"optimizer.lora_plus_ratio is for adapters with a factor B ({able}), got {self.adapter.name}; set it "
                "to 1"
            )
        ratios, ratio = self.optimizer.kind.lr_ratios, self.optimizer.text_encoder_lr_ratio
        if self.adapter.text_encoder and ratios is not None and ratio not in ratios:
            also = "".join(f" (or {other:g})" for other in ratios[1:])
            raise ValueError(
                f"optimizer.text_encoder_lr_ratio must be {ratios[0]:g}{also} for {self.optimizer.name}, which "
                f"estimates one step size for all that it trains, got {ratio:g}; set it to {ratios[0]:g}, or choose "
                "among other optimizers"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """One trial with its base and its pictures: what `sweeper train` reads of the config."""

    base: BaseSpec
    data: DataSpec
    trial: TrialSpec
