"""`python -m benchmarks.search READERS`: what searches find, in truth, for the steps that they take.

Real studies of drawn styles that the embedded base never saw, and of each what it picks, drawn for scenes that are new
to all and read by the networks of `benchmarks.judge_trials` (in the folder READERS, trained first where they are not
there). A line of JSON for each goes to `--out`, and a table is printed. What was run before is not run again.

The ways: `study` is the default study; `recipe` trains its AdamW recipe alone and takes the last checkpoint, as people
do; `random` draws from the same space, ends nothing early and picks by the judge; `tpe` is Optuna's TPE with its median
pruner, without recipes. `--code FOLDER` adds `other`: the default study of another checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.judge_trials.report import table
from benchmarks.judge_trials.sets import SETS, TrialSet
from benchmarks.judge_trials.style_truth import Readers, StyleInspector, load_readers
from benchmarks.setting import pocket_base
from eval.evaluation import value_of
from foundation.bases.port import Base
from foundation.files.durable import append_line
from sweeper.records.history import read_evaluations
from sweeper.records.paths import best_of, checkpoint_of, trainings_of, trial_of
from sweeper.results.file_names import SCORES

SLOTS: Final = 4
LIKE_THE_BASE: Final = 6.0
"""A trial that ends with no higher score has learned nothing."""
_ALONE: Final = ("study.pruner.name=none", "study.recipes.lion=null", "study.recipes.prodigy=null")
WAYS: Final[Mapping[str, Sequence[str]]] = {
    "study": (),
    "recipe": (*_ALONE, "study.num_trials=1", "study.finalists=1", "eval.thresholds.past_best=1000"),
    "random": ("study.sampler=random", "study.pruner.name=none", "study.recipes=null"),
    "tpe": (
        "study.pruner.lookahead=0",
        "study.pruner.margin=0",
        "study.recipes=null",
        "eval.thresholds.past_best=1000",
    ),
    "other": (),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What one search found."""

    set: str
    way: str
    seed: int
    quality: float
    """The truth of what it picked, 0 to 1."""
    best_kept: float
    """The best truth of all its trials' checkpoints that are still there: what a perfect choice would have had."""
    steps: int
    """Of all its trials."""
    in_vain: float
    """The share of them in trials that ended at the base's level."""
    seconds: float
    picked: str
    """Trial and step."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("readers", type=Path, help="the folder of the networks that read the truth")
    parser.add_argument("--folder", type=Path, default=Path("multirun/search"), help="studies and pictures")
    parser.add_argument("--sets", nargs="+", choices=[each.name for each in SETS], default=["pencil", "chalk"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["study", "recipe", "random", "tpe"])
    parser.add_argument("--code", type=Path, help="another checkout, for the way other")
    parser.add_argument("--out", type=Path, help="where lines of JSON go")
    given = parser.parse_args(arguments)
    if ("other" in given.ways) != (given.code is not None):
        parser.error("the way other and --code go together")
    out = given.out or given.folder / "found.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    found = [Found(**json.loads(line)) for line in out.read_text().splitlines()] if out.exists() else []
    known = {(each.set, each.way, each.seed) for each in found}
    base = pocket_base()
    readers = load_readers(base, given.readers)
    for chosen in (each for each in SETS if each.name in given.sets):
        for seed in given.seeds:
            for way in given.ways:
                if (chosen.name, way, seed) in known:
                    continue
                study, seconds = _run(chosen, way, seed, given.folder, given.code if way == "other" else None)
                found.append(_read(study, chosen, (way, seed, seconds), base, readers, given.folder))
                append_line(out, json.dumps(asdict(found[-1])))
    print(_tables(found))
    return 0


def _run(chosen: TrialSet, way: str, seed: int, folder: Path, code: Path | None) -> tuple[Path, float]:
    """Run a study; its folder, and how long it took."""
    name = f"{chosen.name}-{way}-{seed}"
    overrides = [
        *chosen.overrides(folder / "sets"),
        f"study.name={name}",
        f"study.folder={folder.resolve()}",
        f"study.seed={seed}",
        f"train.seed={seed}",
        "study.strengths=[]",
        "study.refit=never",
        f"study.slots={SLOTS}",
        *WAYS[way],
    ]
    begun = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(code.resolve())} if code else None
    subprocess.run([sys.executable, "-m", "sweeper", *overrides], check=True, env=environment, cwd=code)
    return folder / name, time.monotonic() - begun


def _read(
    study: Path, chosen: TrialSet, told: tuple[str, int, float], base: Base, readers: Readers, folder: Path
) -> Found:
    """Read the truth of what a study picked, and of the other checkpoints that it kept."""
    way, seed, seconds = told
    kept = folder / "truth" / study.name
    kept.mkdir(parents=True, exist_ok=True)
    inspector = StyleInspector(base, readers, chosen, folder / "sets" / chosen.name, kept)
    courses = {number: read_evaluations(trial) for number, trial in trainings_of(study).items()}
    if way == "recipe":
        trial, step = 0, courses[0][-1].step
    else:
        best: dict[str, Any] = json.loads((best_of(study) / SCORES).read_text())
        trial, step = best["trial"], best["step"]
    there = {
        (number, each.step): checkpoint
        for number, course in courses.items()
        for each in course
        if (checkpoint := checkpoint_of(trial_of(study, number), each.step)).exists()
    }
    truths = {place: inspector.inspect(checkpoint).quality for place, checkpoint in there.items()}
    steps = {number: course[-1].step if course else 0 for number, course in courses.items()}
    vain = [number for number, course in courses.items() if max(map(value_of, course), default=0) <= LIKE_THE_BASE]
    return Found(
        set=chosen.name,
        way=way,
        seed=seed,
        quality=round(truths[trial, step], 4),
        best_kept=round(max(truths.values()), 4),
        steps=sum(steps.values()),
        in_vain=round(sum(steps[number] for number in vain) / sum(steps.values()), 3),
        seconds=round(seconds, 1),
        picked=f"{trial} at {step}",
    )


def _tables(found: Sequence[Found]) -> str:
    """A row for each set and way, means over the seeds."""
    rows: list[list[object]] = []
    for name, way in dict.fromkeys((each.set, each.way) for each in found):
        own = [each for each in found if (each.set, each.way) == (name, way)]
        qualities = ", ".join(f"{each.quality:.3f}" for each in own)
        means = [fmean(getattr(each, field) for each in own) for field in ("quality", "best_kept", "steps", "in_vain")]
        rows.append([name, way, *means, fmean(each.seconds for each in own), qualities])
    head = ["set", "way", "true quality", "best kept", "steps", "share in vain", "seconds", "of each seed"]
    return table(head, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
