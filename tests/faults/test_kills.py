"""A study that is killed at a write, or finds its disk full, and is run again, is the study that nothing disturbed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler for the library that injects faults")
@pytest.mark.skipif(sys.platform != "linux", reason="faults are injected by LD_PRELOAD")
def test_a_study_killed_at_any_write_comes_to_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults", "kills=2", "full=1", "seed=3", f"keep={tmp_path}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"^[3-5] faults in ", ended.stdout, re.MULTILINE)
