"""What training and judging take is measured block by block, and told side by side."""

from __future__ import annotations

import sys

import pytest
import torch

from sweeper.records.costs import Cost, Costs
from sweeper.worker.meter import Meter


def test_time_adds_up_and_of_memory_the_most_counts() -> None:
    first = Costs(training=Cost(seconds=3, gigabytes=2), judging=Cost(seconds=1, gigabytes=1.25))
    both = first + Costs(training=Cost(seconds=1.4, gigabytes=1), judging=Cost(seconds=0.5, gigabytes=1.5))
    assert str(both) == "training took 4 s and at most 2.0 GB, judging 2 s and at most 1.5 GB"
    assert both.training.share(2) == Cost(seconds=2.2, gigabytes=2)
    assert first.metrics() == {
        "training_seconds": 3,
        "training_gigabytes": 2,
        "judging_seconds": 1,
        "judging_gigabytes": 1.25,
    }
    assert Costs().metrics() == {}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process's peak is that since it began")
def test_a_blocks_peak_is_its_own() -> None:
    meter = Meter(torch.device("cpu"))
    with meter.measure() as large:
        torch.ones(50_000_000)  # 200 MB
    with meter.measure() as small:
        torch.ones(1000)
    assert large[0].gigabytes - small[0].gigabytes == pytest.approx(0.2, abs=0.05)
    assert large[0].seconds > 0


def test_a_gpus_memory_is_what_torch_gave_out_since_the_block_began(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", lambda device: calls.append(f"forgets {device}"))
    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", lambda _: 3_500_000_000)
    with Meter(torch.device("cuda:1")).measure() as costs:
        calls.append("works")
    assert calls == ["forgets cuda:1", "works"]
    assert costs[0].gigabytes == 3.5
