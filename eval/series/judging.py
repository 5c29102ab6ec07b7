"""`sweeper eval` of all that a training saved: which is best, at which strength, from where they are overtrained."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from eval.bench import Bench, Sight
from eval.evaluation import Evaluation
from eval.judge_file import COMPARE, cell, write_samples
from eval.needs import lines_on_missing
from eval.request import USUAL_STRENGTHS, EvalRequest
from eval.series.record import SHOWN_PROMPTS, Judged, Series, is_confirmed
from eval.series.report import write_report
from eval.series.sheet import write_sheet
from eval.series.words import answer, as_json, ranking
from eval.strength import AS_TRAINED
from foundation.adapters.files import Saved, read_parts
from foundation.adapters.files.saved import names_of
from foundation.console import columns, say
from foundation.errors import AdapterError, first_line
from foundation.files import durable
from foundation.json_output import give


def judge_series(request: EvalRequest, files: Sequence[Saved]) -> Series:
    """Judge the files in their order by the same pictures; print what came of it, write what the request names.

    Later ones are passed over where two in a row are overfit or clearly past the best before, unless `to_end` is set.
    Those that lead are judged at other strengths, too.

    Raises:
        UserError: the base, the CLIP or the data cannot be used, or none of the files fits.
    """
    if len(files) == 1:
        read_parts(files[0].path)  # what is no LoRA should not wait for the base
    bench = Bench.of(request)
    series = _as_trained(bench, files, request)
    _at_strengths(bench, series, USUAL_STRENGTHS if request.strengths is None else request.strengths)
    last = series.judged[-1].evaluation
    head, rows = ranking(series)
    say(
        *columns(head, rows, right=tuple(range(1, len(head)))),
        *answer(series),
        *lines_on_missing(last.metrics, request.data is not None, request.metric),
        COMPARE,
    )
    figures = as_json(series, request.base.path)
    give(**figures)
    if request.json is not None:
        durable.write_json(Path(request.json), figures)
    if request.sheet is not None or request.report is not None:
        _draw_missing(bench, series)
    if request.sheet is not None:
        write_sheet(Path(request.sheet), series, bench)
    if request.report is not None:
        write_report(Path(request.report), series, bench, request)
        say(f"all of it on a page: {request.report}")
    return series


def _as_trained(bench: Bench, files: Sequence[Saved], request: EvalRequest) -> Series:
    """Judge one after another at strength 1.

    Raises:
        AdapterError: none fits.
    """
    series = Series(clean=bench.spec.thresholds.clean)
    is_ordered = any(math.isfinite(each.order) for each in files)
    names = names_of(files)
    for number, (saved, name) in enumerate(zip(files, names, strict=True)):
        try:
            seen, acting = bench.look_at(saved.path)
        except AdapterError as error:
            series.left_out[str(saved.path)] = first_line(error)
            continue
        history = [each.evaluation for each in series.judged] if is_ordered else []
        evaluation = _with_names(bench.evaluate(seen, number, history), names)
        judged = Judged(saved=saved, name=name, evaluation=evaluation)
        judged.pictures[AS_TRAINED] = _pictures_of(bench, seen)
        series.judged.append(judged)
        say(f"{name}: {saved.path} ({acting}): score {_score(evaluation)}")
        if request.samples is not None:
            folder = Path(request.samples) / saved.words.replace(" ", "-")
            write_samples(folder, bench.plain.samples, seen.samples, len(bench.spec.seeds))
        if is_confirmed(series.judged) and not request.to_end and math.isfinite(saved.order):
            series.not_reached.extend(files[number + 1 :])
            break
    if not series.judged:
        raise AdapterError("; ".join(f"{path}: {why}" for path, why in series.left_out.items()))
    return series


def _at_strengths(bench: Bench, series: Series, strengths: Sequence[float]) -> None:
    """Judge the leading ones at other strengths; nothing is chosen by them where there is no score."""
    others = [each for each in dict.fromkeys(strengths) if each != AS_TRAINED]
    if not others or math.isnan(series.best_as_trained.evaluation.score):
        return
    for judged in series.leaders:
        judged.tried[AS_TRAINED] = judged.evaluation
        for strength in others:
            seen, _ = bench.look_at(judged.saved.path, strength)
            judged.tried[strength] = bench.evaluate(seen)
            judged.pictures[strength] = _pictures_of(bench, seen)
            say(f"{judged.name} at strength {strength:g}: score {_score(judged.tried[strength])}")


def _draw_missing(bench: Bench, series: Series) -> None:
    """Draw what a sheet of strength × step wants, and judging did not."""
    strengths = {strength for each in series.judged for strength in each.pictures}
    count = min(SHOWN_PROMPTS, len(bench.spec.prompts))
    for judged in series.columns:
        for strength in strengths - judged.pictures.keys():
            judged.pictures[strength] = bench.sketch(judged.saved.path, strength, count)


def _pictures_of(bench: Bench, seen: Sight) -> list[Image.Image]:
    return seen.samples[:: len(bench.spec.seeds)][:SHOWN_PROMPTS]


def _with_names(evaluation: Evaluation, names: Sequence[str]) -> Evaluation:
    """With what files are called where the judge's words have their numbers, which stand for steps there."""
    words = re.sub(r"\bof step (\d+)", lambda found: f"of {names[int(found[1])]}", evaluation.words)
    return replace(evaluation, words=words)


def _score(evaluation: Evaluation) -> str:
    return f"{cell(evaluation.score)} ± {cell(evaluation.score_se)}"
