"""Learning-rate curves on an optimizer."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from train.spec import LrSchedulerSpec


def build_schedule(spec: LrSchedulerSpec, optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """A curve over `num_steps` optimizer steps, one `step()` each; warm-up is a share of them, rounded."""
    return LambdaLR(optimizer, lambda step: spec.factor(step, num_steps))
