"""What stays of an ended trial, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.config import Keep
from sweeper.settling import in_words, tidy
from tests.sweeper.played import evaluation, trial


@pytest.mark.parametrize(("keep", "left"), [("best", [80, 120]), ("all", [40, 80, 120])])
def test_checkpoints_of_an_ended_trial_stay_as_asked(keep: Keep, left: list[int], tmp_path: Path) -> None:
    ended = trial(0, evaluation(40, 30.0), evaluation(80, 50.0), evaluation(120, 40.0))
    ended.folder = tmp_path
    for folder in (*(ended.checkpoint(step) for step in (40, 80, 120)), tmp_path / "state"):
        folder.mkdir(parents=True)
    kept = tidy(ended, keep)
    assert kept == {"best": ended.checkpoint(80), "last": ended.checkpoint(120)}
    assert [step for step in (40, 80, 120) if ended.checkpoint(step).exists()] == left
    assert not (tmp_path / "state").exists()


def test_what_a_reason_has_told_is_not_said_again() -> None:
    turned = trial(0, evaluation(40, 30.0), evaluation(80, 20.0, 0.8, overfit=True))
    best = ", best at step 40 with score 30.0; overfit"
    assert in_words(turned, "looks overfit: copies in 4 of 16 pictures") == best
    assert in_words(turned, "all steps done") == f"{best}: at step 80: copies in 4 of 16 pictures"
    assert in_words(trial(0), "loss is nan") == ""
