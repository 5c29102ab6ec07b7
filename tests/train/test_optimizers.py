"""Optimizers are the libraries' own, with the arguments that the config says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bitsandbytes
import lion_pytorch
import prodigyopt
import pytest
import pytorch_optimizer
import schedulefree
import torch
from torch import nn
from torch.optim import Optimizer
from transformers.optimization import Adafactor

from foundation.errors import ConfigError
from train.optimizers import build_optimizer, effective_lr, restore
from train.schedules import build_schedule
from train.spec import LrSchedulerSpec, OptimizerName, OptimizerSpec
from train.spec.optimizer_kinds import OPTIMIZERS

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
    "lion8bit": (
        bitsandbytes.optim.Lion8bit,
        OptimizerSpec(name="lion8bit", lr=0.002, weight_decay=0.3, beta1=0.8, beta2=0.95),
        {"lr": 0.002, "weight_decay": 0.3, "betas": (0.8, 0.95)},
    ),
    "dadapt_adam": (
        pytorch_optimizer.DAdaptAdam,
        OptimizerSpec(
            name="dadapt_adam",
            lr=0.9,
            weight_decay=0.3,
            beta1=0.8,
            use_bias_correction=True,
            settings={"d0": 1e-3, "growth_rate": 2},
        ),
        {
            "lr": 0.9,
            "weight_decay": 0.3,
            "weight_decouple": True,
            "betas": (0.8, 0.999),
            "bias_correction": True,
            "d0": 1e-3,
            "growth_rate": 2,
        },
    ),
    "adafactor": (
        Adafactor,
        OptimizerSpec(name="adafactor", lr=0.02, weight_decay=0.3, beta1=0.8, settings={"clip_threshold": 0.5}),
        {
            "lr": 0.02,
            "weight_decay": 0.3,
            "beta1": 0.8,
            "clip_threshold": 0.5,
            "scale_parameter": False,
            "relative_step": False,
        },
    ),
    "came": (
        pytorch_optimizer.CAME,
        OptimizerSpec(name="came", lr=0.02, weight_decay=0.3, beta2=0.95, beta3=0.99, settings={"eps2": 1e-8}),
        {"lr": 0.02, "weight_decay": 0.3, "betas": (0.9, 0.95, 0.99), "eps2": 1e-8},
    ),
    "schedulefree_adamw": (
        schedulefree.AdamWScheduleFree,
        OptimizerSpec(name="schedulefree_adamw", lr=0.02, weight_decay=0.3, beta1=0.8, settings={"r": 0.5}),
        {"lr": 0.02, "weight_decay": 0.3, "betas": (0.8, 0.999), "r": 0.5},
    ),
    "sgd": (
        torch.optim.SGD,
        OptimizerSpec(name="sgd", lr=0.02, weight_decay=0.3, momentum=0.8, nesterov=True),
        {"lr": 0.02, "weight_decay": 0.3, "momentum": 0.8, "nesterov": True, "fused": True},
    ),
}
AT_ANY_RATIO = sorted(name for name, kind in OPTIMIZERS.items() if kind.lr_ratios is None)
UNTOLD = {"d0", "clip_threshold", "growth_rate", "eps2"}
"""Arguments that the libraries keep elsewhere than in the groups, or under another name."""


def weights() -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 64 * 80).reshape(64, 80).clone())


def reference(kind: type[Optimizer], parameters: list[nn.Parameter], arguments: dict[str, Any]) -> Optimizer:
    """The library's, ready to train."""
    optimizer: Any = kind(parameters, **arguments)  # type: ignore[call-arg]
    if kind is schedulefree.AdamWScheduleFree:
        optimizer.train()
    return optimizer


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
    for key in set(arguments) - UNTOLD:
        assert group[key] == arguments[key], key
    twin = weights()
    expected = descend(reference(kind, [twin], arguments), twin)
    plain = weights()
    elsewhere = descend(reference(kind, [plain], {"lr": arguments["lr"], **OPTIMIZERS[name].given}), plain)
    assert torch.equal(descend(optimizer, parameter), expected)
    assert not torch.equal(expected, elsewhere)  # the arguments count


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_out_of_the_config_is_the_librarys_default(name: OptimizerName) -> None:
    kind = CASES[name][0]
    lr = 1.0 if OPTIMIZERS[name].adaptive else 1e-3
    ours, theirs = weights(), weights()
    spec = OptimizerSpec(name=name, lr=lr)
    fields: dict[str, Any] = {"lr": lr, "weight_decay": spec.weight_decay, **OPTIMIZERS[name].given}
    groups = [
        {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        for optimizer in (build_optimizer(spec, [ours]), reference(kind, [theirs], fields))
    ]
    assert groups[0] == groups[1]


@pytest.mark.parametrize("name", AT_ANY_RATIO)
def test_the_text_encoder_learns_at_its_own_rate_on_the_same_curve(name: OptimizerName) -> None:
    kind, spec, arguments = CASES[name]
    ours, text = weights(), weights()
    optimizer = build_optimizer(replace(spec, text_encoder_lr_ratio=0.25), [ours], [text])
    schedule = build_schedule(LrSchedulerSpec(name="linear"), optimizer, 10)
    ((ours - 0.3).square().sum() + (text - 0.3).square().sum()).backward()
    optimizer.step()
    for parameter, lr in ((ours, spec.lr), (text, spec.lr / 4)):
        twin = weights()
        assert torch.equal(parameter.detach(), descend(reference(kind, [twin], {**arguments, "lr": lr}), twin, 1))
    assert effective_lr(optimizer) == spec.lr
    for _ in range(5):
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([spec.lr / 2, spec.lr / 8])


@pytest.mark.parametrize("name", ["prodigy", "dadapt_adam"])
def test_what_finds_its_step_size_takes_the_text_encoder_at_the_same_rate(name: OptimizerName) -> None:
    ours, theirs = ([weights(), nn.Parameter(weights().detach() / 2)] for _ in range(2))
    spec = OptimizerSpec(name=name, lr=0.9, text_encoder_lr_ratio=1)
    for optimizer, parameters in (
        (build_optimizer(spec, ours[:1], ours[1:]), ours),
        (build_optimizer(spec, theirs), theirs),
    ):
        for _ in range(4):
            optimizer.zero_grad()
            ((parameters[0] - 0.3).square().sum() + (parameters[1] - 0.3).square().sum()).backward()
            optimizer.step()
    assert all(torch.equal(a.detach(), b.detach()) for a, b in zip(ours, theirs, strict=True))


def test_8_bit_optimizers_keep_their_statistics_in_8_bits_and_others_do_not() -> None:
    names = {"adamw8bit": torch.uint8, "adamw": torch.float32, "lion8bit": torch.uint8, "lion": torch.float32}
    for name, dtype in names.items():
        parameter = nn.Parameter(weights().detach().repeat(2, 1))
        optimizer = build_optimizer(CASES[name][1], [parameter])  # type: ignore[index]
        descend(optimizer, parameter, 1)
        kept = [value for value in optimizer.state[parameter].values() if getattr(value, "shape", None) == (128, 80)]
        assert kept and {value.dtype for value in kept} == {dtype}


@pytest.mark.parametrize("name", AT_ANY_RATIO)
def test_the_effective_lr_is_the_groups(name: OptimizerName) -> None:
    parameter = weights()
    optimizer = build_optimizer(CASES[name][1], [parameter])
    descend(optimizer, parameter)
    assert effective_lr(optimizer) == CASES[name][1].lr
    optimizer.param_groups[0]["lr"] = 0.25
    assert effective_lr(optimizer) == 0.25


@pytest.mark.parametrize("name", ["prodigy", "dadapt_adam"])
def test_the_effective_lr_is_the_curves_times_the_step_size_that_was_found(name: OptimizerName) -> None:
    parameter = weights()
    optimizer = build_optimizer(OptimizerSpec(name=name, lr=0.9), [parameter])
    assert effective_lr(optimizer) == pytest.approx(0.9 * 1e-6)  # d0
    descend(optimizer, parameter, 10)
    found = float(optimizer.param_groups[0]["d"])
    assert found > 2e-6
    assert effective_lr(optimizer) == pytest.approx(0.9 * found)


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1), ("sqrt", 3), ("linear", 9)])
def test_the_rate_grows_with_the_images_of_a_step(scaling: Any, factor: float) -> None:
    spec = OptimizerSpec(name="lion", lr=1e-4, lr_scaling=scaling)
    optimizer = build_optimizer(spec, [weights()], [weights()], images_per_step=9)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-4 * factor, 0.5e-4 * factor])
    assert effective_lr(optimizer) == pytest.approx(1e-4 * factor)
    assert build_optimizer(spec, [weights()]).param_groups[0]["lr"] == 1e-4


def test_an_optimizer_that_is_not_installed_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.spec.optimizer.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="optimizer lion is not installed; run `pip install lion-pytorch` or choose"):
        build_optimizer(CASES["lion"][1], [weights()])
    build_optimizer(CASES["adamw"][1], [weights()])


@pytest.mark.parametrize("name", ["dadapt_adam", "lion8bit", "prodigy"])
def test_what_is_restored_goes_to_the_parameters_device(name: OptimizerName) -> None:
    spec = OptimizerSpec(name=name, lr=1e-3 if name == "lion8bit" else 1.0, text_encoder_lr_ratio=1)
    here = [nn.Parameter(torch.randn(64, 128)), nn.Parameter(torch.randn(3))]
    optimizer = build_optimizer(spec, here[:1], here[1:])
    for parameter in here:
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    there = [nn.Parameter(torch.empty_like(parameter, device="meta")) for parameter in here]
    moved = build_optimizer(spec, there[:1], there[1:])
    restore(moved, optimizer.state_dict())
    states = [each for state in moved.state.values() for each in state.values() if isinstance(each, torch.Tensor)]
    beside = [each for group in moved.param_groups for each in group.values() if isinstance(each, torch.Tensor)]
    assert states and bool(beside) == (name == "dadapt_adam")
    assert {each.device.type for each in (*states, *beside)} == {"meta"}
    assert [group["params"] for group in moved.param_groups] == [there[:1], there[1:]]
