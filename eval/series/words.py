"""What is said of all that a training saved: the ranked table, the answer, the figures as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from eval.evaluation import Evaluation
from eval.judge_file import cell, verdict_on
from eval.series.record import Judged, Series
from eval.strength import AS_TRAINED, gain
from foundation.adapters.files import Saved

SHOWN: Final = ("style", "likeness", "identity", "prompt_kept", "copy_rate", "diversity", "val_ratio")
"""Metrics with a column of their own, where they were measured."""


def ranking(series: Series) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of all that were judged, the best first, as trained."""
    names = metrics_told(series)
    ranked, best = series.by_rank, series.best
    has_strengths = any(each.tried for each in ranked)
    head = ["file", "score", "±", *(["behind", "best at", "score there"] if has_strengths else ["behind"])]
    rows = []
    for each in ranked:
        now = each.evaluation
        behind = "" if each is best else str(gain(now, best.evaluation)) if math.isfinite(now.score) else "–"
        row = [each.name, cell(now.score), cell(now.score_se), behind]
        if has_strengths:
            there = (f"{each.strength(series.clean):g}", cell(each.at_its_best(series.clean).score))
            row += there if each.tried else ("", "")
        rows.append([*row, cell(now.overfit_index), *(cell(now.metrics.get(name, math.nan)) for name in names)])
    return [*head, "overfit index", *names], rows


def metrics_told(series: Series) -> list[str]:
    """Those of `SHOWN` that were measured of any."""
    told = [each.evaluation.metrics for each in series.judged]
    return [name for name in SHOWN if any(math.isfinite(metrics.get(name, math.nan)) for metrics in told)]


def answer(series: Series) -> Iterator[str]:
    """What people ask, a line for each: which, at which strength, what is as good, from where overtrained."""
    best, trained = series.best, series.best_as_trained
    strength = best.strength(series.clean)
    at = f" at strength {strength:g}" if best.tried else ""
    yield f"use {best.name}{at}: {best.saved.path}; {verdict_on(best.at_its_best(series.clean), series.clean)}"
    if strength != AS_TRAINED:
        yield f"its gain over strength 1 is {gain(best.at_its_best(series.clean), best.evaluation)} points"
    if best is not trained:
        yield f"as trained {trained.name} is the best: {trained.saved.path}"
    if alike := [each.name for each in series.alike]:
        yield f"not told apart from {'it' if best is trained else trained.name}, prompt by prompt: {', '.join(alike)}"
    yield words_on_overtraining(series)
    if series.not_reached:
        names = ", ".join(each.words for each in series.not_reached)
        yield f"not judged, as they come after that: {names}; to_end=true judges them, too"
    yield from (
        f"left out: {why if why.startswith(path) else f'{path}: {why}'}" for path, why in series.left_out.items()
    )


def words_on_overtraining(series: Series) -> str:
    """From where they are overtrained, in a line."""
    past = series.first_past
    if past is None:
        is_last = series.best_as_trained is series.judged[-1]
        return "none is overtrained; a longer training may be better" if is_last else "none is overtrained"
    said = past.evaluation
    why = said.words if said.overfit else "its score fell far and surely below that of an earlier one"
    is_after = _place(series, past) > _place(series, series.best_as_trained)
    return f"overtrained from {past.name} on: {why}" if is_after else f"{past.name} is overtrained: {why}"


def _place(series: Series, one: Judged) -> int:
    return next(number for number, each in enumerate(series.judged) if each is one)


def as_json(series: Series, base: str) -> dict[str, Any]:
    """All figures."""
    best, past = series.best, series.first_past
    return {
        "base": base,
        "best": str(best.saved.path),
        "strength": best.strength(series.clean),
        "best_as_trained": str(series.best_as_trained.saved.path),
        "not_told_apart": [str(each.saved.path) for each in series.alike],
        "overtrained_from": None if past is None else str(past.saved.path),
        "judged": [_one_as_json(each, series) for each in series.judged],
        "not_judged": [_place_as_json(saved) for saved in series.not_reached],
        "left_out": series.left_out,
    }


def _one_as_json(each: Judged, series: Series) -> dict[str, Any]:
    strengths = {f"{strength:g}": _short(evaluation) for strength, evaluation in sorted(each.tried.items())}
    own = {"strength": each.strength(series.clean), "strengths": strengths} if strengths else {}
    return {**each.evaluation.to_json(), **_place_as_json(each.saved), **own}


def _short(evaluation: Evaluation) -> dict[str, Any]:
    wanted = ("score", "score_se", "overfit_index", "overfit", "words", "metrics")
    return {name: value for name, value in evaluation.to_json().items() if name in wanted}


def _place_as_json(saved: Saved) -> dict[str, Any]:
    return {"lora": str(saved.path), "step": saved.step, "epoch": saved.epoch}
