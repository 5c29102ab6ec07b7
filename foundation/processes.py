"""What differs between systems when processes begin and end: signals, and groups of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import psutil

TERMINAL_CLOSED: Final[signal.Signals] = getattr(signal, "SIGHUP", None) or getattr(signal, "SIGBREAK")  # noqa: B009
"""Comes when a terminal is closed: Windows has a signal of its own for it, which Ctrl-Break sends, too."""
CAN_INTERRUPT: Final = hasattr(os, "killpg")
"""Whether a signal to another process interrupts it: on Windows any ends it at once."""
OF_ITS_OWN: Final[Mapping[str, Any]] = (
    {"start_new_session": True}
    if hasattr(os, "setsid")
    else {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
)
"""What makes `Popen` start a process that leads a group, and hears no Ctrl-C of this terminal."""


@contextmanager
def in_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Within the block this process, and what it starts, has these in its environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def in_main_thread() -> bool:
    """Whether this is the one thread that hears signals, and may say what becomes of them."""
    return threading.current_thread() is threading.main_thread()


def end_group(leader: int, *, at_once: bool) -> None:
    """Ask a process and all that it has started to end, or kill them; nothing where it has ended.

    Where there are no groups of processes: those that are its descendants still, and are killed in any case.
    """
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL if at_once else signal.SIGTERM)
        return
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(leader)
        for process in [*first.children(recursive=True), *([first] if leader != os.getpid() else [])]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
