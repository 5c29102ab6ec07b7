"""Learning-rate curves by name, as diffusers defines them."""

from __future__ import annotations

from diffusers.optimization import get_scheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from train.spec import LrSchedulerSpec


def build_schedule(spec: LrSchedulerSpec, optimizer: Optimizer, num_steps: int) -> LRScheduler:
    """A curve over `num_steps` optimizer steps, one `step()` each; warm-up is a share of them, rounded."""
    schedule: LRScheduler = get_scheduler(
        spec.name,
        optimizer,
        num_warmup_steps=round(spec.warmup * num_steps),
        num_training_steps=num_steps,
        num_cycles=spec.num_cycles,
    )
    return schedule
