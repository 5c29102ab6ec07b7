"""What is ours runs where there is no POSIX, as far as Linux can show it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_without_posix_names_all_is_imported_leased_written_composed_and_ended() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, ROOT / "tests" / "posixless.py"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert (ended.returncode, ended.stdout) == (0, "as on Windows\n"), ended.stderr
