"""What fails a trial, and when it is known: the others are left as they were, and nothing of it is saved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from foundation.bases.port import Base
from foundation.errors import AdapterError, ConfigError, StudyError
from tests.train.test_pack import trial, weights
from train.caches import EncodedDataset
from train.pack import Pack
from train.reports import StepReport
from train.spec import AdapterSpec, OptimizerSpec, TrialSpec

NewBase = Callable[[], Base]


def test_nan_fails_one_trial_and_leaves_the_others_to_the_bit(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    def step_beside(first_weight: float) -> tuple[list[list[StepReport]], list[torch.Tensor]]:
        pack = Pack(new_base(), tiny_data, num_slots=2)
        neighbour, healthy = pack.admit(trial()), pack.admit(trial(seed=1))
        spoil(pack, neighbour, first_weight)
        reports = [pack.step() for _ in range(3)]
        assert pack.steps_done(healthy) == 3
        return reports, weights(pack, healthy)

    broken, beside_broken = step_beside(math.nan)
    fine, beside_fine = step_beside(0.01)
    assert [report.failure for step in broken for report in step if report.slot == 0] == ["loss is nan at step 1"]
    assert [step[-1] for step in broken] == [step[1] for step in fine]
    assert all(torch.equal(a, b) for a, b in zip(beside_broken, beside_fine, strict=True))


def spoil(pack: Pack, slot: int, value: float = math.nan) -> None:
    with torch.no_grad():
        pack._slot(slot).parameters[0].fill_(value)
    pack._packed.refresh(slot)


def test_read_every_ten_steps_or_every_step_the_reports_are_the_same(
    new_base: NewBase, tiny_data: EncodedDataset
) -> None:
    specs = [trial(steps=14, seed=1), trial("prodigy", steps=12, gradient_accumulation=2)]

    def train(read_every: int) -> list[list[StepReport]]:
        pack = Pack(new_base(), tiny_data, num_slots=2, read_every=read_every)
        for spec in specs:
            pack.admit(spec)
        return [pack.step() for _ in range(20)]

    often, seldom = train(1), train(10)
    both = [(number <= 14) + (number % 5 in (0, 2, 4)) for number in range(1, 21)]  # an epoch is five micro-batches
    assert [len(reports) for reports in often] == both
    assert [number for number, reports in enumerate(seldom, 1) if reports] == [10, 14, 20]
    assert [report for reports in seldom for report in reports] == [report for reports in often for report in reports]


def test_nan_that_is_read_late_fails_at_its_own_step_and_is_never_saved(
    new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    def train(read_every: int, breaks: bool) -> tuple[list[StepReport], list[torch.Tensor], Pack]:
        pack = Pack(new_base(), tiny_data, num_slots=2, read_every=read_every)
        slots = pack.admit(trial()), pack.admit(trial(seed=1))
        reports = [report for _ in range(3) for report in pack.step()]
        if breaks:
            spoil(pack, slots[0])
        for _ in range(4):
            reports += pack.step()
        return reports, weights(pack, slots[1]), pack

    at_once, _, _ = train(1, breaks=True)
    nothing, beside, pack = train(10, breaks=True)
    fine, beside_fine, _ = train(1, breaks=False)
    assert nothing == []
    for save in (pack.save_state, pack.save_adapter):
        with pytest.raises(StudyError, match="slot 0 failed"):
            save(0, tmp_path / "broken")
        save(1, tmp_path / save.__name__)
    assert not (tmp_path / "broken").exists()
    reports = pack.read()
    assert [report.failure for report in reports if report.slot == 0] == [None] * 3 + ["loss is nan at step 4"]
    assert str(reports) == str(at_once)  # nan is not equal to itself
    assert [report for report in reports if report.slot == 1] == [report for report in fine if report.slot == 1]
    assert all(torch.equal(a, b) for a, b in zip(beside, beside_fine, strict=True))
    pack.release(0)
    assert pack.admit(trial(seed=2, steps=1)) == 0
    assert [report.failure for report in pack.step()] == [None, None]


def test_gradient_that_is_not_finite_fails_its_trial(
    tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=2)
    broken, _ = pack.admit(trial()), pack.admit(trial(seed=1))
    take = pack._packed.take_gradients

    def take_broken(slots: list[int]) -> None:
        take(slots)
        gradient = pack._slot(broken).parameters[3].grad
        assert gradient is not None
        gradient[0] = math.inf

    monkeypatch.setattr(pack._packed, "take_gradients", take_broken)
    failed, healthy = pack.step()
    assert failed.failure == "gradient norm is inf at step 1"
    assert math.isfinite(failed.loss)
    assert healthy.failure is None


def test_between_two_readings_no_number_leaves_the_device(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=2, read_every=3)
    pack.admit(trial(seed=1))
    pack.admit(trial())
    pack.step()
    with Readings() as readings:
        pack.step()
        assert readings.count == 0
        pack.step()  # the first number of the next line would do, were it not for this
        torch.ones(()).item()
        assert readings.count == 1


class Readings(TorchDispatchMode):
    """Counts the calls that make the host wait for one number of a tensor."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_running_out_of_memory_fails_one_trial(
    tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=1)
    slot = pack.admit(trial())

    def no_memory(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(pack.base, "predict", no_memory)
    (report,) = pack.step()
    assert report.failure == "out of memory on cpu: CUDA out of memory. Tried to allocate 2 GiB"
    assert pack.steps_done(slot) == 0


def test_a_step_that_torch_refuses_fails_one_trial_with_its_words(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=2)
    wild = replace(trial(), optimizer=OptimizerSpec(name="lion", lr=1e39))  # overflows float32 inside the optimizer
    pack.admit(wild)
    pack.admit(trial())
    pack.step()  # the warm-up's first rate is 0
    broken, healthy = pack.step()
    assert broken.failure == "step 2 failed: value cannot be converted to type float without overflow"
    assert healthy.failure is None


def test_half_precision_on_the_cpu_is_refused_in_one_line(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        Pack(tiny_base, tiny_data, num_slots=1, precision="fp16")


def test_targets_that_fit_nothing_are_refused_and_leave_the_slot_free(
    tiny_base: Base, tiny_data: EncodedDataset
) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=1)
    with pytest.raises(AdapterError, match="no_such_layer"):
        pack.admit(TrialSpec(adapter=AdapterSpec(targets=("no_such_layer",))))
    assert pack.free == [0]
    pack.admit(trial())
    with pytest.raises(StudyError, match="all 1 slots are taken"):
        pack.admit(trial())
