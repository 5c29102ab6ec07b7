"""The command `sweeper`, with its training and judging simulated: see tests/faults/simulated_study.py."""

from __future__ import annotations

import sys

from foundation.command import run_command
from tests.faults.simulated_study import play

if __name__ == "__main__":
    play(lambda: None, lambda: None)
    sys.exit(run_command("sweeper.study_command", sys.argv[1:]))
