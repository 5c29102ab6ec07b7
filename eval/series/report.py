"""The page of a series in one file: the answer, the ranked table, curves, and the pictures, strength by strength.

There is no script in it. What people wrote, names of files, prompts and captions, is escaped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from PIL import Image

from eval.bench import Bench
from eval.judge_file import COMPARE
from eval.prompts import with_trigger
from eval.request import EvalRequest
from eval.series.curves import Curve, places_of, svg_of
from eval.series.record import SHOWN_PROMPTS, Judged, Series
from eval.series.words import answer, metrics_told, ranking
from foundation.files.durable import write_text
from foundation.page.one_file import base64_of, head_of
from foundation.pictures.tiles import encode

_SIDE: Final = 192
_QUALITY: Final = 80
_STYLE: Final = """
#head { position: static; }
.line .error { stroke: var(--c); stroke-width: 1; opacity: 0.6; }
rect.past { fill: var(--selected-tint); }
.swatch.past { background: var(--selected-tint); border: 1px solid var(--selected); }
.answer { padding-left: 18px; margin: 0; max-width: 100ch; overflow-wrap: anywhere; }
.trials tbody th { text-align: left; font-weight: 400; }
.trials tr.winner th { font-weight: 700; color: var(--winner); }
.wall tbody th.strength { text-align: right; vertical-align: middle; color: var(--faint); white-space: nowrap; }
.wall img { width: var(--cell); height: var(--cell); }
.wall thead th { position: static; }
.wall thead th:nth-child(2) { white-space: nowrap; }
@media (max-width: 600px) { .wall { --cell: 72px; } }
"""
_READ: Final = {
    "score": "higher is better; 0 is the base",
    "overfit index": "0 clean … 1 overfit",
    "behind": "points behind the first, ± one standard error of the difference, paired over the prompts",
}


def write_report(file: Path, series: Series, bench: Bench, request: EvalRequest) -> None:
    """Write the page of a series, the pictures of whose `columns` are all there, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    title = request.lora[0] if len(request.lora) == 1 else f"{len(request.lora)} files and folders"
    write_text(file, html_of(title, series, bench, request))


def html_of(title: str, series: Series, bench: Bench, request: EvalRequest) -> str:
    """Return the page."""
    body = [
        f'<header id="head"><h1>{escape(title)}</h1><span class="state">{len(series.judged)} judged</span></header>',
        '<main><div id="view">',
        _section("Which to use", _answers(series)),
        _section("Ranked", _table(series)),
        _section("Curves", _curves(series)),
        _section("Strength × step × prompt", _wall(series, bench)),
        _section("How they were judged", _settings(bench, request)),
        "</div></main>",
    ]
    head = head_of(f"{title} – sweeper eval", more_style=_STYLE)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n{head}\n</head>\n<body>\n' + "\n".join(body) + "\n</body>\n"
        "</html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _answers(series: Series) -> str:
    first, *others = answer(series)
    lines = "".join(f"<li>{escape(line)}</li>" for line in others)
    return f'<p class="sentence"><b>{escape(first)}</b></p><ul class="answer">{lines}</ul>'


def _table(series: Series) -> str:
    head, rows = ranking(series)
    first, *measures = map(escape, head)
    cells = f"<th>{first}</th>" + "".join(f'<th class="num">{each}</th>' for each in measures)
    lines = []
    for number, (name, *values) in enumerate(rows):
        kind = ' class="winner"' if number == 0 else ""
        own = "".join(f'<td class="num">{escape(value)}</td>' for value in values)
        lines.append(f"<tr{kind}><th>{escape(name)}</th>{own}</tr>")
    notes = "; ".join(f"{name}: {words}" for name, words in _READ.items())
    table = f'<table class="trials"><thead><tr>{cells}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<div class="sideways">{table}</div><p class="legend">As trained. {escape(notes)}.</p>'


def _curves(series: Series) -> str:
    judged = series.judged
    evaluations = [each.evaluation for each in judged]
    told = {name: [each.metrics.get(name, math.nan) for each in evaluations] for name in metrics_told(series)}
    curves = [
        Curve(
            title="score ± one standard error",
            values=[each.score for each in evaluations],
            errors=[each.score_se for each in evaluations],
        ),
        Curve(title="overfit index", values=[each.overfit_index for each in evaluations]),
        *(Curve(title=name, values=values) for name, values in told.items()),
    ]
    best = next(number for number, each in enumerate(judged) if each is series.best)
    past = next((number for number, each in enumerate(judged) if each.is_past), None)
    places, names = places_of([each.saved.order for each in judged]), [each.name for each in judged]
    charts = "".join(svg_of(curve, places, names, best, past) for curve in curves)
    legend = '<span class="swatch winner"></span>what to use'
    legend += "" if past is None else '<span class="swatch past"></span>overtrained'
    return f'<div class="charts">{charts}</div><p class="legend">{legend}</p>'


def _wall(series: Series, bench: Bench) -> str:
    shown, best = series.columns, series.best
    strengths, use = sorted(best.pictures), best.strength(series.clean)
    base = bench.plain.samples[:: len(bench.spec.seeds)]
    prompts = [with_trigger(each, bench.trigger) for each in bench.spec.prompts[:SHOWN_PROMPTS]]
    real = _reals(bench, prompts)
    heads = [
        ("strength", ""),
        *([("real", "")] if real else []),
        ("base", ""),
        *((e.name, _won(e, best)) for e in shown),
    ]
    top = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in heads)
    rows = []
    for number, prompt in enumerate(prompts):
        for row, at in enumerate(strengths):
            first = f'<th class="prompt" rowspan="{len(strengths)}"><span class="clamp">{escape(prompt)}</span></th>'
            once = [real.get(prompt), base[number]] if real else [base[number]]
            beside = "".join(f'<td rowspan="{len(strengths)}">{_picture(each, prompt)}</td>' for each in once)
            own = "".join(
                f"<td{_won(each, best) if at == use else ''}>{_picture(each.pictures[at][number], prompt)}</td>"
                for each in shown
            )
            begin, also = (first, beside) if row == 0 else ("", "")
            rows.append(f'<tr>{begin}<th class="strength">{at:g}</th>{also}{own}</tr>')
    table = f'<table class="wall"><thead><tr><th class="prompt">prompt</th>{top}</tr></thead><tbody>{"".join(rows)}'
    note = f"Seed {bench.spec.seeds[0]}; strength 1 is as trained. Tinted is what to use."
    return f'<div class="sideways">{table}</tbody></table></div><p class="legend">{note}</p>'


def _won(each: Judged, best: Judged) -> str:
    return ' class="winner"' if each is best else ""


def _reals(bench: Bench, prompts: Sequence[str]) -> Mapping[str, Image.Image]:
    """Real pictures by the prompts that are their captions."""
    held_out = {with_trigger(each.caption, bench.trigger): each for each in bench.dataset.validation if each.caption}
    return {prompt: held_out[prompt].open() for prompt in prompts if prompt in held_out}


def _picture(image: Image.Image | None, prompt: str) -> str:
    if image is None:
        return '<span class="none">–</span>'
    data = base64_of(encode(image.convert("RGB"), _SIDE, _QUALITY))
    return f'<img src="data:image/webp;base64,{data}" alt="{escape(prompt)}">'


def _settings(bench: Bench, request: EvalRequest) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in _facts(bench, request))
    return f'<dl class="facts">{facts}</dl><p class="note">{escape(COMPARE[0].upper() + COMPARE[1:])}.</p>'


def _facts(bench: Bench, request: EvalRequest) -> Iterator[tuple[str, str]]:
    spec, data = bench.spec, bench.dataset
    yield "base", Path(request.base.path).name if Path(request.base.path).is_absolute() else request.base.path
    if bench.trigger:
        yield "trigger", bench.trigger
    yield "pictures", f"{len(data.train)} that were trained on, {len(data.validation)} held out"
    yield "drawn", f"{len(spec.prompts)} prompts × {len(spec.seeds)} seeds, {spec.sample_steps} steps, {spec.sampler}"
    yield "guidance", f"{spec.guidance_scale:g}"
    yield "day", time.strftime("%Y-%m-%d")
