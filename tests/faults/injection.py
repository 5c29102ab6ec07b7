"""Injected faults: a process that dies, or whose call fails, at the n-th thing that it does to files below a folder."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

SOURCE: Final = Path(__file__).with_name("faults.c")
MODES: Final = {"kill": 0, "tear": 1, "fail": 2}
FOREVER: Final = 1 << 60
Process = Literal["supervisor", "worker"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What happens at the `at`-th write, sync, rename, deletion … of a file whose path holds `part`.

    `kill` ends the process before the call, `tear` after half of the bytes of a write, `fail` lets `times` calls in a
    row fail with `error`. The process is the supervisor, or the worker that starts first.
    """

    at: int
    part: str = ""
    process: Process = "supervisor"
    mode: Literal["kill", "tear", "fail"] = "kill"
    times: int = 1
    error: int = errno.ENOSPC

    def __str__(self) -> str:
        return f"{self.mode} the {self.process} at {self.part or 'any file'} {self.at}"


def build(folder: Path | None = None) -> Path:
    """Compile the library that stands before the C library's calls; its file, to be named by LD_PRELOAD.

    Raises:
        FileNotFoundError: there is no C compiler.
        subprocess.CalledProcessError: it refused.
    """
    library = (folder or Path(tempfile.mkdtemp(prefix="faults-"))) / "faults.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


@cache
def _library() -> ctypes.CDLL:
    here = ctypes.CDLL(None)
    if not hasattr(here, "faults_arm"):
        raise RuntimeError(f"start this process with LD_PRELOAD set to what {build.__module__}.build made")
    here.faults_count.restype = ctypes.c_long
    long, text = ctypes.c_long, ctypes.c_char_p
    here.faults_arm.argtypes = [text, ctypes.POINTER(text), long, long, ctypes.c_int, ctypes.c_int]
    return here


def arm(folder: Path, fault: Fault, counted: Sequence[str] = ()) -> None:
    """Let the fault happen in this process, not in those that it forks; `at=0` only counts.

    Of `counted`, further parts of paths, `counts` tells as well.
    """
    path = os.path.realpath(folder).encode()
    parts = [each.encode() for each in (fault.part, *counted)]
    array = (ctypes.c_char_p * (len(parts) + 1))(*parts, None)
    _library().faults_arm(path, array, fault.at, fault.times, MODES[fault.mode], fault.error)


def count(part: int = 0) -> int:
    """How many calls there were since `arm` of the fault's part, or of the given one of those that are counted."""
    return int(_library().faults_count(part))
