"""`python -m benchmarks.course STUDY_FOLDER TRIAL OUT.png STEP...`: a trial's pictures, checkpoint by checkpoint.

A row a prompt, and for each step a picture with each of the seeds that all of these checkpoints were drawn with. Read
from what the study kept; nothing is drawn anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import yaml
from PIL import Image

from eval.prompts import with_trigger
from foundation.pictures.sheets import Column, side_by_side
from sweeper.records.history import read_evaluations
from sweeper.records.paths import pictures_of, trial_of
from sweeper.records.pictures import PROMPT, open_picture, picture_name

MAX_PROMPTS: Final = 5


def main() -> None:
    """Read the study, write the picture."""
    study, trial, out, *steps = sys.argv[1:]
    sheet(Path(study), int(trial), [int(step) for step in steps]).save(out)


def sheet(study: Path, trial: int, steps: list[int]) -> Image.Image:
    """The picture of a trial's checkpoints at `steps`, of the prompts and seeds that all of them were drawn for.

    Raises:
        ValueError: there are no such checkpoints.
    """
    config = yaml.safe_load((study / "study.yaml").read_text())["config"]
    folder = trial_of(study, trial)
    scores = {each.step: each.score for each in read_evaluations(folder)}
    if unknown := set(steps) - set(scores):
        raise ValueError(f"trial {trial} must have been judged at {sorted(unknown)}, but was at {sorted(scores)}")
    drawn = min(len(list(pictures_of(folder, step).glob(picture_name(PROMPT, 0, "*")))) for step in steps)
    seeds = config["eval"]["seeds"][:drawn]
    prompts = [with_trigger(prompt, config["data"]["trigger"]) for prompt in config["eval"]["prompts"][:MAX_PROMPTS]]
    rows = {
        prompt: [
            open_picture(pictures_of(folder, step) / picture_name(PROMPT, number, place))
            for step in steps
            for place in range(len(seeds))
        ]
        for number, prompt in enumerate(prompts)
        if all((pictures_of(folder, step) / picture_name(PROMPT, number, 0)).exists() for step in steps)
    }
    columns = [
        Column(name=f"step {step}", notes=(f"score {scores[step]:.1f}", f"seed {seed}"))
        for step in steps
        for seed in seeds
    ]
    return side_by_side(f"{config['study']['name']}: trial {trial}", "as judged", columns, rows, tile=128)


if __name__ == "__main__":
    main()
