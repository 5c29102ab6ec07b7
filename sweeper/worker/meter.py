"""How long a block runs on a device, and how much memory is in use meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
import torch

from foundation.devices import forget_peak, peak_memory
from sweeper.records.costs import Cost

_FORGET_PEAK: Final = "5"
"""What makes Linux count a process's peak memory from now on (proc(5), clear_refs)."""


class Meter:
    """Measures blocks on one device, in the process that works there. No block waits for a GPU because of it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    @contextmanager
    def measure(self) -> Iterator[list[Cost]]:
        """Yield a list that holds the block's cost once it has ended."""
        costs: list[Cost] = []
        self._forget_peak()
        began = time.monotonic()
        yield costs
        costs.append(Cost(seconds=time.monotonic() - began, gigabytes=self._peak() / 1e9))

    def _forget_peak(self) -> None:
        if self._device.type != "cpu":
            forget_peak(self._device)
            return
        with suppress(OSError):  # only Linux knows it; elsewhere the peak is that since the process began
            Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)

    def _peak(self) -> int:
        """In bytes."""
        return peak_memory(self._device) if self._device.type != "cpu" else peak_of_process()


def peak_of_process() -> int:
    """The most memory that this process had in use, in bytes: since the last `measure` on Linux, ever elsewhere."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    with suppress(ImportError):
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of macOS in bytes
    return int(psutil.Process().memory_info().peak_wset)
