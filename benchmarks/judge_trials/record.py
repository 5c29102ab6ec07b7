"""Trains the trials: one ordinary study for each set, its trials drawn at random and none of them stopped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.judge_trials.sets import TrialSet
from foundation.compose import compose

NUM_TRIALS: Final = 20
STEPS: Final = 240
EVERY: Final = 40


def record(chosen: TrialSet, folder: Path, num_trials: int = NUM_TRIALS) -> Path:
    """Run or go on with the study of a set, in `folder`/studies; returns the study's folder.

    Everything that could end a trial early is off; the rest is the default study's.
    """
    pictures = chosen.write(folder / "sets")
    prompts = ",".join(f'"{prompt}"' for prompt in compose(["+experiment=pencil"])["eval"]["prompts"])
    overrides = [
        "+experiment=pencil",
        f"data.path={pictures / 'train'}",
        f"data.validation_path={pictures / 'validation'}",
        f"data.trigger='{chosen.trigger}'",
        f"eval.prompts=[{prompts}]",
        f"study.name={chosen.name}",
        f"study.folder={folder / 'studies'}",
        f"study.num_trials={num_trials}",
        "study.sampler=random",
        "study.slots=4",
        "study.pruner.name=none",
        f"train.steps={STEPS}",
        f"eval.every={EVERY}",
        "study.keep=all",
        "eval.warmup_evaluations=1000",
        "eval.thresholds.style_drop=1000",
    ]
    subprocess.run([sys.executable, "-m", "sweeper", *overrides], check=True)
    return folder / "studies" / chosen.name
