"""The number of slots is found by what they bring, and nothing of the measuring stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from foundation.bases.port import Base
from train.caches import EncodedDataset
from train.capacity import best_count, measure_capacity
from train.pack import Pack
from train.reports import describe_costs
from train.spec import AdapterSpec, TrainingSpec, TrialSpec

SPEC = TrialSpec(adapter=AdapterSpec(rank=2), train=TrainingSpec(batch_size=2))


class PlayedDevice:
    """A clock that a pass moves on by `seconds(rows)`, whatever the real machine does."""

    def __init__(self, base: Base, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> None:
        self.now = 0.0
        real = base.predict

        def predict(noisy: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
            self.now += seconds(len(noisy))
            return real(noisy, *rest)

        monkeypatch.setattr(base, "predict", predict)

    def clock(self) -> float:
        return self.now


def test_slots_are_added_as_long_as_they_bring_a_tenth(
    tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = PlayedDevice(tiny_base, monkeypatch, lambda rows: 1.0 if rows <= 4 else rows / 4.2)
    curve = measure_capacity(tiny_base, tiny_data, SPEC, most=12, clock=device.clock)
    found = [(each.slots, each.steps_per_second) for each in curve]
    assert found == [(1, 1.0), (2, 2.0), (4, pytest.approx(2.1)), (8, pytest.approx(2.1))]  # and 12 is not tried
    assert describe_costs(curve) == "1: 1.0, 2: 2.0, 4: 2.1, 8: 2.1 steps/s"
    assert best_count(curve) == 2


def test_a_count_that_does_not_pay_may_lie_before_one_that_does(
    tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = PlayedDevice(tiny_base, monkeypatch, lambda rows: {2: 1.0, 4: 1.9}.get(rows, 2.5))
    curve = measure_capacity(tiny_base, tiny_data, SPEC, most=4, clock=device.clock)
    assert describe_costs(curve) == "1: 1.0, 2: 1.1, 4: 1.6 steps/s"
    assert best_count(curve) == 4


def test_a_busy_machine_gets_a_second_chance(
    tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = iter([True] * 5)  # while two slots are measured first: one pass to warm up, four timed
    device = PlayedDevice(tiny_base, monkeypatch, lambda rows: 3.0 if rows == 4 and next(busy, False) else 1.0)
    curve = measure_capacity(tiny_base, tiny_data, SPEC, most=2, clock=device.clock)
    assert [(each.slots, each.steps_per_second) for each in curve] == [(1, 1.0), (2, 2.0)]
    assert best_count(curve) == 2
    assert best_count([]) == 1 and best_count(curve[:1]) == 1


def test_no_more_slots_than_trials(tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    device = PlayedDevice(tiny_base, monkeypatch, lambda _: 1.0)
    curve = measure_capacity(tiny_base, tiny_data, SPEC, most=5, clock=device.clock)
    assert [each.slots for each in curve] == [1, 2, 4, 5]


def test_what_does_not_fit_into_memory_ends_the_curve(
    tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(rows: int) -> float:
        if rows > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return 1.0

    device = PlayedDevice(tiny_base, monkeypatch, seconds)
    assert [each.slots for each in measure_capacity(tiny_base, tiny_data, SPEC, 8, device.clock)] == [1, 2]


def test_measuring_leaves_the_base_as_it_was(new_base: Callable[[], Base], tiny_data: EncodedDataset) -> None:
    measured, untouched = new_base(), new_base()
    measure_capacity(measured, tiny_data, SPEC, most=2)
    losses = []
    for base in (measured, untouched):
        pack = Pack(base, tiny_data, num_slots=1)
        pack.admit(SPEC)
        losses.append([report.loss for _ in range(2) for report in pack.step()])
        pack.release(0)
        assert not [name for name, _ in base.denoiser.named_parameters() if "lora" in name]
    assert losses[0] == losses[1]
