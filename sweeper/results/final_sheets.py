"""The sheets of a study's end, from what finalists were drawn with: the winner's, and all finalists side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from eval.evaluation import Evaluation
from foundation.pictures.sheets import Column, Real, Row, contact_sheet, side_by_side
from sweeper.records.config import Config
from sweeper.records.messages import Rescored
from sweeper.records.pictures import PROMPT, open_picture, picture_name
from sweeper.records.trainings import name_of
from sweeper.records.trials import Trial
from sweeper.results.strength_search import Found
from sweeper.study.display import describe_params
from sweeper.study.trial_end import shown_params
from sweeper.tracking.names import settings_in_short

FRESH_SEEDS_FROM: Final = 1000
"""Finalists are drawn with seeds from here on, which no trial's evaluation uses."""
WINNER_PROMPTS: Final = 6
SHEET_SEEDS: Final = 2


def winner_sheet(trial: Trial, found: Found, prompts: list[str], reals: Sequence[Real], config: Config) -> Image.Image:
    """Real pictures, the base and the winner at its strength, prompt by prompt."""
    final = found.final
    seeds = list(range(FRESH_SEEDS_FROM, FRESH_SEEDS_FROM + min(SHEET_SEEDS, 2 * len(config.eval.seeds))))

    def pictures(folder: Path, prompt: int) -> list[Image.Image]:
        return [open_picture(folder / picture_name(PROMPT, prompt, seed)) for seed in range(len(seeds))]

    rows = [
        Row(
            prompt=prompt,
            base=pictures(final.base_pictures, i),
            best=pictures(final.pictures, i),
            real=reals[i] if reals else None,
        )
        for i, prompt in enumerate(prompts[:WINNER_PROMPTS])
    ]
    title = f"{config.study.name}: trial {trial.name}, step {final.evaluation.step}, strength {found.strength:g}"
    return contact_sheet(title, _subtitle(final.evaluation, trial, config), seeds, rows)


def _subtitle(evaluation: Evaluation, trial: Trial, config: Config) -> str:
    """What is learned, the score and the settings, in the words of the page (`sweeper/page`)."""
    data = config.data
    learns = f"learns {data.kind}" + (f", “{data.trigger}”" if data.trigger else "")
    error = f" ± {evaluation.score_se:.1f}" if math.isfinite(evaluation.score_se) else ""
    return f"score {evaluation.score:.1f}{error} with fresh seeds; {learns}; {describe_params(trial.settings)}"


def finalists_sheet(
    trials: Sequence[Trial],
    winner: Trial,
    rescored: Mapping[int, Rescored],
    prompts: list[str],
    reals: Sequence[Real],
    config: Config,
) -> Image.Image | None:
    """The base and each finalist as trained, by number, with the first fresh seed; None for one finalist.

    `trials` are the finalists, `winner` one of them, and `rescored` their fresh judgements by number, whose pictures
    are of `prompts`; `reals` stand beside. `config` is the study's.
    """
    if len(rescored) < 2:
        return None
    numbers = sorted(rescored)
    words = {trial.number: settings_in_short(shown_params(trial)) for trial in trials}
    columns = [
        Column(
            name=f"trial {name_of(number)}" + (" – the winner" if number == winner.number else ""),
            notes=(f"score {rescored[number].evaluation.score:.1f}", words[number]),
            won=number == winner.number,
        )
        for number in numbers
    ]
    folders = [rescored[numbers[0]].base_pictures, *(rescored[number].pictures for number in numbers)]
    rows = {
        prompt: [open_picture(folder / picture_name(PROMPT, number, 0)) for folder in folders]
        for number, prompt in enumerate(prompts[:WINNER_PROMPTS])
    }
    subtitle = f"as trained, seed {FRESH_SEEDS_FROM}; scores with all fresh seeds"
    title = f"{config.study.name}: the finalists"
    return side_by_side(title, subtitle, [Column(name="base", notes=("score 0",)), *columns], rows, reals)
