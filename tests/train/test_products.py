"""A weight with a slot's LoRA merged in does what the layer and its update do, and is used where that is cheaper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from foundation.bases.port import Base
from train import stacks
from train.caches import EncodedDataset
from train.pack import Pack
from train.products import merged_linear, merging_pays
from train.spec import AdapterSpec, OptimizerSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]


def trial(seed: int, rank: int) -> TrialSpec:
    return TrialSpec(
        adapter=AdapterSpec(rank=rank, alpha_ratio=2.0, targets="attention+ff"),
        optimizer=OptimizerSpec(name="adamw", lr=0.05),
        train=TrainingSpec(steps=4, batch_size=2, seed=seed),
    )


def random(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [1, 3])
@torch.no_grad()
def test_a_merged_weight_gives_the_layer_with_each_slots_update(count: int, bias: bool) -> None:
    layer = nn.Linear(6, 5, bias=bias).double()
    x, down, up, scale = random(count * 2, 7, 6), random(count, 4, 6), random(count, 5, 4), random(count)
    found = merged_linear(layer, x, down, up, scale)
    for k, (own, part) in enumerate(zip(x.chunk(count), found.chunk(count), strict=True)):
        expected = layer(own) + scale[k] * own @ down[k].T @ up[k].T
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_it_pays_with_more_rows_than_a_weight_has_and_in_whole_precision_alone() -> None:
    layer = nn.Linear(8, 8)  # 64 entries, and a row costs 16
    assert not merging_pays(layer, random(4, 8, dtype=torch.float32), 1)
    assert merging_pays(layer, random(5, 8, dtype=torch.float32), 1)
    assert not merging_pays(layer, random(5, 8, dtype=torch.float32), 2)
    assert not merging_pays(layer.bfloat16(), random(50, 8).bfloat16(), 1)
    layer.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert not merging_pays(layer, random(50, 8, dtype=torch.float32), 1)
    with torch.enable_grad():
        assert not merging_pays(layer, random(50, 8, dtype=torch.float32), 1)
    assert not merging_pays(nn.Conv2d(8, 8, 1), random(2, 8, 4, 4, dtype=torch.float32), 1)


def test_slots_act_by_merged_weights_as_their_saved_files_act_in_diffusers(
    new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = new_base()
    pack = Pack(base, tiny_data, num_slots=3)
    slots = [pack.admit(trial(seed, rank)) for seed, rank in enumerate((4, 2, 3))]
    for _ in range(3):
        pack.step()
    pays: list[bool] = []

    def watched(layer: nn.Module, x: torch.Tensor, count: int) -> bool:
        pays.append(merging_pays(layer, x, count))
        return pays[-1]

    monkeypatch.setattr(stacks, "merging_pays", watched)
    noisy, times = tiny_data.train.means[:4], torch.tensor([1, 300, 600, 999])
    text = tiny_data.train.embeddings[:4]
    acting = [slots[2], slots[0]]  # not all, and not in order
    with pack.acting(acting):
        together = base.predict(noisy.repeat(2, 1, 1, 1), times.repeat(2), text.repeat(2, 1, 1))
    assert any(pays)
    with pack.acting([]):
        alone = base.predict(noisy, times, text)
    for slot, ours in zip(acting, together.chunk(2), strict=True):
        pack.save_adapter(slot, tmp_path / str(slot))
        with pack.acting_file(tmp_path / str(slot)):
            theirs = base.predict(noisy, times, text)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
        assert (theirs - alone).abs().max() > 1e-3
