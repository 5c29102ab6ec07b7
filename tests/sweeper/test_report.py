"""`sweeper report`: trials in order of their chosen checkpoints, whatever state their study is in."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml

from eval.evaluation import Evaluation
from sweeper.records.history import append_evaluation
from sweeper.records.lease import supervising
from sweeper.records.paths import trial_of
from sweeper.report import main, report_lines


def judged(step: int, score: float, overfit: float = 0.0) -> Evaluation:
    return Evaluation(
        step=step,
        score=score,
        score_se=2.0,
        overfit_index=overfit,
        overfit=overfit >= 1,
        words="",
        severities={},
        metrics={},
        validation_losses=(),
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three trials: one with a clean and a better overfit checkpoint, one that is better, one without any."""
    study = tmp_path / "runs" / "pencil"
    for number, evaluations in enumerate(
        [[judged(40, 20.0), judged(80, 50.0, overfit=0.9)], [judged(40, 30.5)], [judged(40, math.nan)]]
    ):
        folder = trial_of(study, number)
        folder.mkdir(parents=True)
        config = {"optimizer": {"name": "lion", "lr": 0.0012345}, "adapter": {"rank": 4 * (number + 1)}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        for evaluation in evaluations:
            append_evaluation(folder, evaluation)
    trial_of(study, 3).mkdir()  # just begun
    (study / "study.yaml").write_text("study: pencil\n")
    return study


def test_trials_stand_in_the_order_of_their_chosen_checkpoints(study: Path) -> None:
    first, head, *rows, last = report_lines(["pencil", f"folder={study.parent}"])
    assert first == "pencil is unfinished: 4 trials, best first"
    assert head.split() == ["trial", "score", "±", "step", "of", "overfit", "optimizer", "lr", "rank"]
    assert [row.split() for row in rows] == [
        ["1", "30.5", "2.0", "40", "40", "0.00", "lion", "0.00123", "8"],
        ["0", "20.0", "2.0", "40", "80", "0.00", "lion", "0.00123", "4"],
        ["2", "–", "2.0", "40", "40", "0.00", "lion", "0.00123", "12"],
        ["3", "–", "–", "–", "–", "–", "–", "–", "–"],
    ]
    assert last == "the best is chosen when all trials have ended"


def test_the_winner_is_named_and_the_rest_counted(study: Path) -> None:
    (study / "best").mkdir()
    (study / "best" / "scores.json").write_text(json.dumps({"trial": 1, "step": 40, "strength": 0.8}))
    *_, more, best = report_lines(["pencil", f"folder={study.parent}", "top=1"])
    assert more == "3 more: top=4 shows all"
    assert best == f"the best, chosen with fresh seeds: trial 1 at step 40, strength 0.8; {study}/best/card.md"
    (study / "best" / "scores.json").write_text("{")
    assert report_lines(["pencil", f"folder={study.parent}"])[-1].endswith(
        "is damaged; the study's command makes it again"
    )


def test_all_studies_a_line_each_and_one_that_runs(study: Path) -> None:
    empty = study.parent / "empty"
    empty.mkdir()
    (empty / "study.yaml").write_text("study: empty\n")
    with supervising(study, lambda _: None):
        _, first, second = report_lines([f"folder={study.parent}"])
    assert first.split() == ["empty", "unfinished", "0", "–", "–"]
    assert second.split() == ["pencil", "running", "4", "30.5", "1"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "there is no study nowhere in "),
        (["pencil", "top=0"], "top must be a whole number ≥ 1, got 0"),
        (["pencil", "other"], "name one study, got pencil, other"),
        (["pencil", "tpo=3"], "did you mean top=?"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], line: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, f"folder={study.parent}"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_a_damaged_record_is_one_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trial_of(study, 1) / "config.yaml").write_text("optimizer: [\n")
    assert main(["pencil", f"folder={study.parent}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_group_that_is_no_group_is_one_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trial_of(study, 1) / "config.yaml").write_text("optimizer: 3\n")
    assert main(["pencil", f"folder={study.parent}"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "trials/0001" in said
