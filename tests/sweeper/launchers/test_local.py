"""Workers of this machine: what their processes are told of the program that starts them."""

from __future__ import annotations

import sys
from multiprocessing.spawn import get_preparation_data
from types import ModuleType

import pytest

from sweeper.launchers.local import _without_main


def test_a_worker_imports_nothing_of_the_script_that_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """multiprocessing would run it again in each worker: a script that calls `run_study` would start studies there."""
    script = ModuleType("__main__")
    script.__file__ = "/a/script/of/theirs.py"
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert "init_main_from_path" in get_preparation_data("worker")
    with _without_main():
        assert not [key for key in get_preparation_data("worker") if key.startswith("init_main")]
    assert sys.modules["__main__"] is script
