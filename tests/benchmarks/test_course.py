"""A trial's checkpoints side by side, from what its study kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from benchmarks.course import sheet
from eval.evaluation import Evaluation
from sweeper.records.history import append_evaluation
from sweeper.records.pictures import PROMPT, picture_name


def test_each_step_has_a_picture_with_each_seed_of_each_prompt(tmp_path: Path) -> None:
    judge = {"prompts": ["a cup, {trigger}", "a star, {trigger}"], "seeds": [4, 7]}
    config = {"study": {"name": "small"}, "data": {"trigger": "in chalk"}, "eval": judge}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"config": config}))
    trial = tmp_path / "trials" / "0003"
    colours = set()
    for step in (40, 80, 120):
        folder = trial / "samples" / f"step-{step:06}"
        folder.mkdir(parents=True)
        for prompt in range(2):
            for seed in range(2):
                colour = (step, 100 * prompt, 200 * seed)
                colours |= {colour} if step != 80 else set()
                Image.new("RGB", (64, 64), colour).save(folder / picture_name(PROMPT, prompt, seed))
        append_evaluation(trial, _evaluation(step))
    drawn = sheet(tmp_path, 3, [40, 120])
    counts = {colour: count for count, colour in drawn.getcolors(1 << 20) or [] if colour in colours}
    assert counts == dict.fromkeys(colours, 128 * 128)
    with pytest.raises(ValueError, match=r"must have been judged at \[60\], but was at \[40, 80, 120\]"):
        sheet(tmp_path, 3, [40, 60])


def _evaluation(step: int) -> Evaluation:
    return Evaluation(
        step=step,
        score=1.0,
        score_se=1.0,
        overfit_index=0.0,
        overfit=False,
        words="",
        severities={},
        metrics={},
        validation_losses=(),
    )
