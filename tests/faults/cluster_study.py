"""The command `sweeper` on a Ray cluster. Its workers' training and judging alone are simulated, and take a moment."""

from __future__ import annotations

import sys

from foundation.command import run_command
from sweeper.launchers.ray.launcher import RayLauncher
from tests.sweeper.launchers import simulated

if __name__ == "__main__":
    RayLauncher.work = simulated.SLOW
    sys.exit(run_command("sweeper.study_command", sys.argv[1:]))
