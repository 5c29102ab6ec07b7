"""Which devices are taken, and what each is asked: torch's modules are stood in for, there is no GPU here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from foundation import devices
from sweeper.launchers.local import LocalLauncher, devices_of
from sweeper.launchers.spec import LauncherSpec


class Kinds:
    """Stand-ins for `torch.cuda`, `torch.mps` and `torch.xpu`."""

    def __init__(self, **counts: int) -> None:
        self.modules = {kind: self._module(counts.get(kind, 0)) for kind in devices.KINDS}

    def _module(self, count: int) -> Any:
        return SimpleNamespace(
            is_available=lambda: count > 0,
            device_count=lambda: count,
            get_device_properties=lambda _: SimpleNamespace(name="A card", total_memory=24 << 30),
            recommended_max_memory=lambda: 16 << 30,
            current_allocated_memory=lambda: 3 << 30,
            driver_allocated_memory=lambda: 4 << 30,
        )

    def of(self, device: object) -> Any:
        return self.modules[torch.device(str(device)).type]


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        ({"cuda": 2, "xpu": 1}, ("cuda:0", "cuda:1")),
        ({"mps": 1, "xpu": 2}, ("mps",)),
        ({"xpu": 2}, ("xpu:0", "xpu:1")),
        ({}, ("cpu",)),
    ],
)
def test_the_first_kind_that_is_there_is_taken_with_all_its_devices(
    counts: dict[str, int], names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_device_module", Kinds(**counts).of)
    assert devices.found_devices() == names
    assert devices.best_device() == torch.device(names[0].partition(":")[0])
    assert devices_of(LauncherSpec()) == (names, ())


def test_a_device_that_torch_is_built_for_and_cannot_use_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_device_module", Kinds().of)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    (line,) = LocalLauncher.check(LauncherSpec())
    assert line.startswith("launcher.devices=auto: torch is built for cuda, and cannot use it here (")
    assert line.endswith("); it takes the CPU") and "\n" not in line


def test_devices_of_a_kind_are_told_by_name_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_device_module", Kinds(cuda=1, mps=1).of)
    assert devices.kind_of(torch.device("cuda:0")) == "A card with 24 GiB"
    assert devices.kind_of(torch.device("mps")) == "mps with 16 GiB"
    assert devices.kind_of(devices.CPU) == "cpu"


def test_memory_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch, "get_device_module", Kinds(mps=1).of)
    monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", asked.append)
    monkeypatch.setattr(torch.accelerator, "max_memory_reserved", lambda _: 6 << 30)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda _: (1 << 30, 24 << 30))
    mps, xpu = torch.device("mps"), torch.device("xpu:1")
    for device in (devices.CPU, mps, xpu):
        devices.forget_peak(device)
    assert asked == [xpu]
    assert [devices.peak_share(device) for device in (devices.CPU, mps, xpu)] == [None, 0.25, 0.25]
    assert devices.peak_memory(mps) == 3 << 30
    assert devices.total_memory(devices.CPU) == psutil.virtual_memory().total


def test_the_state_of_the_cpus_generator_is_read_and_set() -> None:
    get, put = devices.random_state(devices.CPU)
    before = get()
    drawn = torch.rand(3)
    put(before)
    assert torch.equal(torch.rand(3), drawn)
