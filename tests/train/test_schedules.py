"""Learning-rate curves are their closed forms, and those of diffusers and PyTorch where these have them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers.optimization import get_polynomial_decay_schedule_with_warmup, get_scheduler
from torch import nn
from transformers.optimization import get_wsd_schedule

from train.schedules import build_schedule
from train.spec import LrSchedulerName, LrSchedulerSpec
from train.spec.lr_scheduler import CURVES


def curve(spec: LrSchedulerSpec, steps: int, lr: float = 2.0) -> list[float]:
    """The learning rate at each step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = build_schedule(spec, optimizer, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("spec", "closed_form"),
    [
        (LrSchedulerSpec(name="constant"), lambda step: 1.0),
        (LrSchedulerSpec(name="constant_with_warmup", warmup=0.1), lambda step: min(1.0, step / 10)),
        (LrSchedulerSpec(name="linear"), lambda step: 1 - step / 100),
        (
            LrSchedulerSpec(name="linear", warmup=0.2),
            lambda step: step / 20 if step < 20 else (100 - step) / 80,
        ),
        (
            LrSchedulerSpec(name="cosine", warmup=0.1),
            lambda step: step / 10 if step < 10 else 0.5 * (1 + math.cos(math.pi * (step - 10) / 90)),
        ),
        (
            LrSchedulerSpec(name="cosine_with_restarts", warmup=0.1, num_cycles=3),
            lambda step: step / 10 if step < 10 else 0.5 * (1 + math.cos(math.pi * ((3 * (step - 10) / 90) % 1))),
        ),
        (
            LrSchedulerSpec(name="polynomial", warmup=0.1, power=3.0, end=0.25),
            lambda step: step / 10 if step < 10 else 0.25 + 0.75 * ((100 - step) / 90) ** 3,
        ),
        (LrSchedulerSpec(name="rex"), lambda step: (1 - step / 100) / (1 / 2 + 1 / 2 * (1 - step / 100))),
        (
            LrSchedulerSpec(name="rex", warmup=0.2),
            lambda step: step / 20 if step < 20 else 2 * (100 - step) / (80 + 100 - step),
        ),
    ],
)
def test_a_curve_is_its_closed_form(spec: LrSchedulerSpec, closed_form: Any) -> None:
    assert curve(spec, 100) == pytest.approx([2.0 * closed_form(step) for step in range(100)], abs=1e-9)


@pytest.mark.parametrize("name", ["constant_with_warmup", "linear", "cosine", "cosine_with_restarts"])
@pytest.mark.parametrize(("share", "steps", "num_warmup"), [(0.1, 200, 20), (0.25, 10, 2), (0.05, 30, 2), (0.0, 7, 0)])
def test_warm_up_is_a_share_of_the_steps_for_diffusers_curves(
    name: LrSchedulerName, share: float, steps: int, num_warmup: int
) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    reference = get_scheduler(name, optimizer, num_warmup_steps=num_warmup, num_training_steps=steps)
    factor = reference.lr_lambdas[0]
    assert curve(LrSchedulerSpec(name=name, warmup=share), steps) == pytest.approx(
        [2 * factor(i) for i in range(steps)]
    )


def test_polynomial_is_diffusers_own() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    reference = get_polynomial_decay_schedule_with_warmup(optimizer, 5, 50, lr_end=0.2, power=1.5)
    ours = curve(LrSchedulerSpec(name="polynomial", warmup=0.1, power=1.5, end=0.1), 50)
    assert ours == pytest.approx([2 * reference.lr_lambdas[0](step) for step in range(50)])


@pytest.mark.parametrize(("steps", "share"), [(100, 0.3), (37, 0.25), (10, 0.8), (8, 0.3), (200, 0.05)])
def test_one_cycle_is_torchs_own(steps: int, share: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2.0, total_steps=steps, pct_start=share, cycle_momentum=False
    )
    expected = []
    for step in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:
            reference.step()
    assert curve(LrSchedulerSpec(name="one_cycle", warmup=share), steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("warmup", "decay", "steps"), [(0.1, 0.2, 50), (0.0, 1.0, 30), (0.25, 0.01, 40)])
def test_stable_then_decay_is_transformers_own(warmup: float, decay: float, steps: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    num_decay = max(1, round(decay * steps))
    reference = get_wsd_schedule(optimizer, round(warmup * steps), num_decay, steps, decay_type="1-sqrt")
    ours = curve(LrSchedulerSpec(name="warmup_stable_decay", warmup=warmup, decay=decay), steps)
    assert ours == pytest.approx([2 * reference.lr_lambdas[0](step) for step in range(steps)])


def test_shares_of_more_than_all_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0.7 and 0.5, which are more than all"):
        LrSchedulerSpec(name="warmup_stable_decay", warmup=0.7, decay=0.5)
    with pytest.raises(ValueError, match="lr_scheduler.decay must be 0.2 for cosine, got 0.5"):
        LrSchedulerSpec(name="cosine", decay=0.5)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_a_curve_is_whole_for_any_number_of_steps_and_goes_on_where_it_was_saved(name: LrSchedulerName) -> None:
    spec = LrSchedulerSpec(name=name, warmup=0.0 if name == "constant" else 0.3)
    for steps in (1, 2, 3, 7):
        rates = curve(spec, steps, lr=1.0)
        assert all(0 <= rate <= 1 for rate in rates)
        assert 0 <= spec.factor(steps, steps) <= 1
        assert spec.factor(steps, steps) == (pytest.approx(0, abs=1e-5) if spec.falls else 1)
    schedules = []
    for _ in range(2):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
        schedules.append((optimizer, build_schedule(spec, optimizer, 9)))
    (optimizer, schedule), (resumed_optimizer, resumed) = schedules
    for _ in range(4):
        optimizer.step()
        schedule.step()
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(4):
        rates = []
        for each, curve_of_it in ((optimizer, schedule), (resumed_optimizer, resumed)):
            each.step()
            curve_of_it.step()
            rates.append(each.param_groups[0]["lr"])
        assert rates[0] == rates[1]
