"""`python -m tests.faults.many_trials [1000] [FOLDER]`: a simulated study of so many trials, and how long it all takes.

Training and judging cost next to nothing here, so what is left is the study's own: search, records, MLflow. Then each
command that a person would give next is timed, in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.faults.kills import STUDY
from tests.faults.simulated_study import play

NAME: Final = "many"
_STEP: Final = 250
_COMMAND: Final = (sys.executable, "-m")


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    trials = int(arguments[0]) if arguments else 1000
    folder = Path(arguments[1] if len(arguments) > 1 else tempfile.mkdtemp(prefix="many-trials-"))
    play(_nothing, _nothing)
    from sweeper.study.run import run_study

    for number in [*range(_STEP, trials, _STEP), trials]:
        begin = time.perf_counter()
        if code := run_study(_overrides(folder, number)):
            return code
        print(f"to {number} trials: {time.perf_counter() - begin:.1f} s", flush=True)
    asked = _overrides(folder, trials)
    for name, words in {
        "the finished study's command again": ["sweeper", *asked],
        "clean, a dry run": ["sweeper", "clean", f"folder={folder}"],
        "export of the best": ["sweeper", "export", NAME, "kohya", f"folder={folder}", f"out={folder / 'exported'}"],
    }.items():
        begin = time.perf_counter()
        subprocess.run([*_COMMAND, *words], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        print(f"{name}: {time.perf_counter() - begin:.1f} s", flush=True)
    return 0


def _nothing() -> None:
    """What a worker does here when it begins and ends, where nothing strikes it."""


def _overrides(folder: Path, trials: int) -> list[str]:
    own = ("study.name", "study.num_trials", "study.slots")
    others = [each for each in STUDY if not each.startswith(own)]
    return [*others, f"study.name={NAME}", f"study.folder={folder}", f"study.num_trials={trials}", "study.slots=4"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
