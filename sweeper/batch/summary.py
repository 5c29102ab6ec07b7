"""A batch on one page, in one file: each study's state, score and pictures, and why one failed. No script is in it."""

from __future__ import annotations

import os
import time
from html import escape
from pathlib import Path
from typing import Final

from foundation.data.images import read_rgb
from foundation.errors import DataError
from foundation.page.one_file import base64_of, head_of
from foundation.pictures.tiles import encode
from sweeper.batch.outcome import BatchOutcome, EntryOutcome
from sweeper.best import Best
from sweeper.results.file_names import CARD, REPORT, SHEET

_SIDE: Final = 640
"""Of a sheet's picture, its longer one."""
_QUALITY: Final = 80
_STYLE: Final = """
main { max-width: 1100px; margin: 0 auto; padding: 0 18px; }
.studies { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr)); gap: 14px; }
.studies > section { border: 1px solid var(--rule); background: var(--panel); border-radius: 4px; padding: 12px 14px; }
.studies h2 { font-size: 15px; display: flex; gap: 8px; align-items: baseline; overflow-wrap: anywhere; }
.studies img { width: 100%; height: auto; image-rendering: auto; border-radius: 3px; margin: 8px 0; }
.state.finished { background: var(--winner-tint); color: var(--winner); }
.state.failed { background: var(--selected-tint); color: var(--selected); }
table.all { width: 100%; margin: 14px 0; } table.all th { text-align: left; color: var(--faint); font-weight: 400; }
table.all th, table.all td { padding: 3px 12px 3px 0; border-bottom: 1px solid var(--rule); }
table.all .num { text-align: right; } table.all .words { min-width: 8em; }
"""


def summary_page(outcome: BatchOutcome, folder: Path) -> str:
    """Return the page of a batch as HTML; `folder` is where it will lie, from which its links lead on."""
    when = time.strftime("%Y-%m-%d at %H:%M", time.localtime())
    ranked = sorted(outcome.entries, key=lambda each: each.state != "failed")  # what wants a person comes first
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"{head_of(f'{outcome.name} – sweeper', more_style=_STYLE)}\n</head>\n<body>",
            f'<header id="head"><h1>{escape(outcome.name)}</h1><span class="faint">a batch of studies</span></header>',
            f'<main><p class="said">{escape(outcome.words[:1].upper() + outcome.words[1:])}, on {when}.</p>',
            f'<div class="sideways">{_table(outcome)}</div>',
            f'<div class="studies">{"".join(_card(each, folder) for each in ranked)}</div></main>',
            "</body>\n</html>\n",
        ]
    )


def _table(outcome: BatchOutcome) -> str:
    heads = ("study", "state", "score", "strength", "minutes")
    rows = [
        f'<tr><td class="words">{escape(each.name)}</td><td>{each.state}</td>{_cells(each.best)}'
        f'<td class="num">{_minutes(each)}</td></tr>'
        for each in outcome.entries
    ]
    head = "".join(f'<th class="{"num" if number > 1 else ""}">{name}</th>' for number, name in enumerate(heads))
    return f'<table class="all"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _cells(best: Best | None) -> str:
    if best is None:
        return '<td class="num">–</td><td class="num">–</td>'
    error = f" ± {best.score_se:.1f}" if best.score_se == best.score_se else ""
    return f'<td class="num">{best.score:.1f}{error}</td><td class="num">{best.strength:g}</td>'


def _card(entry: EntryOutcome, folder: Path) -> str:
    best = entry.best
    parts = [f'<h2>{escape(entry.name)} <span class="state {entry.state}">{entry.state}</span></h2>']
    parts += [f'<p class="warn words">{escape(line)}</p>' for line in entry.errors if entry.state == "failed"]
    if best is not None:
        words = f"Trial {best.training} at step {best.step}, to be used at strength {best.strength:g}."
        parts.append(f"<p>{escape(words)}</p>{_picture(best.folder / SHEET, entry.name)}")
        parts += [f'<p class="faint words">{escape(best.within_noise)}</p>'] if best.within_noise else []
        parts.append(
            f'<p><a href="{_link(best.folder / REPORT, folder)}">the whole study</a> · '
            f'<a href="{_link(best.folder / CARD, folder)}">how to use it</a></p>'
        )
    if entry.note:
        parts.append(f'<p class="faint">{escape(entry.note)}</p>')
    if entry.log is not None:
        parts.append(f'<p><a href="{_link(entry.log, folder)}">what it said</a></p>')
    return f"<section>{''.join(parts)}</section>"


def _picture(sheet: Path, name: str) -> str:
    try:
        data = base64_of(encode(read_rgb(sheet), _SIDE, _QUALITY))
    except (DataError, OSError):
        return ""
    return f'<img alt="pictures of {escape(name)}" src="data:image/webp;base64,{data}">'


def _minutes(entry: EntryOutcome) -> str:
    return f"{entry.seconds / 60:.0f}" if entry.seconds else "–"


def _link(path: Path, folder: Path) -> str:
    from urllib.parse import quote

    return escape(quote(Path(os.path.relpath(path, folder)).as_posix()))
