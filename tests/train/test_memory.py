"""What training takes by shapes alone is what the tensors of real packs take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from foundation.bases.families import FAMILIES
from foundation.bases.registry import load_base
from foundation.bases.unloaded import architecture_of, unloaded_base
from foundation.data.dataset import Dataset
from foundation.tensor_memory import TensorMemory
from tests.train.tiny_families import BUILDERS, build
from train.caches import encode_dataset
from train.memory import TrainingMemory, state_per_number, training_memory
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, OptimizerSpec, TrainingSpec, TrialSpec


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """One process has one precision, but for this."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def trial(*, text: bool = False, optimizer: str = "adamw", **train: Any) -> TrialSpec:
    return TrialSpec(
        adapter=AdapterSpec(rank=4, targets="attention+ff", text_encoder=text),
        optimizer=OptimizerSpec(name=optimizer, settings={"fused": False} if optimizer == "adamw" else {}),
        train=TrainingSpec(steps=9, batch_size=2, **train),
    )


def foretold(spec: BaseSpec, family: str, of: TrialSpec) -> TrainingMemory:
    kept = state_per_number(of.optimizer)
    with unloaded_base(spec, family, architecture_of(spec), of.train.precision) as (fake, memory):
        return training_memory(fake, of, memory, kept)


def taken(spec: BaseSpec, of: TrialSpec, slots: int, dataset: Dataset, cache: Path) -> int:
    """Bytes at the peak of a real pack's passes, the base's included."""
    base = load_base(spec, torch.device("cpu"), of.train.precision)
    data = encode_dataset(base, dataset, cache)
    parts = [each for each in base.pipeline.components.values() if isinstance(each, torch.nn.Module)]
    weights = sum(each.nbytes for part in parts for each in (*part.parameters(), *part.buffers()))
    with TensorMemory() as memory:
        for part in parts:
            for own in (*part.parameters(), *part.buffers()):
                memory._count(own.untyped_storage())
        pack = Pack(base, data, slots, of.train.precision, of.train.activation_checkpointing, read_every=100)
        for _ in range(slots):
            pack.admit(of)
        pack.step()  # after which optimizers have their states
        with memory.peak() as peak:
            pack.step()
    assert peak[0] > weights
    return peak[0]


@pytest.mark.parametrize("family", BUILDERS)
def test_packs_take_what_was_foretold(family: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    spec, of = build(family, tmp_path), trial(text=FAMILIES[family].trains_text)
    found = foretold(spec, family, of)
    assert found.peak.at(3) == pytest.approx(taken(spec, of, 3, tiny_dataset, tmp_path), rel=0.1)


@pytest.mark.parametrize("train", [{"activation_checkpointing": True}, {"precision": "bf16"}], ids=str)
def test_it_knows_checkpointing_and_precision(train: dict[str, Any], tiny_dataset: Dataset, tmp_path: Path) -> None:
    spec, of = build("stable_diffusion", tmp_path), trial(**train)
    found = foretold(spec, "stable_diffusion", of)
    assert found.peak.at(2) == pytest.approx(taken(spec, of, 2, tiny_dataset, tmp_path), rel=0.1)
    plain = foretold(spec, "stable_diffusion", trial())
    assert found.peak.at(4) < plain.peak.at(4)
    assert (found.adapter, found.flops > 0) == (plain.adapter, True)


def test_checkpoints_run_again_as_they_ran_on_a_gpu(tmp_path: Path) -> None:
    spec, of = build("flux", tmp_path), trial(precision="bf16", activation_checkpointing=True)
    with unloaded_base(spec, "flux", architecture_of(spec), "bf16", "cuda") as (fake, memory):
        assert training_memory(fake, of, memory, 8.0, device="cuda").peak.two > memory.alive


@pytest.mark.parametrize(("name", "expected"), [("adamw", 8), ("lion", 4), ("sgd", 0), ("adamw8bit", 2.1)])
def test_what_an_optimizer_keeps(name: str, expected: float) -> None:
    assert state_per_number(OptimizerSpec(name=name)) == pytest.approx(expected, abs=0.15)
