"""All that a step needs is on the base's device, only a batch is brought there, and nothing is waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset
from tests.train.other_device import DEVICE, Border, elsewhere
from tests.train.tiny_families import BUILDERS, build
from train.caches import EncodedDataset, encode_dataset
from train.pack import Pack
from train.spec import AdapterSpec, ObjectiveSpec, OptimizerName, OptimizerSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]
COLUMNS = 5
"""Of a batch: latents, noise, times, embeddings, tokens."""
OWN = {"chroma": 1}
"""What diffusers' transformer makes on the host in every pass."""


def trial(optimizer: OptimizerName = "sgd", objective: ObjectiveSpec | None = None, **adapter: Any) -> TrialSpec:
    settings: dict[str, Any] = {"fused": False} if optimizer in ("sgd", "adamw") else {}
    return TrialSpec(
        adapter=AdapterSpec(**{"rank": 4, **adapter}),
        optimizer=OptimizerSpec(name=optimizer, lr=1e-3, settings=settings),
        objective=objective or ObjectiveSpec(),
        train=TrainingSpec(batch_size=2),
    )


def brought(border: Border, base: Base, data: EncodedDataset, specs: list[TrialSpec]) -> int:
    """Tensors that the second step of a pack brought to the device."""
    pack = Pack(base, data, len(specs), read_every=100)
    for spec in specs:
        pack.admit(spec)
    pack.step()
    before = len(border.brought)
    assert pack.step() == []
    return len(border.brought) - before


@pytest.mark.parametrize("family", BUILDERS)
def test_a_step_of_every_family(
    family: str, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_base(build(family, tmp_path / family), torch.device("cpu"))
    data = encode_dataset(base, tiny_dataset, tmp_path / "cache")
    specs = [trial(dropout=0.1), trial(rank=2)]
    if family in ("stable_diffusion", "sdxl"):
        specs += [trial(text_encoder=True)]
    with elsewhere(base, monkeypatch) as border:
        assert brought(border, base, data, specs) == COLUMNS + base.reads_sizes + OWN.get(family, 0)
        with Pack(base, data, 1).acting([]) as plain:
            predicted = plain.predict(
                *(each[:2].to(DEVICE) for each in (data.train.means, torch.ones(2), data.train.embeddings))
            )
        assert predicted.shape == data.train.means[:2].shape


@pytest.mark.parametrize(
    "objectives",
    [
        {"loss": "huber", "huber_schedule": "snr"},
        {"loss": "smooth_l1", "snr_gamma": 5.0, "noise_offset": 0.1, "input_perturbation": 0.1},
        {"debiased": True, "caption_dropout": 0.5, "multires_iterations": 2},
        {"shuffle_tags": True},
    ],
    ids=["huber", "snr", "debiased", "captions"],
)
def test_a_step_with_every_objective(
    objectives: dict[str, Any], tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ObjectiveSpec(**objectives)
    specs = [trial(), trial(objective=own), trial(objective=own, text_encoder=True)]
    with elsewhere(tiny_base, monkeypatch) as border:
        brought(border, tiny_base, tiny_data, specs)


@pytest.mark.parametrize(
    "adapter",
    [
        {"dropout": 0.1, "targets": "all"},
        {"name": "locon"},
        {"dora": True, "dropout": 0.1},
        {"name": "loha"},
        {"name": "lokr"},
        {"name": "ia3", "rank": 16, "targets": ("to_k", "to_v")},
        {"name": "oft", "rank": 16, "block_size": 4},
        {"name": "adalora"},
    ],
    ids=str,
)
def test_a_step_of_every_kind_of_adapter(
    adapter: dict[str, Any], tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with elsewhere(tiny_base, monkeypatch) as border:
        brought(border, tiny_base, tiny_data, [trial(**adapter)])


@pytest.mark.parametrize("name", ["adamw", "lion", "schedulefree_adamw", "adafactor", "came"])
def test_a_step_of_every_optimizer_that_does_not_wait(
    name: OptimizerName, tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with elsewhere(tiny_base, monkeypatch) as border:
        brought(border, tiny_base, tiny_data, [trial(name)])
