"""Output that goes away ends a program as a closed terminal does, and breaks nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SPEAKS = """
import signal, sys
from foundation.streams import outlive_output
heard = []
signal.signal(signal.SIGHUP, lambda *_: heard.append(1))
outlive_output()
for _ in range(3):
    print("a line"); sys.stdout.flush()
print(len(heard), file=open(sys.argv[1], "w"))
"""


def speak(tmp_path: Path, shell: str) -> tuple[int, str, str]:
    command = [sys.executable, "-c", SPEAKS, str(tmp_path / "heard")]
    done = subprocess.run(["sh", "-c", f'"$@" {shell}', "sh", *command], capture_output=True, text=True)
    return done.returncode, done.stderr, (tmp_path / "heard").read_text().strip()


def test_a_pipe_that_nobody_reads_is_told_once_and_no_error(tmp_path: Path) -> None:
    assert speak(tmp_path, "| true; exit 0") == (0, "", "1")


def test_a_stream_that_never_was_there_is_no_reason_to_end(tmp_path: Path) -> None:
    assert speak(tmp_path, ">&- 2>&- <&-") == (0, "", "0")
