"""`sweeper eval` of all that a training saved: which is the best, and from where they are overtrained."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eval.bench import Bench
from eval.evaluation import Evaluation
from eval.judge_file import COMPARE, cell, verdict_on, write_samples
from eval.needs import lines_on_missing
from eval.request import EvalRequest
from eval.selection import best_clean
from foundation.adapters.files import Saved
from foundation.console import columns, say
from foundation.errors import AdapterError, first_line
from foundation.files import durable

_SHOWN: Final = ("style", "likeness", "identity", "prompt_kept", "copy_rate", "diversity", "val_ratio")
"""Metrics with a column of their own, where they were measured."""
_ERRORS: Final = 2.0
"""Standard errors of a difference, prompt by prompt, up to which two are not told apart."""


@dataclass(frozen=True, slots=True)
class Series:
    """What came of the files of a training."""

    judged: list[tuple[Saved, Evaluation]] = field(default_factory=list)
    """Those that were judged, in their order."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Files that fit the base not, or are no LoRA, and why."""
    not_reached: list[Saved] = field(default_factory=list)
    """What comes after one that is past the best."""

    def best(self, clean: float) -> int:
        """Which of the judged ones to use: the clean one with the best score."""
        evaluations = [evaluation for _, evaluation in self.judged]
        scores = [each.score for each in evaluations]
        indices = [0.0 if math.isnan(each.overfit_index) else each.overfit_index for each in evaluations]
        return best_clean(scores, indices, clean)

    @property
    def first_past(self) -> tuple[Saved, Evaluation] | None:
        """The first that is overfit, or clearly past its best."""
        return next(((saved, each) for saved, each in self.judged if _is_past(each)), None)


def judge_series(request: EvalRequest, files: Sequence[Saved]) -> Series:
    """Judge the files in their order by the same pictures; print what came of it, write what the request names.

    Later ones are passed over where one is overfit or clearly past the best of those before, unless `to_end` is set.

    Raises:
        UserError: the base, the CLIP or the data cannot be used, or none of the files fits.
    """
    bench = Bench.of(request)
    series = Series()
    is_ordered = any(math.isfinite(each.order) for each in files)
    for number, saved in enumerate(files):
        try:
            seen, acting = bench.look_at(saved.path)
        except AdapterError as error:
            series.left_out[str(saved.path)] = first_line(error)
            continue
        history = [evaluation for _, evaluation in series.judged] if is_ordered else []
        evaluation = bench.evaluate(seen, number, history)
        series.judged.append((saved, evaluation))
        say(f"{saved.words}: {saved.path} ({acting}): score {cell(evaluation.score)} ± {cell(evaluation.score_se)}")
        if request.samples is not None:
            folder = Path(request.samples) / saved.words.replace(" ", "-")
            write_samples(folder, bench.plain.samples, seen.samples, len(bench.spec.seeds))
        if _is_past(evaluation) and not request.to_end and math.isfinite(saved.order):
            series.not_reached.extend(files[number + 1 :])
            break
    if not series.judged:
        raise AdapterError("; ".join(f"{path}: {why}" for path, why in series.left_out.items()))
    clean = bench.spec.thresholds.clean
    measured = lines_on_missing(series.judged[-1][1].metrics, request.data is not None, request.metric)
    say(*_table(series, clean), *_answer(series, clean), *measured, COMPARE)
    if request.json is not None:
        durable.write_json(Path(request.json), _as_json(request, series, clean))
    return series


def _is_past(evaluation: Evaluation) -> bool:
    return evaluation.overfit or evaluation.past_best


def _table(series: Series, clean: float) -> list[str]:
    """All that were judged, the best first."""
    best = series.best(clean)
    first = series.judged[best]
    others = [each for each in series.judged if each is not first]
    ranked = [first, *sorted(others, key=lambda each: -_rank(each[1]))]
    names = [name for name in _SHOWN if any(_is_told(each.metrics.get(name)) for _, each in series.judged)]
    head = ("file", "score", "±", "overfit index", *names)
    rows = [
        (
            saved.words,
            cell(each.score),
            cell(each.score_se),
            cell(each.overfit_index),
            *(cell(each.metrics.get(name, math.nan)) for name in names),
        )
        for saved, each in ranked
    ]
    return columns(head, rows, right=tuple(range(1, len(head))))


def _answer(series: Series, clean: float) -> Iterator[str]:
    saved, evaluation = series.judged[series.best(clean)]
    yield f"use {saved.words}: {saved.path}; {verdict_on(evaluation, clean)}"
    alike = [other.words for other, each in series.judged if each is not evaluation and _is_alike(evaluation, each)]
    if alike:
        yield f"not told apart from it, prompt by prompt: {', '.join(alike)}"
    if series.first_past is not None:
        first, why = series.first_past
        said = why.words if why.overfit else "its score fell far and surely below that of an earlier one"
        is_before = [each.path for each, _ in series.judged].index(first.path) > series.best(clean)
        yield f"overtrained from {first.words} on: {said}" if is_before else f"{first.words} is overtrained: {said}"
    elif saved is series.judged[-1][0]:
        yield "none is overtrained; a longer training may be better"
    else:
        yield "none is overtrained"
    if series.not_reached:
        yield f"not judged, as they come after that: {_names(series.not_reached)}; to_end=true judges them, too"
    yield from (f"left out: {path}: {why}" for path, why in series.left_out.items())


def _is_alike(best: Evaluation, other: Evaluation) -> bool:
    """Whether the best is not better by two standard errors of the difference, over the prompts."""
    pairs = list(zip(best.prompt_scores, other.prompt_scores, strict=False))
    differences = [one - two for one, two in pairs if math.isfinite(one - two)]
    if len(differences) < 2:
        return False
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return abs(statistics.fmean(differences)) <= _ERRORS * error


def _rank(evaluation: Evaluation) -> float:
    return evaluation.score if math.isfinite(evaluation.score) else -math.inf


def _is_told(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _names(saved: Sequence[Saved]) -> str:
    return ", ".join(each.words for each in saved)


def _as_json(request: EvalRequest, series: Series, clean: float) -> dict[str, Any]:
    def place(saved: Saved) -> dict[str, Any]:
        return {"lora": str(saved.path), "step": saved.step, "epoch": saved.epoch}

    past = series.first_past
    judged = [{**evaluation.to_json(), **place(saved)} for saved, evaluation in series.judged]
    return {
        "base": request.base.path,
        "best": str(series.judged[series.best(clean)][0].path),
        "overtrained_from": None if past is None else str(past[0].path),
        "judged": judged,
        "not_judged": [place(saved) for saved in series.not_reached],
        "left_out": series.left_out,
    }
