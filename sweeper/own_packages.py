"""Our packages are found before a user's modules of the same names.

`python -m sweeper` puts the working folder first on the import path, and `train.py` or `eval.py` is what people call
their own scripts. No code of ours runs early enough to mend that, except a line of a `.pth` file, which Python runs
when it starts: `sweeper.pth` is installed beside the packages and calls `at_start`. It changes nothing in a process
that is neither one of our commands nor one of their workers, where `import train` is the user's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

PACKAGES: Final = ("eval", "foundation", "sweeper", "train")
MARK: Final = "SWEEPER_PACKAGES_FIRST"
"""Set in the environment of our commands, for the workers that they start; `sweeper.pth` names it, too."""
_ROOT: Final = str(Path(__file__).resolve().parents[1])
_A_WORKER: Final = "--multiprocessing-fork"
"""How `multiprocessing` starts a process that it spawns."""


class _OurPackages:
    """A finder for `sys.meta_path` that knows our packages and nothing else."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [_ROOT], target) if path is None and name in PACKAGES else None


def put_first() -> None:
    """From here on, in this process and in the workers that it spawns, our packages are ours."""
    if _OurPackages not in sys.meta_path:
        sys.meta_path.insert(0, _OurPackages)
    os.environ[MARK] = "1"


def at_start() -> None:
    """Put our packages first where `python -m` starts one of them, or where one of our commands spawns a worker."""
    is_worker = MARK in os.environ and _A_WORKER in sys.orig_argv
    if is_worker or (sys.argv[:1] == ["-m"] and _module().partition(".")[0] in PACKAGES):
        put_first()


def _module() -> str:
    """The module that `python -m` shall run: the last word before its arguments, as `-m name` or `-mname`."""
    before = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    return before[-1].removeprefix("-m")
