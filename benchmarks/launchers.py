"""What Ray costs on one machine: a small study with two workers by `launcher=local` and by `launcher=ray`, in turn.

    python -m benchmarks.launchers [pairs=3]

Time counts from the first trial's start to the end of the study: what Ray takes to start is told apart. The two are run
in turn, since other work on the machine comes and goes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from foundation.console import say

STUDY: Final = (
    "+experiment=pencil",
    "study.name=small",
    "study.num_trials=6",
    "study.slots=1",
    "study.finalists=2",
    "study.strengths=[]",
    "study.pruner.name=none",
    "data.num_train=6",
    "data.num_validation=3",
    "train.steps=60",
    "eval.every=20",
    "eval.prompts=['a red cup on grass, {trigger}','a blue star at night, {trigger}']",
    "eval.unrelated_prompts=['a red ball on grass, in photo style']",
    "eval.seeds=[0]",
    "eval.sample_steps=4",
)
LAUNCHERS: Final = {
    "local": ("launcher.devices=[cpu,cpu]",),
    "ray": ("launcher=ray", "launcher.workers=2", "launcher.cpus_per_worker=1", "launcher.gpus_per_worker=0"),
}


@dataclass(frozen=True, slots=True)
class Course:
    """Seconds of one study."""

    start_s: float
    """Until the first trial starts."""
    rest_s: float
    """From there to its end."""


def main(arguments: Sequence[str]) -> int:
    """Measure, and say what came of it."""
    pairs = int(dict(each.split("=") for each in arguments).get("pairs", "3"))
    courses: dict[str, list[Course]] = {name: [] for name in LAUNCHERS}
    for _ in range(pairs):
        for name, overrides in LAUNCHERS.items():
            courses[name].append(measure(overrides))
            say(f"{name}: {courses[name][-1].start_s:.1f} s to start, {courses[name][-1].rest_s:.1f} s after")
    ratios = [ray.rest_s / local.rest_s for local, ray in zip(courses["local"], courses["ray"], strict=True)]
    words = f"median of {pairs} pairs, load {psutil.getloadavg()[1]:.1f}"
    say(f"after start Ray takes {statistics.median(ratios):.3f} times as long ({words})")
    return 0


def measure(overrides: Sequence[str]) -> Course:
    """Run the study with these; its course."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sweeper", *STUDY, *overrides, f"study.folder={folder}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        started = None
        root = Path(__file__).parents[1]
        process = subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if started is None and " starts: " in line:
                started = time.monotonic()
            if " it is in " in line and started is not None:
                course = Course(started - began, time.monotonic() - started)
        if process.wait() or started is None:
            raise SystemExit(f"the study ended with {process.returncode}")
        return course


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
