"""Optimizers and curves are the libraries' own, with the arguments that the config says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import bitsandbytes
import lion_pytorch
import prodigyopt
import pytest
import torch
from diffusers.optimization import get_scheduler
from torch import nn
from torch.optim import Optimizer

from foundation.errors import ConfigError
from train.optimizers import build_optimizer, effective_lr
from train.schedules import build_schedule
from train.spec import LrSchedulerName, LrSchedulerSpec, OptimizerName, OptimizerSpec

CASES: dict[OptimizerName, tuple[type[Optimizer], OptimizerSpec, dict[str, Any]]] = {
    "adamw": (
        torch.optim.AdamW,
        OptimizerSpec(name="adamw", lr=0.02, weight_decay=0.3, beta1=0.8, beta2=0.95, settings={"eps": 1e-5}),
        {"lr": 0.02, "weight_decay": 0.3, "betas": (0.8, 0.95), "eps": 1e-5, "fused": True},
    ),
    "adamw8bit": (
        bitsandbytes.optim.AdamW8bit,
        OptimizerSpec(name="adamw8bit", lr=0.02, weight_decay=0.3, beta1=0.8, beta2=0.95, settings={"eps": 1e-5}),
        {"lr": 0.02, "weight_decay": 0.3, "betas": (0.8, 0.95), "eps": 1e-5},
    ),
    "lion": (
        lion_pytorch.Lion,
        OptimizerSpec(name="lion", lr=0.002, weight_decay=0.3, beta1=0.8, beta2=0.95),
        {"lr": 0.002, "weight_decay": 0.3, "betas": (0.8, 0.95)},
    ),
    "prodigy": (
        prodigyopt.Prodigy,
        OptimizerSpec(
            name="prodigy",
            lr=0.9,
            weight_decay=0.3,
            beta1=0.8,
            beta2=0.95,
            beta3=0.9,
            d_coef=0.5,
            safeguard_warmup=True,
            use_bias_correction=True,
            settings={"d0": 1e-3},
        ),
        {
            "lr": 0.9,
            "weight_decay": 0.3,
            "betas": (0.8, 0.95),
            "beta3": 0.9,
            "d_coef": 0.5,
            "safeguard_warmup": True,
            "use_bias_correction": True,
            "d0": 1e-3,
        },
    ),
}


def weights() -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 64 * 80).reshape(64, 80).clone())


def descend(optimizer: Optimizer, parameter: nn.Parameter, steps: int = 4) -> torch.Tensor:
    """Minimise (w - 0.3)² for some steps."""
    for _ in range(steps):
        optimizer.zero_grad()
        (parameter - 0.3).square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("name", CASES)
def test_an_optimizer_is_the_librarys_own_with_the_specs_arguments(name: OptimizerName) -> None:
    kind, spec, arguments = CASES[name]
    parameter = weights()
    optimizer = build_optimizer(spec, [parameter])
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert [id(each) for each in group["params"]] == [id(parameter)]
    for key, value in arguments.items():
        assert group[key] == value, key
    twin = weights()
    expected = descend(kind([twin], **arguments), twin)
    assert torch.equal(descend(optimizer, parameter), expected)
    assert not torch.equal(expected, weights())


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_out_of_the_config_is_the_librarys_default(name: OptimizerName) -> None:
    kind = CASES[name][0]
    lr = 1.0 if name == "prodigy" else 1e-3
    ours, theirs = weights(), weights()
    spec = OptimizerSpec(name=name, lr=lr)
    fields: dict[str, Any] = {"lr": lr, "betas": (spec.beta1, spec.beta2), "weight_decay": spec.weight_decay}
    if name == "adamw":
        fields["fused"] = True  # the one exception: the same numbers, sooner
    groups = [
        {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        for optimizer in (build_optimizer(spec, [ours]), kind([theirs], **fields))
    ]
    assert groups[0] == groups[1]


@pytest.mark.parametrize("name", ["adamw", "adamw8bit", "lion"])
def test_the_text_encoder_learns_at_its_own_rate_on_the_same_curve(name: OptimizerName) -> None:
    kind, spec, arguments = CASES[name]
    ours, text = weights(), weights()
    optimizer = build_optimizer(replace(spec, text_encoder_lr_ratio=0.25), [ours], [text])
    schedule = build_schedule(LrSchedulerSpec(name="linear"), optimizer, 10)
    ((ours - 0.3).square().sum() + (text - 0.3).square().sum()).backward()
    optimizer.step()
    for parameter, lr in ((ours, spec.lr), (text, spec.lr / 4)):
        twin = weights()
        assert torch.equal(parameter.detach(), descend(kind([twin], **{**arguments, "lr": lr}), twin, 1))
    assert effective_lr(optimizer) == spec.lr
    for _ in range(5):
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([spec.lr / 2, spec.lr / 8])


def test_prodigy_takes_the_text_encoder_at_the_same_rate() -> None:
    ours, theirs = ([weights(), nn.Parameter(weights().detach() / 2)] for _ in range(2))
    spec = OptimizerSpec(name="prodigy", lr=0.9, text_encoder_lr_ratio=1)
    for optimizer, parameters in (
        (build_optimizer(spec, ours[:1], ours[1:]), ours),
        (build_optimizer(spec, theirs), theirs),
    ):
        for _ in range(4):
            optimizer.zero_grad()
            ((parameters[0] - 0.3).square().sum() + (parameters[1] - 0.3).square().sum()).backward()
            optimizer.step()
    assert all(torch.equal(a.detach(), b.detach()) for a, b in zip(ours, theirs, strict=True))


def test_adamw8bit_keeps_its_statistics_in_8_bits_and_adamw_does_not() -> None:
    for name, dtype in (("adamw8bit", torch.uint8), ("adamw", torch.float32)):
        parameter = nn.Parameter(weights().detach().repeat(2, 1))
        optimizer = build_optimizer(CASES[name][1], [parameter])  # type: ignore[index]
        descend(optimizer, parameter, 1)
        kept = [value for value in optimizer.state[parameter].values() if getattr(value, "shape", None) == (128, 80)]
        assert kept and {value.dtype for value in kept} == {dtype}


@pytest.mark.parametrize("name", ["adamw", "adamw8bit", "lion"])
def test_the_effective_lr_is_the_groups(name: OptimizerName) -> None:
    parameter = weights()
    optimizer = build_optimizer(CASES[name][1], [parameter])
    descend(optimizer, parameter)
    assert effective_lr(optimizer) == CASES[name][1].lr
    optimizer.param_groups[0]["lr"] = 0.25
    assert effective_lr(optimizer) == 0.25


def test_prodigys_effective_lr_is_the_schedules_times_the_step_size_that_it_found() -> None:
    parameter = weights()
    optimizer = build_optimizer(OptimizerSpec(name="prodigy", lr=0.9), [parameter])
    assert effective_lr(optimizer) == pytest.approx(0.9 * 1e-6)  # d0
    descend(optimizer, parameter, 10)
    found = float(optimizer.param_groups[0]["d"])
    assert found > 2e-6
    assert effective_lr(optimizer) == pytest.approx(0.9 * found)


def test_an_optimizer_that_is_not_installed_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.spec.optimizer.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="optimizer lion is not installed; run `pip install lion-pytorch` or choose"):
        build_optimizer(CASES["lion"][1], [weights()])
    build_optimizer(CASES["adamw"][1], [weights()])


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
