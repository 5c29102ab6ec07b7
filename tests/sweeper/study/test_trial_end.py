"""What stays of an ended trial, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from eval.spec import EvalSpec
from sweeper.records.history import append_steps
from sweeper.records.paths import pictures_of
from sweeper.records.pictures import PROMPT, sheet_name, square_sheet
from sweeper.records.study_spec import Keep
from sweeper.search.space import plan
from sweeper.study.trial_end import prune_checkpoints, record_of, shown_params, summary
from sweeper.tracking.names import run_name
from tests.sweeper.fake_worker import OVERRIDES, evaluation, trial
from train.reports import StepReport
from train.spec import AdapterSpec


@pytest.mark.parametrize(("keep", "left"), [("best", [80, 120]), ("all", [40, 80, 120])])
def test_checkpoints_of_an_ended_trial_stay_as_asked(keep: Keep, left: list[int], tmp_path: Path) -> None:
    ended = trial(0, evaluation(40, 30.0), evaluation(80, 50.0), evaluation(120, 40.0))
    ended.folder = tmp_path
    for folder in (*(ended.checkpoint(step) for step in (40, 80, 120)), tmp_path / "state"):
        folder.mkdir(parents=True)
    kept = prune_checkpoints(ended, keep)
    assert kept == {"best": ended.checkpoint(80), "last": ended.checkpoint(120)}
    assert [step for step in (40, 80, 120) if ended.checkpoint(step).exists()] == left
    assert not (tmp_path / "state").exists()


def test_a_last_checkpoint_that_is_the_best_is_kept_once(tmp_path: Path) -> None:
    ended = trial(0, evaluation(40, 30.0), evaluation(80, 50.0))
    ended.folder = tmp_path
    ended.checkpoint(80).mkdir(parents=True)
    assert prune_checkpoints(ended, "best") == {"best": ended.checkpoint(80)}


def test_trials_of_different_optimizers_are_compared_by_common_parameters() -> None:
    one = trial(0)
    one.params = {"adapter.rank": 4, "optimizer=lion:lr": 1e-4}
    adapter, lion = replace(one.spec.adapter, rank=4, alpha_ratio=2), replace(one.spec.optimizer, name="lion", lr=1e-4)
    one.spec = replace(one.spec, adapter=adapter, optimizer=lion)
    params = shown_params(one)
    common = {"optimizer": "lion", "lr": 1e-4, "rank": 4, "alpha": 8.0, "scheduler": "constant"}
    assert params == {**common, "optimizer=lion:lr": 1e-4}
    assert run_name(11, params) == "0011 lion r4 lr 1e-4"
    assert run_name(11, params | {"lr": 0.00184}) == "0011 lion r4 lr 1.8e-3"
    assert run_name(11, params | {"lr": 1.0}) == "0011 lion r4 lr 1"
    one.spec = replace(one.spec, adapter=AdapterSpec(name="ia3"))
    assert not {"rank", "alpha"} & set(shown_params(one))  # it has none
    assert run_name(7, shown_params(one)) == "0007 lion lr 1e-4"


def test_the_record_of_a_trial_changes_with_what_is_on_disk(tmp_path: Path) -> None:
    ended = trial(0, evaluation(40, 30.0))
    ended.folder = tmp_path
    config = plan(OVERRIDES).config
    (tmp_path / "config.yaml").write_text("a: 1\n")
    digests = [record_of(ended, "finished", "done", config).digest for _ in range(2)]
    append_steps(tmp_path, [StepReport(slot=0, step=1, loss=0.5, lr=1e-3, grad_norm=1.0)])
    digests.append(record_of(ended, "finished", "done", config).digest)
    pictures_of(tmp_path, 40).mkdir(parents=True)
    square_sheet([Image.new("RGB", (8, 8))]).save(pictures_of(tmp_path, 40) / sheet_name(PROMPT, 0))
    digests.append(record_of(ended, "finished", "done", replace(config, eval=EvalSpec(prompts=("a",)))).digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    steps = record_of(ended, "finished", "done", config).steps
    assert [step.step for step in steps] == [step.step for step in steps] == [1]


def test_what_a_reason_has_told_is_not_said_again() -> None:
    turned = trial(0, evaluation(40, 30.0), evaluation(80, 20.0, 0.8, overfit=True))
    best = ", best at step 40 with score 30.0; overfit"
    assert summary(turned, "looks overfit: copies in 4 of 16 pictures") == best
    assert summary(turned, "all steps done") == f"{best}: at step 80: copies in 4 of 16 pictures"
    assert summary(trial(0), "loss is nan") == ""
