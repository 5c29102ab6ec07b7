"""The page of a study in one file, to be sent: it opens from a disk, asks nobody for anything, says what it left out.

The study's view and the thumbnails are in it as JSON. Whatever anybody has written stands there with each `<` escaped,
so no tag of theirs can end ours; the policy of content allows the scripts and styles in it by their digests alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, Final

from foundation.data.images import read_rgb
from foundation.errors import DataError
from foundation.files.durable import write_text
from foundation.page.one_file import base64_of, head_of
from foundation.pictures.tiles import encode
from sweeper.page.assets import OF_FILE, frame_with, read_asset
from sweeper.page.pictures import FINAL
from sweeper.page.reading import StudyReader
from sweeper.page.view import PictureSet, StudyState, StudyView, TrialView, as_json
from sweeper.records.paths import best_of
from sweeper.results.file_names import REPORT
from sweeper.search.database import Database

MOST_BYTES: Final = 20_000_000
"""What mail still takes."""
PICTURE_BYTES: Final = 14_000_000
"""Of these for thumbnails, as they stand in the file; the rest is for the study and the scripts."""
SIDE: Final = 128
QUALITY: Final = 72
_AT_ONCE: Final = 2
_BATCH: Final = 64


def report_file(study: Path) -> Path:
    """Where a study's report goes: into `best/` once there is one, and beside it before."""
    best = best_of(study)
    return best / REPORT if best.is_dir() else study / REPORT


def write_report(study: Path, database: Database, state: StudyState | None = None) -> Path:
    """Write the report of the study in a folder, whole or not at all, and return its file.

    Optuna knows the study in `database`; `state` says what it is where its files do not yet. A report beside `best/`,
    of before, goes.

    Raises:
        OSError: it cannot be written.
    """
    file = report_file(study)
    write_text(file, html_of(StudyReader(study, database).read(state), study.parent))
    if file.parent != study:
        (study / REPORT).unlink(missing_ok=True)
    return file


def html_of(view: StudyView, studies: Path, picture_bytes: int = PICTURE_BYTES) -> str:
    """Return the whole page of a study, with no more than so many bytes of thumbnails.

    `studies` is the folder that its pictures' paths count from.
    """
    view = _to_send(view)
    paths = list(dict.fromkeys(_paths(view)))
    thumbnails = _thumbnails(paths, studies, picture_bytes)
    said = f"As it stood on {time.strftime('%Y-%m-%d at %H:%M', time.localtime(view.read_at))}, in one file."
    if missing := len(paths) - len(thumbnails):
        said += f" {missing} of {len(paths)} pictures are left out: the file has room for {len(thumbnails)}."
    script = "\n".join(map(read_asset, OF_FILE))
    head = head_of(f"{view.name} – sweeper", script)
    blocks = {"study": as_json(view), "pictures": thumbnails}
    body = "\n".join(
        [
            f'<p id="said" hidden>{escape(said)}</p>',
            *(f'<script type="application/json" id="{name}">{_json(value)}</script>' for name, value in blocks.items()),
            f"<script>{script}</script>",
        ]
    )
    return frame_with(head, body).replace("<title>sweeper</title>\n", "", 1)


def _to_send(view: StudyView) -> StudyView:
    """The same without what leads to this machine: runs in MLflow, and the command with its paths."""
    return replace(view, trials=[replace(each, run="") for each in view.trials], experiment="", command="")


def _paths(view: StudyView) -> Iterator[str]:
    """The pictures of a study, the most wanted first.

    What stands beside all others; then every trial's chosen checkpoint, the best trials first; then the finalists'
    strengths; then what is left, step by step. First seeds come before others.
    """
    yield from (each.file for each in view.reals)
    for seed in (0, 1):
        yield from _of_sets(view.base_pictures, seed)
    ranking = sorted(view.trials, key=lambda each: _rank(each, view))
    for trial in ranking:
        yield from _of_sets(_chosen_sets(trial), 0)
    finals = [each for trial in ranking for each in trial.pictures if FINAL in each.counts]
    yield from _of_sets(finals, 0)
    for trial in ranking:
        yield from _of_sets(trial.pictures, 0)
    most = max(
        (max(counts) for trial in ranking for each in trial.pictures for counts in each.counts.values()), default=0
    )
    for seed in range(1, most):
        for trial in ranking:
            yield from _of_sets(_chosen_sets(trial), seed)
        yield from _of_sets(finals, seed)
        for trial in ranking:
            yield from _of_sets(trial.pictures, seed)


def _rank(trial: TrialView, view: StudyView) -> tuple[bool, float, int]:
    won = view.choice is not None and view.choice.training == trial.name
    score = next((each.score for each in trial.evaluations if each.step == trial.chosen), float("-inf"))
    return (not won, -score if view.higher_is_better else score, trial.number)


def _chosen_sets(trial: TrialView) -> list[PictureSet]:
    return [each for each in trial.pictures if each.step == trial.chosen and FINAL not in each.counts]


def _of_sets(sets: Iterable[PictureSet], seed: int) -> Iterator[str]:
    for each in sets:
        for kind, counts in each.counts.items():
            prefix = "prompt" if kind == FINAL else kind
            for prompt, count in enumerate(counts):
                if seed < count:
                    yield f"{each.folder}/{prefix}{prompt:02}-seed{seed}.png"


def _thumbnails(paths: Sequence[str], studies: Path, most: int) -> dict[str, str]:
    """Thumbnails in base64 by path, in order, until there is no more room; what cannot be read is left out."""
    found: dict[str, str] = {}
    size = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for begin in range(0, len(paths), _BATCH):
            some = paths[begin : begin + _BATCH]
            for path, data in zip(some, pool.map(lambda each: _thumbnail(studies / each), some), strict=True):
                cost = len(data) + len(path) + 8
                if data and size + cost <= most:
                    found[path] = data
                    size += cost
            if size >= most - most // 200:
                break
    return found


def _thumbnail(picture: Path) -> str:
    try:
        return base64_of(encode(read_rgb(picture), SIDE, QUALITY))
    except (DataError, OSError):
        return ""


def _json(value: Any) -> str:
    """JSON that stands in HTML: `<` is escaped, and so are the two line ends that scripts know and JSON does not."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
