"""`python -m benchmarks.few_pictures`: which picture is held out, and the last checkpoint or a mean of late ones?

For subjects, from what `python -m benchmarks.judge_trials record read --sets …` left in its folder; nothing is trained.

**Folds.** Each trial is scored by one picture of the subject alone, which it did not learn from: the same for all
trials, as one that is held out is, or another for each by lot, as folds would have it. Both are told by new drawings,
so that every trial can be scored by every picture. Folds would train each trial on other pictures, too; that is not
told.

**Late weights.** The mean of a trial's last three checkpoints, factor by factor, against the last, by the truth.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from foundation.quiet import quiet_libraries

quiet_libraries()

from benchmarks.judge_trials.__main__ import COURSES, DOCS  # noqa: E402
from benchmarks.judge_trials.courses import Checkpoint, Course, read_courses  # noqa: E402
from benchmarks.judge_trials.report import table  # noqa: E402
from benchmarks.judge_trials.subject_readers import load_subject_reader  # noqa: E402
from benchmarks.judge_trials.subject_sets import SUBJECT_SETS, SubjectSet  # noqa: E402
from benchmarks.judge_trials.subject_truth import SubjectInspector  # noqa: E402
from benchmarks.setting import pocket_base  # noqa: E402
from eval.aims import KEPT_WHOLE  # noqa: E402
from eval.extractors import load_extractors  # noqa: E402
from eval.metrics.likeness import MIN_GAP  # noqa: E402
from eval.patches import found_again  # noqa: E402
from eval.reconstruction import reconstruct  # noqa: E402
from foundation.bases.port import Base  # noqa: E402
from foundation.files.sums import write_sums  # noqa: E402
from sweeper.records.paths import checkpoint_of, pictures_of, trial_of  # noqa: E402
from sweeper.records.pictures import PROMPT, open_picture  # noqa: E402
from sweeper.search.space import plan  # noqa: E402
from train.drawn import SUBJECT_STYLE  # noqa: E402
from train.pocket.draw import draw_scene, subject_mask  # noqa: E402
from train.pocket.subjects import subject_scenes  # noqa: E402

HELD_OUT: Final = 8
"""New drawings, each of which is the one that is held out."""
LOTS: Final = 500
LATE: Final = 3
"""Checkpoints that are averaged."""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_pictures", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("multirun/judge_trials"), help="what was recorded")
    parser.add_argument("--sets", nargs="+", choices=[each.name for each in SUBJECT_SETS], default=["mug"])
    parser.add_argument("--courses", type=Path, default=DOCS / COURSES)
    arguments = parser.parse_args()
    base = pocket_base()
    for chosen in (each for each in SUBJECT_SETS if each.name in arguments.sets):
        own = [course for course in read_courses(arguments.courses) if course.set == chosen.name]
        study = arguments.folder / chosen.name / chosen.name
        print(f"## {chosen.name}\n\n{folds(base, chosen, own, study)}\n", flush=True)
        print(late_weights(base, chosen, own, arguments.folder), flush=True)


def folds(base: Base, chosen: SubjectSet, courses: Sequence[Course], study: Path) -> str:
    """What a study would choose whose trials all hold out the same picture, or each another, in Markdown."""
    folders = [trial_of(study, course.trial) for course in courses]
    like_a_trial = len(_pictures(pictures_of(folders[0], _step(courses[0].checkpoints[0]))))
    of_base = [_pictures(folder) for folder in study.parent.glob("cache/base-*/")]  # finals' prompts have more seeds
    eye = _Eye(base, chosen, next(some for some in of_base if len(some) == like_a_trial))
    scores = np.array(
        [
            [
                [_worth(point, own) for own in eye.likeness(_pictures(pictures_of(folder, _step(point))))]
                for point in course.checkpoints
            ]
            for course, folder in zip(courses, folders, strict=True)
        ]
    )  # (trials, checkpoints, HELD_OUT)
    truth = np.array([[point.truth.quality for point in course.checkpoints] for course in courses])
    rng = np.random.default_rng(0)
    same = [np.full(len(courses), number) for number in range(HELD_OUT)]
    by_lot = [rng.permutation(HELD_OUT)[: len(courses)] for _ in range(LOTS)]
    rows: list[list[object]] = []
    for name, lots in (("one for all", same), ("another for each trial", by_lot)):
        worth = [_choice(np.stack([own[:, j] for own, j in zip(scores, lot, strict=True)]), truth) for lot in lots]
        rows.append([name, *(100 * statistics.mean(each) for each in zip(*worth, strict=True))])
    rows.append(["all of them", *(100 * each for each in _choice(scores.mean(2), truth))])
    head = ["held out", "quality of the choice, % of the best", "trial's own best checkpoint missed by, %"]
    return table(head, rows)


def _choice(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """By scores (trials, checkpoints): what the best of all is worth, and what each trial's best lacks in the mean."""
    best = scores.argmax(1)
    own = truth[np.arange(len(truth)), best]
    trial = scores.max(1).argmax()
    return float(own[trial] / truth.max()), float(np.mean(1 - own / truth.max(1)))


class _Eye:
    """Looks for each of HELD_OUT new drawings of a subject in pictures; drawings are as the VAE gives them back."""

    def __init__(self, base: Base, chosen: SubjectSet, of_base: Sequence[Image.Image]) -> None:
        self._patches = load_extractors(plan(["+experiment=mug"]).config.eval, "cpu").patches
        scenes = subject_scenes(chosen.subject, 4000 + chosen.seed, HELD_OUT)
        drawn = reconstruct(base, [draw_scene(scene, SUBJECT_STYLE, 4000 + i) for i, scene in enumerate(scenes)])
        covers = [self._patches.cover(subject_mask(scene, 4000 + i)) for i, scene in enumerate(scenes)]
        self._parts = self._patches.images(drawn)
        self._weights = torch.stack([cover / cover.sum() for cover in covers])
        self._base = self._found(of_base).mean(0)
        matches = self._found(drawn)
        ceilings = (matches.sum(0) - matches.diagonal()) / (HELD_OUT - 1)
        self._gap = (ceilings - self._base).clamp(min=MIN_GAP)

    def likeness(self, pictures: Sequence[Image.Image]) -> list[float]:
        """By each of the drawings alone, as `eval.metrics.likeness` has it: (HELD_OUT,)."""
        shares: list[float] = ((self._found(pictures).mean(0) - self._base) / self._gap).tolist()
        return shares

    def _found(self, pictures: Sequence[Image.Image]) -> Tensor:
        """(N, HELD_OUT) mean cosines of the parts of each drawing to the best match in each picture."""
        return (found_again(self._patches.images(pictures), self._parts) * self._weights).sum(-1)


def _worth(point: Checkpoint, likeness: float) -> float:
    """The score by another likeness; what the checkpoint keeps of prompts, copies and leaks stays."""
    measured = point.evaluation.metrics
    kept = min(max(measured["prompt_kept"] / KEPT_WHOLE, 0.0), 1.0) ** 2
    leak = min(max(measured["class_leak"], 0.0), 1.0)
    return likeness * kept * (1 - measured["copy_rate"]) * (1 - leak / 2) if likeness > 0 else likeness


def _step(point: Checkpoint) -> int:
    return point.evaluation.step


def _pictures(folder: Path) -> list[Image.Image]:
    return [open_picture(file) for file in sorted(folder.glob(f"{PROMPT}??-seed?.png"))]


def late_weights(base: Base, chosen: SubjectSet, courses: Sequence[Course], folder: Path) -> str:
    """The truth of the mean of each trial's last checkpoints beside the last one's, in Markdown."""
    reader, rows = load_subject_reader(base, folder), []
    train = chosen.write(folder / "sets") / "train"
    inspector = SubjectInspector(base, reader, chosen, train, folder / "truth" / f"{chosen.name}-late")
    with tempfile.TemporaryDirectory() as temporary:
        for course in courses:
            trial = trial_of(folder / chosen.name / chosen.name, course.trial)
            late = [checkpoint_of(trial, _step(point)) for point in course.checkpoints[-LATE:]]
            mean = mean_of(late, Path(temporary) / trial.name / "checkpoints" / "mean")
            last, own = course.checkpoints[-1].truth, inspector.inspect(mean)
            gain = np.array(own.each) - np.array(last.each)
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            rows.append([course.trial, last.quality, own.quality, f"{gain.mean():+.3f} ± {error:.3f}", course.best])
    return table(["trial", "last", f"mean of the last {LATE}", "gain", "its best checkpoint"], rows)


def mean_of(checkpoints: Sequence[Path], folder: Path) -> Path:
    """Write an adapter whose every tensor is the mean of those of the `checkpoints`; returns `folder`."""
    shutil.copytree(checkpoints[-1], folder)
    for file in folder.glob("**/*.safetensors"):
        own = [load_file(each / file.relative_to(folder)) for each in checkpoints]
        with safe_open(file, "pt") as opened:
            about = opened.metadata()
        save_file({name: torch.stack([some[name] for some in own]).mean(0) for name in own[0]}, file, about)
    write_sums(folder)
    return folder


if __name__ == "__main__":
    main()
