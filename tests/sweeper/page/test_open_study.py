"""A study that is there, as frames and pictures: they hold what its own files do."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper import open_study
from sweeper.records.history import read_evaluations
from sweeper.records.paths import trainings_of


def test_frames_hold_what_the_files_hold(studies: Path) -> None:
    study = open_study("pencil", studies)
    folders = trainings_of(study.folder)
    written = {
        (str(number), each.step): each for number, folder in folders.items() for each in read_evaluations(folder)
    }
    frame = study.evaluations()
    assert {(row.trial, row.step) for row in frame.itertuples()} == set(written)
    for row in frame.to_dict("records"):
        evaluation = written[row["trial"], row["step"]]
        assert row["score"] == pytest.approx(evaluation.score, nan_ok=True)
        assert {name: row[name] for name in evaluation.metrics} == pytest.approx(dict(evaluation.metrics), nan_ok=True)
    trials = study.trials()
    assert len(trials) == len(folders) == 6
    for row in trials.to_dict("records"):
        if row["chosen_step"] == row["chosen_step"]:
            assert row["score"] == pytest.approx(written[row["trial"], row["chosen_step"]].score, rel=1e-4)
    assert all(Path(path).is_dir() for path in study.checkpoints().path)


def test_pictures_are_those_of_their_prompts(studies: Path) -> None:
    study = open_study(studies / "pencil")
    own = study.pictures(trial=1, kind="prompt")
    assert own and {each.trial for each in own} == {"1"} and all(each.path.is_file() for each in own)
    assert own[0].image.size == (32, 32) and own[0].image.mode == "RGB"
    assert all(each.trial == "" for each in study.pictures("base"))
    assert not study.pictures(trial=99)


@pytest.mark.parametrize("name", ["stopped", "failed", "single", "begun"])
def test_a_study_in_any_state_has_frames_with_the_same_columns(studies: Path, name: str) -> None:
    study, whole = open_study(name, studies), open_study("pencil", studies)
    assert list(study.trials().columns[:12]) == list(whole.trials().columns[:12])
    assert list(study.checkpoints().columns) == list(whole.checkpoints().columns)
    assert (study.best is None) == (name != "single")


def test_a_study_that_is_not_there_is_a_line(tmp_path: Path, studies: Path) -> None:
    with pytest.raises(StudyError, match="there is no study nothing"):
        open_study("nothing", studies)
    with pytest.raises(StudyError, match="there is no study in"):
        open_study(tmp_path / "nothing")
