"""Every kind of adapter and learning-rate curve trains, however few its steps are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foundation.bases.port import Base
from tests.train.test_packed import one
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, LrSchedulerSpec, TrainingSpec
from train.spec.lr_scheduler import CURVES

FEW = (1, 2, 3)
KINDS = [
    AdapterSpec(rank=2),
    AdapterSpec(rank=2, dora=True),
    AdapterSpec(rank=2, init="pissa"),
    AdapterSpec(name="locon", rank=2),
    AdapterSpec(name="loha", rank=2),
    AdapterSpec(name="lokr", rank=2),
    AdapterSpec(name="ia3"),
    AdapterSpec(name="oft"),
    AdapterSpec(name="adalora", rank=2),
    AdapterSpec(name="adalora", rank=2, text_encoder=True),
    AdapterSpec(name="adalora", rank=4, budget_warmup=0.0, budget_final=0.95),
    AdapterSpec(name="adalora", rank=4, budget_warmup=0.95, budget_final=0.0, budget_every=3),
    AdapterSpec(name="adalora", rank=2, target_ratio=0.99, budget_warmup=0.4, budget_final=0.55),
]


@pytest.mark.parametrize("adapter", KINDS, ids=lambda spec: f"{spec.name} {spec.init} {spec.budget_final}")
def test_every_kind_of_adapter_trains_one_step_two_or_three(
    adapter: AdapterSpec, tiny_base: Base, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    pack = Pack(tiny_base, tiny_data, len(FEW))
    slots = [pack.admit(replace(one("adamw", 0, adapter), train=TrainingSpec(steps=n, batch_size=1))) for n in FEW]
    reports = [report for _ in range(max(FEW)) for report in pack.step()]
    for slot, steps in zip(slots, FEW, strict=True):
        own = [(report.step, report.failure) for report in reports if report.slot == slot]
        assert own == [(step, None) for step in range(1, steps + 1)]
        pack.save_adapter(slot, tmp_path / str(steps))
        pack.release(slot)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("steps", FEW)
def test_every_curve_has_a_rate_for_each_step(name: Any, steps: int) -> None:
    for warmup in {"constant": (0.0,), "one_cycle": (0.4, 0.9), "warmup_stable_decay": (0.0, 0.4)}.get(
        name, (0.0, 0.4, 0.9)
    ):
        spec = LrSchedulerSpec(name=name, warmup=warmup)
        factors = [spec.factor(step, steps) for step in range(steps + 1)]
        assert all(0 <= factor <= 1 for factor in factors) and max(factors) > 0


def test_adalora_takes_ranks_away_as_soon_as_it_has_measured_a_step(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    pack = Pack(tiny_base, tiny_data, len(FEW))
    adapter = AdapterSpec(name="adalora", rank=4, budget_warmup=0.0, budget_final=0.9)
    slots = [pack.admit(replace(one("adamw", 0, adapter), train=TrainingSpec(steps=n, batch_size=1))) for n in FEW]
    for _ in range(max(FEW)):
        pack.step()
    left = []
    for slot in slots:
        state = pack._slot(slot).adapter.state()
        kept = [each for key, each in state.items() if "lora_E" in key and each.is_floating_point() and ":" not in key]
        left.append(sum(int(each.count_nonzero()) for each in kept) / len(kept))
        pack.release(slot)
    assert left == pytest.approx([4, 2, 2], abs=0.1)
