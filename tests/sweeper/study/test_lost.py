"""What is gone from a study's folder or database is named and refused or done again, and never passed over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from foundation.adapters.files import WEIGHTS_FILE
from foundation.errors import StudyError
from foundation.files.sums import SUMS, write_sums
from sweeper.records.paths import checkpoint_of, trial_of
from sweeper.search.port import EndedTrial
from sweeper.study.lost import (
    lost_checkpoint,
    lost_evaluations,
    refuse_lost_trials,
    why_no_best,
    words_on_unchecked,
    worth_training_again,
)
from sweeper.worker.lost import what_is_lost
from tests.sweeper.fake_worker import evaluation, trial


def ended(number: int, status: str = "finished", value: float | None = 50.0, **reported: float) -> EndedTrial:
    steps = {int(step.removeprefix("step")): score for step, score in reported.items()}
    return EndedTrial(number=number, params={}, status=status, value=value, reason="", reported=steps)  # type: ignore[arg-type]


def test_a_lost_database_does_not_have_its_trials_trained_over(tmp_path: Path) -> None:
    folder, database = tmp_path / "pencil", tmp_path / "studies.db"
    refuse_lost_trials(folder, database, False, [])
    trial_of(folder, 0).mkdir(parents=True)
    with pytest.raises(StudyError, match=r"pencil has trials, but .*studies\.db knows none of them; bring that back"):
        refuse_lost_trials(folder, database, False, [])


def test_a_lost_folder_of_trials_is_refused_and_one_lost_trial_is_not(tmp_path: Path) -> None:
    folder, database = tmp_path / "pencil", tmp_path / "studies.db"
    past = [ended(0), ended(1, "pruned", step40=3.0), ended(2, "failed", None)]
    with pytest.raises(StudyError, match=r"studies\.db knows 2 trials of study pencil that have ended, but .*trials h"):
        refuse_lost_trials(folder, database, True, past)
    trial_of(folder, 1).mkdir(parents=True)
    refuse_lost_trials(folder, database, True, past)
    refuse_lost_trials(tmp_path / "failed", database, True, past[2:])  # such a one leaves nothing that is needed


@pytest.mark.parametrize(
    ("there", "lost"),
    [
        ((40, 80), ""),
        ((40,), "what it was judged by at step 80 is gone from its folder"),
        ((), "what it was judged by at steps 40, 80 is gone from its folder"),
    ],
)
def test_an_evaluation_that_the_search_was_told_of_must_be_there(there: tuple[int, ...], lost: str) -> None:
    past = ended(0, step40=30.0, step80=50.0)
    assert lost_evaluations(past, [evaluation(step, {40: 30.0, 80: 50.0}[step]) for step in there]) == lost


def test_without_notes_of_single_evaluations_the_score_that_counts_must_be_there() -> None:
    assert lost_evaluations(ended(0), [evaluation(40, 50.0)]) == ""
    assert lost_evaluations(ended(0), [evaluation(40, 49.0)]).startswith("the evaluation that it counts with is gone")
    assert lost_evaluations(ended(0, "failed", None), []) == ""


def test_only_what_may_be_the_best_is_trained_again() -> None:
    past = [ended(0), ended(1, "pruned")]
    assert worth_training_again({0: "x", 1: "y"}, past) == ({0: "x"}, ["trial 1 was pruned and stays so: y"])
    assert worth_training_again({1: "y"}, past[1:]) == ({1: "y"}, [])


def test_a_trial_that_goes_on_must_have_all_it_was_judged_by_before(tmp_path: Path) -> None:
    history = [evaluation(40), evaluation(80)]
    assert what_is_lost(tmp_path, 0, 40, []) == ""
    assert what_is_lost(tmp_path, 80, 40, history[1:]) == "its evaluation at step 40 is gone"
    assert what_is_lost(tmp_path, 85, 40, history[:1]) == "its evaluation at step 80 is gone"
    assert what_is_lost(tmp_path, 80, 40, history) == "its checkpoint of step 40 is gone"
    for each in history:
        (checkpoint_of(tmp_path, each.step) / WEIGHTS_FILE).parent.mkdir(parents=True)
        (checkpoint_of(tmp_path, each.step) / WEIGHTS_FILE).touch()
    assert what_is_lost(tmp_path, 80, 40, history) == ""
    assert what_is_lost(tmp_path, 80, 40, history[:1]) == ""  # judged at 80 once more


def test_a_damaged_checkpoint_is_lost_whoever_needs_it(tmp_path: Path) -> None:
    judged = replace(trial(0, evaluation(40)), folder=tmp_path)
    file = checkpoint_of(tmp_path, 40) / WEIGHTS_FILE
    save_file({"lora_A.weight": torch.ones(2, 2)}, make_parent(file))
    write_sums(file.parent)
    assert what_is_lost(tmp_path, 80, 40, judged.evaluations) == ""
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1  # still a LoRA, and as long
    file.write_bytes(whole)
    said = f"{file} is damaged (its checksum differs from {SUMS})"
    assert what_is_lost(tmp_path, 80, 40, judged.evaluations) == lost_checkpoint(judged) == said


def make_parent(file: Path) -> Path:
    file.parent.mkdir(parents=True)
    return file


def test_folders_without_checksums_are_counted_and_said_once(tmp_path: Path) -> None:
    assert words_on_unchecked(tmp_path) == []
    for step in (40, 80):
        checkpoint_of(trial_of(tmp_path, 0), step).mkdir(parents=True)
    write_sums(checkpoint_of(trial_of(tmp_path, 0), 80))
    (line,) = words_on_unchecked(tmp_path)
    assert line.startswith(f"1 of 2 folders with LoRAs in {tmp_path} have no {SUMS}")


def test_why_there_is_no_best_is_the_reason_of_most() -> None:
    trials = [trial(0), trial(1), trial(2)]
    for each, reason in zip(trials, ("out of memory", "loss is nan at step 3", "loss is nan at step 12"), strict=True):
        each.status, each.reason = "failed", reason
    assert why_no_best(trials) == (
        "no trial left a checkpoint, so there is no best; 2 of 3 ended as trial 1: loss is nan at step 3; "
        "change what they share, and give study.name another name"
    )
