"""How long a block runs on a device, and how much memory is in use meanwhile."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import torch

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
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with suppress(OSError):  # only Linux knows it; elsewhere the peak is that since the process began
            Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)

    def _peak(self) -> int:
        """In bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        with suppress(OSError, StopIteration):
            lines = Path("/proc/self/status").read_text().splitlines()
            return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
