"""The sheet of a series, as people compare by it: strength × step × prompt."""

from __future__ import annotations

import io
from pathlib import Path

from eval.bench import Bench
from eval.judge_file import cell
from eval.prompts import with_trigger
from eval.series.record import SHOWN_PROMPTS, Series
from foundation.files.durable import write_bytes
from foundation.pictures.sheets import Block, strength_sheet


def write_sheet(file: Path, series: Series, bench: Bench) -> None:
    """Write the sheet of `series.columns`, whose pictures are all there, as a PNG."""
    best, shown = series.best, series.columns
    strengths = sorted(best.pictures)
    prompts = [with_trigger(prompt, bench.trigger) for prompt in bench.spec.prompts[:SHOWN_PROMPTS]]
    blocks = [
        Block(prompt=prompt, pictures=[[each.pictures[at][number] for each in shown] for at in strengths])
        for number, prompt in enumerate(prompts)
    ]
    scores = {1.0: best.evaluation, **best.tried}
    sheet = strength_sheet(
        f"{best.name} at strength {best.strength(series.clean):g}",
        f"seed {bench.spec.seeds[0]}; strength 1 is as trained; framed is what to use. Scores at the left are its own.",
        {at: cell(scores[at].score) if at in scores else "" for at in strengths},
        [each.name for each in shown],
        blocks,
        (best.strength(series.clean), best.name),
    )
    data = io.BytesIO()
    sheet.save(data, "PNG")
    write_bytes(file, data.getvalue())
