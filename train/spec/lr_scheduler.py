"""The learning-rate curve of a trial: the `lr_scheduler` group of the configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

Factor = Callable[["LrSchedulerSpec", int, int], float]
"""What the learning rate is multiplied by: of the spec, a step (0 is the first) and the number of steps."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A shape that the learning rate may take."""

    factor: Factor
    """Its height, 1 at its top."""
    fields: tuple[str, ...] = ()
    """Fields of `LrSchedulerSpec` that this shape has and others do not."""
    falls: bool = True
    """Whether it is lower at its end than at its top."""


def _with_warmup(shape: Callable[[LrSchedulerSpec, float], float]) -> Factor:
    """A straight line up over the warm-up, then `shape` of how far the trial is from there (0) to its end (1)."""

    def factor(spec: LrSchedulerSpec, step: int, num_steps: int) -> float:
        num_warmup = round(spec.warmup * num_steps)
        if step < num_warmup:
            return step / num_warmup
        return shape(spec, min(1.0, (step - num_warmup) / max(1, num_steps - num_warmup)))

    return factor


def _flat(_: LrSchedulerSpec, __: float) -> float:
    return 1.0


def _linear(_: LrSchedulerSpec, progress: float) -> float:
    return 1 - progress


def _cosine(_: LrSchedulerSpec, progress: float) -> float:
    return _half_cosine(1, 0, progress)


def _restarts(spec: LrSchedulerSpec, progress: float) -> float:
    return 0.0 if progress == 1 else _half_cosine(1, 0, spec.num_cycles * progress % 1)


def _polynomial(spec: LrSchedulerSpec, progress: float) -> float:
    return spec.end + (1 - spec.end) * math.pow(1 - progress, spec.power)


def _rex(_: LrSchedulerSpec, progress: float) -> float:
    """Source: Chen et al. 2021, REX: Revisiting Budgeted Training with an Improved Schedule, arXiv:2107.04197."""
    return (1 - progress) / (0.5 + 0.5 * (1 - progress))


def _one_cycle(spec: LrSchedulerSpec, step: int, num_steps: int) -> float:
    """From 1/25 up, then down to 1/250000, each along half a cosine; betas and momentum stay what they are.

    Source: Smith & Topin 2017, Super-Convergence, arXiv:1708.07120, with the numbers of torch's OneCycleLR.
    """
    start, end = 1 / 25, 1 / 25 / 1e4
    top = max(0.0, spec.warmup * num_steps - 1)
    if step < top:
        return _half_cosine(start, 1, step / top)
    return _half_cosine(1, end, min(1.0, (step - top) / max(1.0, num_steps - 1 - top)))


def _stable_then_decay(spec: LrSchedulerSpec, step: int, num_steps: int) -> float:
    """Up in a straight line, flat, and down as 1 - √progress over the last share of the steps.

    Source: Hägele et al. 2024, Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
    arXiv:2405.18392, whose 1-sqrt falls best; as transformers' get_wsd_schedule(decay_type="1-sqrt").
    """
    num_warmup, num_decay = round(spec.warmup * num_steps), max(1, round(spec.decay * num_steps))
    if step < num_warmup:
        return step / num_warmup
    return 1 - math.sqrt(min(1.0, max(0.0, (step - (num_steps - num_decay)) / num_decay)))


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))


CURVES: Final[Mapping[str, Curve]] = {
    "constant": Curve(_with_warmup(_flat), falls=False),
    "constant_with_warmup": Curve(_with_warmup(_flat), falls=False),
    "linear": Curve(_with_warmup(_linear)),
    "cosine": Curve(_with_warmup(_cosine)),
    "cosine_with_restarts": Curve(_with_warmup(_restarts), fields=("num_cycles",)),
    "polynomial": Curve(_with_warmup(_polynomial), fields=("power", "end")),
    "rex": Curve(_with_warmup(_rex)),
    "one_cycle": Curve(_one_cycle),
    "warmup_stable_decay": Curve(_stable_then_decay, fields=("decay",)),
}
"""By the name that the config gives them. A new one is an entry here and a file in conf/lr_scheduler/."""

if TYPE_CHECKING:
    LrSchedulerName = str
else:
    LrSchedulerName = Literal[tuple(CURVES)]  # no second list of them


@dataclass(frozen=True, kw_only=True, slots=True)
class LrSchedulerSpec:
    """How the learning rate moves over a trial's steps."""

    name: LrSchedulerName = "constant"
    """Shape of the curve after warm-up."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises: from 0 in a straight line, or with one_cycle, which must,
    from 1/25 along half a cosine."""
    num_cycles: Annotated[int, Field(ge=1)] = 1
    """Cosine waves of cosine_with_restarts."""
    power: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """polynomial: its power; 1 is a straight line, 2 falls fast at first."""
    end: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """polynomial: share of the learning rate that is left at the end."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """warmup_stable_decay: share of the steps, the last ones, over which the rate falls to 0."""

    def __post_init__(self) -> None:
        if self.name == "constant" and self.warmup > 0:
            raise ValueError(
                f"lr_scheduler.warmup must be 0 for constant, got {self.warmup:g}; "
                "use lr_scheduler=constant_with_warmup"
            )
        if self.name == "one_cycle" and self.warmup == 0:
            raise ValueError("lr_scheduler.warmup must be > 0 for one_cycle, which rises first; 0.3 is usual")
        if "decay" in CURVES[self.name].fields and self.warmup + self.decay > 1:
            raise ValueError(
                f"lr_scheduler.warmup and lr_scheduler.decay are shares of the same steps, got {self.warmup:g} and "
                f"{self.decay:g}, which are more than all"
            )
        for name, default in (("num_cycles", 1), ("power", 1), ("end", 0), ("decay", 0.2)):
            having = ", ".join(each for each, curve in CURVES.items() if name in curve.fields)
            if name not in CURVES[self.name].fields and getattr(self, name) != default:
                raise ValueError(
                    f"lr_scheduler.{name} must be {default} for {self.name}, got {getattr(self, name):g}; "
                    f"it is for {having}"
                )

    @property
    def falls(self) -> bool:
        """Whether the rate is lower at the end."""
        return CURVES[self.name].falls

    def factor(self, step: int, num_steps: int) -> float:
        """What the learning rate is multiplied by at a step: 0 is the first of `num_steps`."""
        return CURVES[self.name].factor(self, step, num_steps)
