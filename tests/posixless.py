"""Run by test_systems.py as a process of its own: what is ours sees of Linux only what Windows has, too.

Our modules, and pathlib, get an `os` and a `signal` without POSIX's names, which obey Windows' rules: no folder takes
another's place, nothing is replaced or removed while it is open, no folder is opened, and what is open to be read
alone is not synced. Modules that Windows lacks cannot be imported by ours. Libraries are left alone: they have their
own code there.
"""

# ruff: noqa: A002, PTH108, PTH110, PTH112, PTH115, PTH208 (it stands in for os and for __import__ themselves)

from __future__ import annotations

import builtins
import fcntl
import importlib
import os
import pathlib
import pkgutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("foundation", "train", "eval", "sweeper", "hydra_plugins", "conf")
NO_MODULES = {"fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios", "tty"}
NOT_IN_OS = """
    O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC WNOHANG chown chroot confstr ctermid
    fchdir fchmod fchown fork forkpty fpathconf getegid geteuid getgid getgroups getloadavg getpgid getpgrp
    getpriority getsid getuid killpg lchown lockf major mkfifo mknod nice openpty pathconf posix_fadvise
    posix_spawn pread preadv pwrite pwritev readv sched_getaffinity sched_setaffinity sched_yield sendfile setegid
    seteuid setgid setgroups setpgid setpriority setsid setuid statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname
    uname wait wait3 wait4 waitid writev
"""
NOT_IN_SIGNAL = """
    ITIMER_REAL SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP
    SIGTSTP SIGTTIN SIGTTOU SIGUSR1 SIGUSR2 SIGWINCH SIG_BLOCK alarm pause pthread_kill pthread_sigmask
    setitimer siginterrupt sigpending sigtimedwait sigwait
"""
NO_NAMES = {"os": NOT_IN_OS.split(), "signal": NOT_IN_SIGNAL.split()}
BREAK = signal.SIGUSR2
"""Stands for Windows' SIGBREAK."""


class Lacking(types.ModuleType):
    """A module without some of its names, and with some of its functions replaced."""

    def __init__(self, module: types.ModuleType, other: Mapping[str, Any]) -> None:
        super().__init__(module.__name__)
        self._module = module
        self.__dict__.update(other)

    def __getattr__(self, name: str) -> Any:
        if name in NO_NAMES[self.__name__]:
            raise AttributeError(f"Windows has no {self.__name__}.{name}")
        return getattr(self._module, name)


def refusal(code: int, path: object) -> PermissionError:
    error = PermissionError(13, "Permission denied", str(path))
    error.winerror = code  # type: ignore[attr-defined]
    return error


def is_open(path: object) -> bool:
    """Whether this process has it, or what is below it, open."""
    place = os.path.realpath(str(path))
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target == place or target.startswith(f"{place}/"):
            return True
    return False


def replace(old: Any, new: Any) -> None:
    if os.path.isdir(new) or (os.path.isdir(old) and (is_open(old) or os.path.exists(new))):
        raise refusal(5, new)
    if is_open(old) or is_open(new):
        raise refusal(32, new)
    os.replace(old, new)


def unlink(path: Any) -> None:
    if is_open(path):
        raise refusal(32, path)
    os.unlink(path)


def open_file(path: Any, flags: int, *rest: Any, **more: Any) -> int:
    if os.path.isdir(path):
        raise refusal(5, path)
    return os.open(path, flags, *rest, **more)


def fsync(handle: int) -> None:
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(9, "Bad file descriptor")
    os.fsync(handle)


OF_WINDOWS = {
    "os": Lacking(os, {"name": "nt", "replace": replace, "unlink": unlink, "open": open_file, "fsync": fsync}),
    "signal": Lacking(signal, {"SIGBREAK": BREAK}),
}


def install() -> None:
    real = builtins.__import__

    def hooked(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if level == 0 and str((globals or {}).get("__name__", "")).partition(".")[0] in PACKAGES:
            if name.partition(".")[0] in NO_MODULES:
                raise ImportError(f"Windows has no module {name}")
            if name in OF_WINDOWS:
                return OF_WINDOWS[name]
        return real(name, globals, locals, fromlist, level)

    builtins.__import__ = hooked
    pathlib.os = Lacking(os, {"replace": replace, "unlink": unlink, "open": open_file})  # type: ignore[attr-defined]


def every_module_is_imported() -> None:
    for package in PACKAGES[:4]:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def a_lease_is_taken_refused_and_left(folder: Path) -> None:
    from foundation.errors import StudyError
    from sweeper.records.lease import is_held, supervising, supervisor_of, working

    said: list[str] = []
    with supervising(folder, said.append):
        assert is_held(folder) and supervisor_of(folder) == os.getpid()
        try:
            with supervising(folder, said.append):
                raise AssertionError("two supervisors")
        except StudyError as error:
            assert f"is being run by process {os.getpid()};" in str(error)
    assert not is_held(folder)
    with working(folder):
        assert is_held(folder)
        try:
            with supervising(folder, said.append, wait_s=0.0):
                raise AssertionError("a worker was not waited for")
        except StudyError as error:
            assert f"(process {os.getpid()}) that does not end" in str(error)
    assert not is_held(folder)
    assert [path.name for path in folder.iterdir()] == [".lease"]


def files_and_folders_are_written_whole(folder: Path) -> None:
    from foundation.files import durable

    file = folder / "file.json"
    durable.write_json(file, {"a": 1})
    reader = file.open()
    threading.Timer(0.2, reader.close).start()
    durable.write_json(file, {"a": 2})  # once the reader is done
    assert reader.closed and file.read_text() == '{\n  "a": 2\n}\n'
    durable.append_line(folder / "lines", "a line")
    for words in ("one", "two"):
        with durable.new_folder(folder / "whole") as fresh:
            durable.write_text(fresh / "inside" / "words", words)
        assert (folder / "whole" / "inside" / "words").read_text() == words
    with durable.new_folder(folder / "whole", replace=False) as fresh:
        durable.write_text(fresh / "other", "three")
    durable._PATIENCE_S = 0.05
    with file.open():
        try:
            durable.write_json(file, {"a": 3})
            raise AssertionError("it was replaced while it was open")
        except PermissionError:
            pass
    assert sorted(path.name for path in folder.iterdir()) == ["file.json", "lines", "whole"]
    assert [path.name for path in (folder / "whole").iterdir()] == ["inside"]


def a_study_is_composed() -> None:
    from sweeper.search.space import plan

    assert plan(["+experiment=pencil"]).config.base.name == "pocket"


def a_closed_terminal_ends_a_study() -> None:
    from sweeper.study.stopping import stoppable

    with stoppable(lambda _: None) as stop:
        try:
            signal.raise_signal(BREAK)
            raise AssertionError("it was not heard")
        except KeyboardInterrupt:
            assert stop.reason.startswith("its terminal was closed")


def a_process_ends_with_what_it_started() -> None:
    from foundation.processes import OF_ITS_OWN, end_group

    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stdin=sys.stdin)"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, **OF_ITS_OWN) as first:
        while not (below := psutil.Process(first.pid).children()):
            time.sleep(0.01)
        end_group(first.pid, at_once=False)
        assert first.wait(30) and not psutil.wait_procs(below, 30)[1]


def main() -> None:
    install()
    import foundation.processes

    assert foundation.processes.os is OF_WINDOWS["os"] and foundation.processes.TERMINAL_CLOSED == BREAK
    with tempfile.TemporaryDirectory() as folder:
        for number, scene in enumerate((a_lease_is_taken_refused_and_left, files_and_folders_are_written_whole)):
            (place := Path(folder, str(number))).mkdir()
            scene(place)
    a_study_is_composed()
    a_closed_terminal_ends_a_study()
    a_process_ends_with_what_it_started()
    every_module_is_imported()
    print("as on Windows")


if __name__ == "__main__":
    main()
