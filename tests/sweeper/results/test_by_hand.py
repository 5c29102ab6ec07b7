"""A person's choice becomes the best, says so, and can be taken back; the study's command keeps it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.errors import StudyError
from foundation.files.durable import write_json
from foundation.files.sums import damage, digests
from sweeper.choose import parse
from sweeper.records.hand_choice import HandChoice
from sweeper.records.paths import checkpoint_of, trial_of
from sweeper.records.trainings import Training
from sweeper.results.by_hand import BEFORE, choose_by_hand, undo_choice
from sweeper.results.file_names import CARD, SCORES, SHEET, WEIGHTS
from sweeper.results.report import read_chosen
from sweeper.search.recorded import RecordedTrial, recorded_trials
from sweeper.study.finished import STUDIES
from tests.sweeper.page.hand_made import Wanted, make_study

CHOICE = HandChoice(number=4, step=40, strength=0.7, when="2026-12-01")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("studies"), Wanted())


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    studies = shutil.copytree(made.parent, tmp_path / "studies")  # what all share, too
    return Path(studies) / made.name


@pytest.fixture(scope="module")
def recorded(made: Path) -> list[RecordedTrial]:
    return recorded_trials(made.name, made.parent / STUDIES)


def test_the_checkpoint_is_the_best_with_its_card_and_says_who_chose(
    study: Path, recorded: list[RecordedTrial]
) -> None:
    best = choose_by_hand(study, CHOICE, recorded)
    assert (best / WEIGHTS).read_bytes() == b"weights 4 40"
    stored = json.loads((best / SCORES).read_text())
    assert (stored["training"], stored["step"], stored["strength"]) == ("4", 40, 0.7)
    assert stored["by_hand"] == "2026-12-01" and damage(best) == ""
    card = (best / CARD).read_text()
    assert "A person chose it on 2026-12-01; the judge had chosen trial 1 at step 60." in card
    assert (best / SHEET).stat().st_size > 1000
    chosen = read_chosen(best, "all of them")  # as the study's command does, which then leaves it
    assert chosen is not None and (chosen.number, chosen.step) == (4, 40)


def test_what_the_judge_chose_comes_back_however_often_somebody_chose(
    study: Path, recorded: list[RecordedTrial]
) -> None:
    before = digests(study / "best")
    choose_by_hand(study, CHOICE, recorded)
    choose_by_hand(study, HandChoice(number=0, step=20, strength=1.0, when="2026-12-02"), recorded)
    assert digests(study / BEFORE) == before
    assert digests(undo_choice(study)) == before
    assert not (study / BEFORE).exists()
    with pytest.raises(StudyError, match="nothing to undo"):
        undo_choice(study)


def test_what_is_no_checkpoint_any_more_is_refused_and_nothing_changes(
    study: Path, recorded: list[RecordedTrial]
) -> None:
    before = digests(study / "best")
    shutil.rmtree(checkpoint_of(trial_of(study, 4), 40))
    with pytest.raises(StudyError, match=r"trial 4 of pencil has no checkpoint of step 40; there are steps 20, 60"):
        choose_by_hand(study, CHOICE, recorded)
    (trial_of(study, 4) / "evaluations.jsonl").write_text("")
    with pytest.raises(StudyError, match="step 60 of trial 4 was not judged"):
        choose_by_hand(study, HandChoice(number=4, step=60, strength=1.0, when=""), recorded)
    assert digests(study / "best") == before and not (study / BEFORE).exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "name one study, got none"),
        (["pencil"], "trial must be the number of one, 7 or 7.1, got none"),
        (["pencil", "trial=../4", "step=40"], "trial must be the number of one, 7 or 7.1, got ../4"),
        (["pencil", "trial=4", "step=-1"], "step must be a whole number, got -1"),
        (["pencil", "trial=4", "step=40", "strength=9"], "strength must be above 0 and at most 4, got 9"),
        (["pencil", "undo=true", "trial=4"], "undo=true takes no trial="),
        (["pencil", "undo=maybe"], "undo must be true or false, got maybe"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], line: str) -> None:
    with pytest.raises(ValueError) as said:
        parse(arguments)
    assert line in str(said.value).splitlines()


def test_an_average_of_checkpoints_can_be_chosen_and_says_of_which(study: Path, recorded: list[RecordedTrial]) -> None:
    mean, words = Training(4, kind="mean").number, "mean of steps 20 and 40 of trial 4, at rank 8"
    shutil.copytree(trial_of(study, 4), trial_of(study, mean))
    write_json(trial_of(study, mean) / "end.json", {"status": "finished", "reason": words, "value": 1, "reported": {}})
    before = digests(study / "best")
    best = choose_by_hand(study, replace(CHOICE, number=mean), recorded)
    card, stored = (best / CARD).read_text(), json.loads((best / SCORES).read_text())
    assert (
        f"the {words}, the best of" in card and "The scores are those with fresh seeds, beside the finalists." in card
    )
    assert (stored["trial"], stored["training"], stored["made_of"]) == (4, "4 mean", words)
    chosen = read_chosen(best)
    assert chosen is not None and (chosen.number, chosen.made_of) == (mean, words)
    assert digests(undo_choice(study)) == before
