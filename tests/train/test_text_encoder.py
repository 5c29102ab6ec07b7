"""A trial that trains the text encoder, too: packed as alone, as in plain PEFT, saved, resumed and drawn with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import StableDiffusionPipeline

from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset
from tests.train.plain_training import plain_training
from tests.train.test_pack import picture, run, weights
from tests.train.test_packed import OPTIMIZERS, STEPS, assert_same, doubled, one, trained
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, OptimizerName, OptimizerSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]
BOTH = AdapterSpec(rank=4, alpha_ratio=0.5, targets="attention+ff", text_encoder=True)


def teaching(spec: TrialSpec, adapter: AdapterSpec, ratio: float) -> TrialSpec:
    return replace(spec, adapter=adapter, optimizer=replace(spec.optimizer, text_encoder_lr_ratio=ratio))


FIVE = [
    one("adamw", 1, replace(BOTH, dropout=0.2)),
    one("lion", 2, AdapterSpec(rank=2, dropout=0.3), "constant"),
    replace(
        one("adamw", 3, replace(BOTH, rank=3, rslora=True, text_encoder_rank=5)),
        optimizer=OptimizerSpec(name="prodigy", lr=1.0, text_encoder_lr_ratio=1, settings={"d0": 1e-3}),
    ),
    teaching(one("lion", 4, BOTH, "constant_with_warmup", 2), replace(BOTH, rank=1, text_encoder_rank=2), 3),
    one("adamw", 5, AdapterSpec(rank=3, dora=True, dropout=0.1, text_encoder=True, rank_pattern={"q_proj": 6})),
]
"""No two alike: with and without text encoder, ranks, dropout, optimizer, ratio, caption dropout, accumulation."""

Trained = tuple[list[float], list[torch.Tensor]]


Reference = Callable[[int], tuple[Trained, Trained]]


@pytest.fixture(scope="module")
def reference(loaded_base: Base, tiny_spec: BaseSpec, tiny_data: EncodedDataset) -> Reference:
    """What one of `FIVE` comes to alone in a pack, and in plain PEFT; each is trained once."""

    @cache
    def of(number: int) -> tuple[Trained, Trained]:
        spec = FIVE[number]
        (losses,), (parameters,) = trained(doubled(copy.deepcopy(loaded_base)), tiny_data, [spec])
        return (losses, parameters), plain_training(tiny_spec, tiny_data, spec, STEPS, torch.float64)

    return of


def test_token_ids_are_the_tokenizers_and_give_the_cached_embeddings(
    tiny_base: Base, tiny_dataset: Dataset, tiny_data: EncodedDataset
) -> None:
    tokenizer = tiny_base.pipeline.tokenizer
    for number, taken in enumerate(tiny_dataset.train):
        ids = tokenizer(taken.caption, padding="max_length", max_length=40).input_ids
        assert tiny_data.train.tokens[number].tolist() == ids
    assert tiny_data.empty_tokens.tolist() == [tokenizer("", padding="max_length", max_length=40).input_ids]
    with torch.no_grad():
        assert torch.equal(tiny_base.embed(tiny_data.train.tokens), tiny_data.train.embeddings)
        assert torch.equal(tiny_base.embed(tiny_data.empty_tokens), tiny_data.empty)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_in_float64_a_packed_trial_is_the_same_alone_and_in_plain_peft(
    count: int, new_base: NewBase, tiny_data: EncodedDataset, reference: Reference
) -> None:
    losses, parameters = trained(doubled(new_base()), tiny_data, FIVE[:count])
    for number, (ours, own) in enumerate(zip(losses, parameters, strict=True)):
        for other_losses, other_parameters in reference(number):
            assert ours == pytest.approx(other_losses, abs=1e-10)
            assert_same(own, other_parameters, 1e-8)


def test_the_text_encoders_adapter_learns(reference: Reference) -> None:
    """So that what the other tests compare is not idle: B starts at 0."""
    for number, spec in enumerate(FIVE):
        (_, parameters), _ = reference(number)
        last = parameters[-1] if not spec.adapter.dora else parameters[-2]
        assert last.abs().max() > 1e-4 or not spec.adapter.text_encoder


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_float32_too_with_every_optimizer(
    name: OptimizerName, new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    spec = teaching(one(name, 7, AdapterSpec()), replace(BOTH, dropout=0.1), 1 if name == "prodigy" else 0.5)
    losses, _ = trained(new_base(), tiny_data, [FIVE[0], spec, FIVE[1]])
    plain, _ = plain_training(tiny_spec, tiny_data, spec, STEPS)
    assert losses[1] == pytest.approx(plain, abs=1e-4)


def test_only_rows_of_slots_that_train_it_go_through_the_text_encoder(
    new_base: NewBase, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = new_base()
    seen: list[int] = []
    embed = base.embed
    monkeypatch.setattr(base, "embed", lambda tokens: (seen.append(len(tokens)), embed(tokens))[1])
    pack = Pack(base, tiny_data, num_slots=3)
    pack.admit(FIVE[1])
    pack.step()
    assert seen == []
    pack.admit(FIVE[0])
    pack.step()
    pack.admit(FIVE[2])
    pack.step()
    assert seen == [2, 4]  # of batches of 2


def test_a_refilled_slot_equals_a_fresh_one(new_base: NewBase, tiny_data: EncodedDataset, reference: Reference) -> None:
    pack = Pack(doubled(new_base()), tiny_data, num_slots=2)
    pack.admit(replace(FIVE[4], train=replace(FIVE[4].train, steps=100)))
    used = pack.admit(one("adamw", 9, replace(BOTH, rank=9)))
    run(pack, used, 2)
    pack.release(used)
    between = pack.admit(FIVE[1])  # a slot that had a text encoder's adapter, and has none
    assert [report.loss for report in run(pack, between, 3)] == pytest.approx(reference(1)[0][0][:3], abs=1e-10)
    pack.release(between)
    losses = [report.loss for report in run(pack, pack.admit(FIVE[0]), STEPS)]
    assert losses == pytest.approx(reference(0)[0][0], abs=1e-10)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_resumed_equals_uninterrupted(number: int, tiny_base: Base, tiny_data: EncodedDataset, tmp_path: Path) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=1)
    slot = pack.admit(FIVE[number])
    run(pack, slot, 3)
    pack.save_state(slot, tmp_path / "state")
    through = [report.loss for report in run(pack, slot, 3)]
    expected = weights(pack, slot)
    pack.release(slot)
    resumed = pack.admit(FIVE[number], resume_from=tmp_path / "state")
    assert [report.loss for report in run(pack, resumed, 3)] == through
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights(pack, resumed), expected, strict=True))


def test_drawing_in_between_changes_nothing(new_base: NewBase, tiny_data: EncodedDataset, reference: Reference) -> None:
    """DoRA computes another way in evaluation mode, to which drawing turns the text encoder's layers."""
    pack = Pack(doubled(new_base()), tiny_data, num_slots=1)
    slot = pack.admit(FIVE[4])
    losses = [report.loss for report in run(pack, slot, 1)]
    with pack.acting([slot]) as base:
        base.encode_texts(["a red cup"])
    losses += [report.loss for report in run(pack, slot, 3)]
    assert losses == pytest.approx(reference(4)[0][0][:4], abs=1e-10)


def test_out_of_memory_in_the_text_encoder_lowers_what_shares_a_pass(
    new_base: NewBase,
    tiny_data: EncodedDataset,
    reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = doubled(new_base())
    real = base.embed

    def small_memory(tokens: torch.Tensor) -> torch.Tensor:
        embeddings = real(tokens)  # dropout has drawn by then
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return embeddings

    monkeypatch.setattr(base, "embed", small_memory)
    losses, _ = trained(base, tiny_data, [FIVE[0], FIVE[4]])
    assert losses[0] == pytest.approx(reference(0)[0][0], abs=1e-10)
    assert losses[1] == pytest.approx(reference(4)[0][0], abs=1e-10)


def test_activation_checkpointing_changes_nothing_but_memory(
    new_base: NewBase, tiny_data: EncodedDataset, reference: Reference
) -> None:
    (losses,), (parameters,) = trained(doubled(new_base()), tiny_data, FIVE[:1], activation_checkpointing=True)
    assert losses == pytest.approx(reference(0)[0][0], abs=1e-10)
    assert_same(parameters, reference(0)[0][1], 1e-8)


@pytest.mark.parametrize(
    "adapter",
    [
        BOTH,
        AdapterSpec(rank=4, targets=("conv1",), rslora=True, text_encoder=True, text_encoder_rank=3),
        AdapterSpec(rank=4, alpha_ratio=0.25, targets="all", dora=True, text_encoder=True, rank_pattern={"fc1": 2}),
    ],
    ids=["plain", "rslora", "dora"],
)
def test_saved_adapter_makes_the_slots_picture_in_plain_diffusers(
    adapter: AdapterSpec, tiny_base: Base, tiny_pipeline: Path, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=2)
    optimizer = OptimizerSpec(lr=0.05, text_encoder_lr_ratio=2)
    slot = pack.admit(TrialSpec(adapter=adapter, optimizer=optimizer, train=TrainingSpec(steps=8, batch_size=2)))
    pack.admit(FIVE[0])
    run(pack, slot, 6)
    pack.save_adapter(slot, tmp_path / "lora")
    with pack.acting([slot]) as base:
        ours, prompt = picture(base.pipeline), base.encode_texts(["a red cup"])
    with pack.acting([]) as base:
        plain_prompt = base.encode_texts(["a red cup"])
    before = [weights(pack, each) for each in pack.active]
    with pack.acting_file(tmp_path / "lora") as base:
        reloaded = picture(base.pipeline)
    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_pipeline, safety_checker=None, requires_safety_checker=False
    )
    pipeline.load_lora_weights(str(tmp_path / "lora"))
    with torch.no_grad():
        theirs, _ = pipeline.encode_prompt("a red cup", torch.device("cpu"), 1, False)
    assert (prompt - plain_prompt).abs().max() > 0.05  # its text encoder learned something
    torch.testing.assert_close(theirs, prompt, rtol=0, atol=1e-5)
    assert np.abs(ours - picture(pipeline)).mean() < 0.1 / 255
    assert np.abs(ours - reloaded).mean() < 0.1 / 255
    for each, untouched in zip(pack.active, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(weights(pack, each), untouched, strict=True))
        assert all(parameter.requires_grad for parameter in pack._slot(each).parameters)


def test_a_base_in_half_precision_keeps_its_slots_adapters_whole(
    tiny_spec: BaseSpec, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    base = load_base(tiny_spec, torch.device("cpu"), "bf16")
    pack = Pack(base, tiny_data, num_slots=1, precision="bf16")
    slot = pack.admit(replace(FIVE[0], optimizer=OptimizerSpec(lr=0.01)))
    run(pack, slot, 3)
    pack.save_adapter(slot, tmp_path / "lora")
    before = weights(pack, slot)
    with pack.acting_file(tmp_path / "lora") as acting:
        acting.encode_texts(["a red cup"])
    assert {parameter.dtype for parameter in before} == {torch.float32}
    assert all(torch.equal(ours, own) for ours, own in zip(weights(pack, slot), before, strict=True))
    report: Any = run(pack, slot, 1)[0]
    assert report.failure is None
    assert not all(torch.equal(ours, own) for ours, own in zip(weights(pack, slot), before, strict=True))
    AcceleratorState._reset_state(reset_partial_state=True)
