"""The proof's tables, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.judge_trials.analysis import (
    CHOICES,
    CRITERIA,
    Calls,
    auc,
    calls,
    lateness,
    rank_correlation,
    regrets,
    trials_that_learned,
    truly_overfit,
)
from benchmarks.judge_trials.courses import Course
from benchmarks.judge_trials.policies import PAIRED, POLICIES, Replay, in_random_order
from benchmarks.judge_trials.readings import READINGS, readers_agree
from benchmarks.judge_trials.searches import BUDGET, REPLAYS, STRATEGIES, interval, recipe_qualities, search
from benchmarks.judge_trials.tuning import folds
from eval.spec import EvalSpec
from sweeper.records.config import Config
from sweeper.search.space import Plan

ORDERS: Final = 100
"""Replays of each set for each pruning policy."""
FEW: Final = 12
"""Trials of the default study; sets may have more."""


def report(courses: Sequence[Course], recipes: Path, request: Plan) -> str:
    """All tables of the proof."""
    config = request.config
    spec = config.eval
    parts = [
        _what_there_is(courses),
        _ranks(courses),
        _right_and_wrong(courses, spec),
        _how_late(courses, spec),
        _count_left_out(courses, spec),
        _choices(courses, spec),
        _pruning(courses, config),
    ]
    if spec.kind == "style":
        parts.append(_searching(courses, recipes, request))
    else:
        parts.insert(2, _readings(courses))
    return "\n\n".join(parts)


def _sets(courses: Sequence[Course]) -> dict[str, list[Course]]:
    names = dict.fromkeys(course.set for course in courses)
    return {name: [course for course in courses if course.set == name] for name in names}


def _what_there_is(courses: Sequence[Course]) -> str:
    rows = []
    for name, own in _sets(courses).items():
        overfit = [any(truly_overfit(course, i) for i in range(len(course.checkpoints))) for course in own]
        points = [truly_overfit(course, i) for course in own for i in range(1, len(course.checkpoints))]
        best = max(course.best for course in own)
        rows.append(
            [
                name,
                len(own),
                len(trials_that_learned(own)),
                sum(overfit),
                f"{sum(points)} of {len(points)}",
                own[0].base,
                best,
            ]
        )
    head = ["set", "trials", "learned", "truly overfit at some point", "overfit checkpoints", "base", "best"]
    return "## The trials\n\n" + table(head, rows)


def _ranks(courses: Sequence[Course]) -> str:
    by_set = _sets(courses)
    rows: list[list[object]] = []
    for name, value in CHOICES.items():
        each = [rank_correlation(own, value) for own in by_set.values()]
        rows.append([name, *each, statistics.mean(each)])
    return "## Ranks of all checkpoints (Spearman)\n\n" + table(["ranked by", *by_set, "mean"], rows)


def _readings(courses: Sequence[Course]) -> str:
    by_set = {**_sets(courses), "all": courses}
    rows: list[list[object]] = [["the truth's readers, rank correlation", *map(readers_agree, by_set.values())]]
    for reading in READINGS:
        found = [reading.agreement(own) for own in by_set.values()]
        rows.append([f"{reading.name}: rank correlation", *(rank for rank, _, _ in found)])
        rows.append([f"{reading.name}: AUC", *(area for _, area, _ in found)])
        rows.append([f"{reading.name}: checkpoints that have it", *(count for _, _, count in found)])
    return "## What the judge measures, beside the same read by the truth\n\n" + table(["", *by_set], rows)


def _right_and_wrong(courses: Sequence[Course], spec: EvalSpec) -> str:
    by_set = {name: calls(own, spec) for name, own in _sets(courses).items()}
    together = calls(courses, spec)
    rows: list[list[object]] = [
        [
            name,
            *(auc(each.values[name], each.truths) for each in by_set.values()),
            auc(together.values[name], together.truths),
        ]
        for name in CRITERIA
    ]
    head = ["AUC", *by_set, "all"]
    said = "; ".join(f"{name}: {_words(each)}" for name, each in {**by_set, "all": together}.items())
    return f"## Right and wrong\n\n{table(head, rows)}\n\nCalled at or after its first call: {said}."


def _words(seen: Calls) -> str:
    return f"{100 * seen.share_found:.0f} % of overfit checkpoints, {100 * seen.false_alarms:.1f} % of sound ones"


def _how_late(courses: Sequence[Course], spec: EvalSpec) -> str:
    late = lateness(courses, spec)
    called = [each for each in late if each is not None]
    median = statistics.median(called) if called else float("nan")
    counts = ", ".join(f"{each:+d}: {called.count(each)}" for each in sorted(set(called)))
    return (
        f"## How late\n\nOf {len(late)} trials that truly overfit, {len(called)} are called; "
        f"median {median:+.0f} evaluations after the first truly overfit checkpoint ({counts})."
    )


def _count_left_out(courses: Sequence[Course], spec: EvalSpec) -> str:
    rows: list[list[object]] = []
    for fold in folds(courses, spec):
        t = fold.spec.thresholds
        tuned = (
            f"past_best {t.past_best}, paired_t {t.paired_t}, fall {t.fall.alarm}, val_rise {t.val_rise.alarm}, "
            f"overfit {t.overfit}, in_a_row {t.in_a_row}"
        )
        rows.append([fold.left_out, 100 * fold.found, 100 * fold.false_alarms, tuned])
    head = ["reported on", "found, %", "false alarms, %", "tuned on the others"]
    return "## Thresholds tuned on all sets but one, reported on that\n\n" + table(head, rows)


def _choices(courses: Sequence[Course], spec: EvalSpec) -> str:
    found = regrets(trials_that_learned(courses), spec)
    rows: list[list[object]] = [
        [name, 100 * statistics.median(values), 100 * statistics.mean(values), 100 * max(values)]
        for name, values in sorted(found.items(), key=lambda item: statistics.mean(item[1]))
    ]
    head = ["checkpoint chosen by", "median regret, %", "mean, %", "worst, %"]
    return f"## The chosen checkpoint ({len(trials_that_learned(courses))} trials that learned)\n\n" + table(head, rows)


def _pruning(courses: Sequence[Course], config: Config) -> str:
    most = max(len(own) for own in _sets(courses).values())
    counts = sorted({most, min(most, FEW)}, reverse=True)
    head = ["policy"] + [
        f"{what}, {count} trials, %" for count in counts for what in ("steps saved", "best kept", "quality")
    ]
    rows = [
        [policy, *(value for count in counts for value in _replay_pruning(courses, policy, config, count))]
        for policy in POLICIES
        if policy != PAIRED or config.eval.screening_prompts is None
    ]
    return f"## Pruning, replayed ({ORDERS} orders of each set)\n\n" + table(head, rows)


def _replay_pruning(courses: Sequence[Course], policy: str, config: Config, count: int) -> tuple[float, float, float]:
    """In percent, means over replays with `count` trials of a set: steps saved, best trial kept, quality of the choice.

    The quality is the choice's share of what the truly best trial of the replay has at its best.
    """
    saved, kept, quality = [], [], []
    for own in _sets(courses).values():
        for order in range(ORDERS):
            ended = Replay(in_random_order(own, order, count), policy, config).run()
            saved.append(1 - sum(each.steps for each in ended) / sum(each.course.last_step for each in ended))
            best = max(ended, key=lambda each: each.course.best)
            kept.append(best.best_kept)
            quality.append(max(ended, key=lambda each: each.score).quality / best.course.best)
    return 100 * statistics.mean(saved), 100 * statistics.mean(kept), 100 * statistics.mean(quality)


def _searching(courses: Sequence[Course], recipes: Path, request: Plan) -> str:
    rows: list[list[object]] = []
    for name, own in _sets(courses).items():
        for strategy in STRATEGIES:
            mean, low, high = interval([search(own, strategy, seed, request) for seed in range(REPLAYS)])
            rows.append([name, strategy, mean, f"{low:.3f} to {high:.3f}"])
        runs = recipe_qualities(recipes, f"{name}-recipe")
        if runs:
            mean, low, high = interval(runs)
            rows.append([name, f"recipe, {len(runs)} seeds, its last checkpoint", mean, f"{low:.3f} to {high:.3f}"])
        best = max(course.best for course in own)
        rows.append([name, "the best there is", best, ""])
    head = ["set", "search", "true quality of its choice", "5th to 95th percentile"]
    return f"## The search ({BUDGET} full trials' steps, {REPLAYS} replays)\n\n" + table(head, rows)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under a head, in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
