"""Trains the trials: one ordinary study for each set, its trials drawn at random and none of them stopped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.judge_trials.sets import TrialSet
from benchmarks.judge_trials.subject_sets import NUM_TRAIN, NUM_VALIDATION, SubjectSet

NUM_TRIALS: Final = 6
STEPS: Final = 240
EVERY: Final = 40
NUM_RECIPES: Final = 4
RECIPE_LR: Final = 1e-3
"""1e-4 as on Stable Diffusion 1.5, times the pocket base's `base.lr_factor`."""


def record(chosen: TrialSet, folder: Path) -> Path:
    """Run or go on with the study of a set, in `folder`/name; returns the study's folder.

    Everything that could end a trial early is off; the rest is the default study's.
    """
    return _study(folder / chosen.name, chosen.name, [*chosen.overrides(folder / "sets"), *_at_random(chosen.seed)])


def record_subject(chosen: SubjectSet, folder: Path) -> Path:
    """As `record`, for a subject."""
    own = [
        "+experiment=mug",
        f"data.drawn={chosen.name}",
        f"data.num_train={NUM_TRAIN}",
        f"data.num_validation={NUM_VALIDATION}",
        f"data.trigger='{chosen.subject.trigger}'",
        f"eval.class_word={chosen.subject.shape}",
    ]
    return _study(folder / chosen.name, chosen.name, [*own, *_at_random(chosen.seed)])


def record_recipe(chosen: TrialSet, folder: Path) -> Path:
    """As `record`, for trials that search nothing: the recipe that people start from, with several seeds."""
    seeds = ",".join(str(seed) for seed in range(NUM_RECIPES))
    return _study(
        folder / chosen.name,
        f"{chosen.name}-recipe",
        [
            *chosen.overrides(folder / "sets"),
            "adapter.rank=8",
            "adapter.alpha_ratio=1",
            "adapter.targets=attention",
            "optimizer=adamw8bit",
            f"optimizer.lr={RECIPE_LR}",
            "lr_scheduler=cosine",
            f"train.seed=choice({seeds})",
            "study.sampler=grid",
            f"study.num_trials={NUM_RECIPES}",
            f"eval.every={STEPS}",
        ],
    )


def _at_random(seed: int) -> list[str]:
    return [
        f"study.num_trials={NUM_TRIALS}",
        "study.sampler=random",
        f"study.seed={seed}",
        f"eval.every={EVERY}",
    ]


def _study(folder: Path, name: str, overrides: Sequence[str]) -> Path:
    """Run the study `name` in `folder`, or go on with it; `overrides` begin with its experiment."""
    experiment, *own = overrides
    common = [
        f"study.name={name}",
        f"study.folder={folder}",
        f"study.slots={NUM_TRIALS}",
        "study.pruner.name=none",
        "study.keep=all",
        "study.finalists=1",
        "study.refit=never",
        "study.recipes=null",
        "study.strengths=[1.0]",
        "eval.tiebreak_seeds=[]",
        "eval.screening_prompts=null",
        f"train.steps={STEPS}",
        "eval.warmup_evaluations=1000",
        "eval.thresholds.past_best=1000",
    ]
    subprocess.run([sys.executable, "-m", "sweeper", experiment, *common, *own], check=True)
    return folder / name
