"""Learning rates as layers feel them: the same change of a layer, whatever rank and alpha are."""

from __future__ import annotations

import math

import peft
import pytest
import torch
from torch import nn

from train.spec import AdapterSpec
from train.spec.layer_lr import layer_lr, lr_for_layers

WIDTH = 256
RATE = 1e-3


def change(adapter: AdapterSpec, lr: float) -> float:
    """How far PEFT's LoRA moves a layer, at random inputs, by one of AdamW's steps from where it starts."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH, bias=False))
    config = peft.LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, use_rslora=adapter.rslora, target_modules=["0"])
    lora = peft.get_peft_model(model, config)
    inputs = torch.randn(64, WIDTH)
    before = lora(inputs).detach()
    optimizer = torch.optim.AdamW([each for each in lora.parameters() if each.requires_grad], lr, weight_decay=0.0)
    (lora(inputs) * torch.randn(64, WIDTH)).sum().backward()
    optimizer.step()
    return float((lora(inputs) - before).detach().norm())


ADAPTERS = [
    AdapterSpec(rank=rank, alpha_ratio=ratio, rslora=rslora)
    for rank, ratio, rslora in ((4, 0.25, False), (8, 2, False), (64, 1, False), (4, 2, True), (32, 0.5, True))
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda each: f"{each.rank}-{each.alpha_ratio}-{each.rslora}")
def test_the_same_rate_of_layers_changes_a_layer_as_much_whatever_rank_and_alpha_are(adapter: AdapterSpec) -> None:
    usual = change(AdapterSpec(), RATE)
    lr = lr_for_layers(RATE, adapter)
    assert change(adapter, lr) == pytest.approx(usual, rel=0.3)
    assert layer_lr(lr, adapter) == pytest.approx(RATE, rel=1e-3)


def test_the_same_lr_does_not() -> None:
    small, large = (change(AdapterSpec(rank=rank, alpha_ratio=ratio), RATE) for rank, ratio in ((4, 0.25), (64, 2)))
    assert large > 20 * small


def test_it_is_the_rate_itself_for_the_usual_adapter_and_follows_the_scale_of_others() -> None:
    assert layer_lr(RATE, AdapterSpec()) == RATE == lr_for_layers(RATE, AdapterSpec())
    assert layer_lr(RATE, AdapterSpec(name="oft")) == RATE
    assert layer_lr(RATE, AdapterSpec(name="lokr", alpha_ratio=0.5)) == RATE / 2
    assert layer_lr(RATE, AdapterSpec(rank=64, rslora=True)) == pytest.approx(RATE * math.sqrt(64) * 2)
