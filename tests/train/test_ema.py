"""What is judged and saved of a trial that averages its weights, and that its training does not notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schedulefree
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from foundation.bases.port import Base
from tests.train import plain_training
from train.caches import EncodedDataset
from train.ema import Average
from train.pack import Pack
from train.slot import Slot
from train.spec import AdapterSpec, BaseSpec, OptimizerSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]
STEPS = 4
RAW = TrialSpec(
    adapter=AdapterSpec(rank=4, text_encoder=True),
    optimizer=OptimizerSpec(lr=0.05),
    train=TrainingSpec(steps=STEPS, batch_size=2),
)
AVERAGED = replace(RAW, train=replace(RAW.train, ema_decay=0.9))
FREE = replace(RAW, optimizer=OptimizerSpec(name="schedulefree_adamw", lr=0.05, beta1=0.8))


def trained(base: Base, data: EncodedDataset, *specs: TrialSpec) -> Pack:
    pack = Pack(base, data, len(specs))
    for spec in specs:
        pack.admit(spec)
    for _ in range(STEPS):
        pack.step()
    return pack


def double(base: Base) -> Base:
    base.denoiser.double()
    base.text_encoder.double()
    base.dtype = torch.float64
    return base


def weights(pack: Pack, slot: int) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in pack._slot(slot).parameters]


@pytest.mark.parametrize("most", [0.3, 0.9999])
def test_the_average_is_its_recurrence_and_diffusers_own(most: float) -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in (3, 5)]
    ours, theirs = Average(parameters, most), EMAModel(parameters, decay=most)
    expected = [parameter.detach().clone() for parameter in parameters]
    for step in range(1, 40):
        for parameter in parameters:
            parameter.data.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        ours.take_in(step)
        theirs.step(parameters)
        decay = 0.0 if step == 1 else min(most, step / (9 + step))
        expected = [decay * old + (1 - decay) * new.detach() for old, new in zip(expected, parameters, strict=True)]
        for own, other, closed in zip(ours.values, theirs.shadow_params, expected, strict=True):
            torch.testing.assert_close(own, closed, rtol=0, atol=1e-13)
            torch.testing.assert_close(own, other, rtol=0, atol=1e-13)


def test_in_float64_what_is_used_is_the_average_of_the_steps_and_training_goes_on_from_the_last(
    new_base: NewBase, tiny_data: EncodedDataset
) -> None:
    pack, alone = Pack(double(new_base()), tiny_data, 2), Pack(double(new_base()), tiny_data, 1)
    pack.admit(AVERAGED)
    pack.admit(replace(RAW, train=replace(RAW.train, seed=1)))
    alone.admit(RAW)
    expected = weights(pack, 0)
    for step in range(1, STEPS + 1):
        pack.step()
        alone.step()
        raw = weights(pack, 0)
        decay = 0.0 if step == 1 else min(0.9, step / (9 + step))
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, raw, strict=True)]
        with pack._slot(0).for_use():
            used = weights(pack, 0)
        for own, closed in zip(used, expected, strict=True):
            torch.testing.assert_close(own, closed, rtol=0, atol=1e-12)
        for own, before, other in zip(weights(pack, 0), raw, weights(alone, 0), strict=True):
            assert torch.equal(own, before)
            torch.testing.assert_close(own, other, rtol=0, atol=1e-9)
    assert max((own - other).abs().max() for own, other in zip(used, raw, strict=True)) > 1e-3


def test_in_float64_what_is_used_of_a_schedule_free_trial_is_its_papers_x(
    new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def reference(_: OptimizerSpec, parameters: list[nn.Parameter]) -> Any:
        """The library's other one, which keeps x itself instead of working it out."""
        optimizer = schedulefree.AdamWScheduleFreeReference(parameters, lr=0.05, betas=(0.8, 0.999), weight_decay=0.01)
        optimizer.train()
        made.append(optimizer)
        return optimizer

    spec = replace(FREE, adapter=replace(FREE.adapter, text_encoder=False))
    pack = trained(double(new_base()), tiny_data, spec, RAW)
    monkeypatch.setattr(plain_training, "build_optimizer", reference)
    _, theirs = plain_training.plain_training(tiny_spec, tiny_data, spec, STEPS, torch.float64)
    raw = weights(pack, 0)
    for own, other in zip(raw, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-10)
    made[0].eval()
    with pack._slot(0).for_use():
        used = weights(pack, 0)
    for own, other in zip(used, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-10)
    assert max((own - other).abs().max() for own, other in zip(used, raw, strict=True)) > 1e-3


@pytest.mark.parametrize("spec", [AVERAGED, FREE], ids=["ema", "schedule-free"])
def test_it_acts_as_the_file_that_it_writes_and_is_left_as_it_was(
    spec: TrialSpec, new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = trained(double(new_base()), tiny_data, RAW, spec)
    base, raw = pack.base, weights(pack, 1)
    stacks = [layer.up.detach().clone() for layer in pack._packed._layers.values() if layer.up is not None]

    def predicted() -> torch.Tensor:
        text = base.encode_texts(["a red cup", "a green cup"]).double()
        return base.predict(tiny_data.validation.means[:2], torch.tensor([100, 700]), text)

    with pack.acting([0, 1]) as acting:
        text = acting.encode_texts(["a red cup", "a green cup"] * 2).double()
        rows = tiny_data.validation.means[:2].repeat(2, 1, 1, 1)
        together = acting.predict(rows, torch.tensor([100, 700] * 2), text)[2:]
    with pack.acting([1]):
        alone = predicted()
    pack.save_adapter(1, tmp_path / "used")
    with pack.acting_file(tmp_path / "used"):
        from_file = predicted()
    assert (together - alone).abs().max() < 1e-10
    assert (alone - from_file).abs().max() < 1e-5  # the file is in float32
    for own, before in zip(weights(pack, 1), raw, strict=True):
        assert torch.equal(own, before)
    after = [layer.up for layer in pack._packed._layers.values() if layer.up is not None]
    assert all(torch.equal(now, before) for now, before in zip(after, stacks, strict=True))
    monkeypatch.setattr(Slot, "is_average", False)
    with pack.acting([1]):
        assert (predicted() - alone).abs().max() > 1e-4


def test_a_judgement_that_breaks_leaves_the_training_as_it_was(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    pack = trained(new_base(), tiny_data, FREE, AVERAGED)
    raw = weights(pack, 0), weights(pack, 1)
    with pytest.raises(RuntimeError, match="out of memory"), pack.acting([0, 1]):
        raise RuntimeError("out of memory")
    for slot in (0, 1):
        assert all(torch.equal(own, other) for own, other in zip(weights(pack, slot), raw[slot], strict=True))
    assert all(group["train_mode"] for group in pack._slot(0).optimizer.param_groups)


def test_a_saved_state_holds_the_weights_and_their_average(
    new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    pack = trained(new_base(), tiny_data, AVERAGED)
    pack.save_state(0, tmp_path / "state")
    state = torch.load(tmp_path / "state" / "state.pt", weights_only=True)
    raw = state["adapter"]
    own = pack._slot(0).adapter.state()
    assert raw.keys() == own.keys()
    assert all(torch.equal(raw[key], own[key]) for key in raw)
    saved = state["average"]
    with pack._slot(0).for_use():
        assert all(torch.equal(value, used) for value, used in zip(saved, weights(pack, 0), strict=True))
