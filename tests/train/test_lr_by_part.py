"""LoRA+ and learning rates by part: what PEFT's own LoRA+ gives each factor, and what a step changes."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch
from peft.optimizers import create_loraplus_optimizer

from foundation.bases.port import Base
from foundation.errors import AdapterError, ConfigError
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, OptimizerSpec, TrainingSpec, TrialSpec

LR = 1e-3


def trial(adapter: AdapterSpec | None = None, **optimizer: Any) -> TrialSpec:
    return TrialSpec(
        adapter=adapter or AdapterSpec(rank=2, text_encoder=True),
        optimizer=OptimizerSpec(name="sgd", lr=LR, weight_decay=0.0, text_encoder_lr_ratio=1.0, **optimizer),
        train=TrainingSpec(batch_size=2, steps=2, clip_norm=1e6),
    )


def rates(pack: Pack, slot: int) -> dict[str, float]:
    own = pack._slot(slot)
    names = own.adapter.names
    return {names[each]: group["lr"] for group in own.optimizer.param_groups for each in group["params"]}


def test_each_factor_has_the_rate_of_pefts_lora_plus(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    bare, pack = copy.deepcopy(tiny_base.denoiser), Pack(tiny_base, tiny_data, 1)
    ours = rates(pack, pack.admit(trial(AdapterSpec(rank=2, dora=True), lora_plus_ratio=4.0)))
    config = peft.LoraConfig(r=2, use_dora=True, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
    model: Any = peft.inject_adapter_in_model(config, bare, "theirs")
    optimizer = create_loraplus_optimizer(model, torch.optim.SGD, lr=LR, loraplus_lr_ratio=4.0)
    names = {id(each): name.replace(".theirs", "") for name, each in model.named_parameters()}
    theirs = {names[id(each)]: group["lr"] for group in optimizer.param_groups for each in group["params"]}
    magnitudes = {name for name in ours if "magnitude" in name}  # PEFT counts what has one dimension among the Bs
    assert ours.keys() == theirs.keys()
    assert {name: rate for name, rate in ours.items() if name not in magnitudes} == pytest.approx(
        {name: rate for name, rate in theirs.items() if name not in magnitudes}
    )
    assert {ours[name] for name in magnitudes} == {LR}


def test_a_step_is_as_much_larger_as_the_rate_of_the_part(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    """By plain gradient descent, beside a trial of one rate that begins at the same weights and learns the same."""
    pack = Pack(tiny_base, tiny_data, 2)
    plain = pack.admit(trial())
    parts = pack.admit(trial(lora_plus_ratio=4.0, lr_by={r"attn1\.": 0.5, "^text_encoder": 2.0, "attn2": 0.0}))
    pack.step()

    def changes(slot: int) -> dict[str, torch.Tensor]:
        return {name: each.detach() for each, name in pack._slot(slot).adapter.names.items() if ".lora_B" in name}

    seen = set()
    for (name, ours), theirs in zip(changes(parts).items(), changes(plain).values(), strict=True):
        factor = 4 * (0.5 if "attn1." in name else 2.0 if name.startswith("text_encoder") else 0.0)
        torch.testing.assert_close(ours, factor * theirs, rtol=1e-4, atol=1e-9)
        seen |= {factor} if theirs.any() else set()
    assert seen == {2.0, 8.0, 0.0}


def test_mistakes_are_said_in_one_line(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    pack = Pack(tiny_base, tiny_data, 1)
    with pytest.raises(AdapterError, match=r"optimizer.lr_by: 'nowhere' is in no name of what is trained"):
        pack.admit(trial(lr_by={"nowhere": 2.0}))
    with pytest.raises(ConfigError, match=r"optimizer.lr_by: '\(' is no regular expression"):
        trial(lr_by={"(": 1.0})
    with pytest.raises(ValueError, match=r"for adapters with a factor B \(lora, locon, adalora\), got loha"):
        trial(AdapterSpec(name="loha", rank=2), lora_plus_ratio=2.0)
    with pytest.raises(ConfigError, match=r"optimizer.lora_plus_ratio must be 1 for prodigy"):
        OptimizerSpec(name="prodigy", lr=1.0, lora_plus_ratio=2.0)
