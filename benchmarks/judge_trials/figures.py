"""The proof's pictures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from benchmarks.judge_trials.analysis import CRITERIA, auc, calls, regrets, roc, trials_that_learned, truly_overfit
from benchmarks.judge_trials.courses import Course
from eval.spec import EvalSpec


def draw_all(courses: Sequence[Course], spec: EvalSpec, folder: Path) -> None:
    """Write `judge_courses.png`, `judge_roc.png` and `judge_regret.png`."""
    _courses(courses, folder / "judge_courses.png")
    _roc(courses, spec, folder / "judge_roc.png")
    _regret(courses, spec, folder / "judge_regret.png")


def _courses(courses: Sequence[Course], file: Path) -> None:
    """Truth above, the judge's score below; a column for each set, a line for each trial, crosses where overfit."""
    sets = list(dict.fromkeys(course.set for course in courses))
    figure, axes = plt.subplots(
        2, len(sets), figsize=(4 * len(sets), 6), sharex=True, squeeze=False, layout="constrained"
    )
    for column, name in enumerate(sets):
        for course in (each for each in courses if each.set == name):
            steps = [point.evaluation.step for point in course.checkpoints]
            truth = [point.truth.quality for point in course.checkpoints]
            score = [point.evaluation.score for point in course.checkpoints]
            past = [index for index in range(len(steps)) if truly_overfit(course, index)]
            for axis, values in ((axes[0][column], truth), (axes[1][column], score)):
                (line,) = axis.plot(steps, values, linewidth=0.9, alpha=0.8)
                axis.plot(
                    [steps[i] for i in past], [values[i] for i in past], "x", color=line.get_color(), markersize=5
                )
        axes[0][column].set_title(f"{name}: truth")
        axes[1][column].set_title(f"{name}: the judge's score")
        axes[1][column].set_xlabel("step")
    figure.savefig(file, dpi=90)
    plt.close(figure)


def _roc(courses: Sequence[Course], spec: EvalSpec, file: Path) -> None:
    seen = calls(courses, spec)
    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    for name in CRITERIA:
        false, true = roc(seen.values[name], seen.truths)
        axis.plot(false, true, label=f"{name} ({auc(seen.values[name], seen.truths):.2f})")
    axis.plot(seen.false_alarms, seen.share_found, "ko", label="the judge's calls")
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.6)
    axis.set_xlabel("sound checkpoints called")
    axis.set_ylabel("overfit checkpoints called")
    axis.legend(fontsize=8)
    figure.savefig(file, dpi=90)
    plt.close(figure)


def _regret(courses: Sequence[Course], spec: EvalSpec, file: Path) -> None:
    found = sorted(regrets(trials_that_learned(courses), spec).items(), key=lambda item: -statistics.mean(item[1]))
    figure, axis = plt.subplots(figsize=(6, 4.5), layout="constrained")
    axis.boxplot([[100 * value for value in values] for _, values in found], orientation="horizontal", showfliers=False)
    axis.set_yticks(range(1, len(found) + 1), [name for name, _ in found])
    axis.set_xlabel("quality lost against the trial's truly best checkpoint, %")
    figure.savefig(file, dpi=90)
    plt.close(figure)
