"""Some trials that pruning would end run on, and tell what it costs; all else goes as if they had ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.records.config import Config
from sweeper.records.study_spec import StudySpec
from sweeper.records.trials import Status, Trial
from sweeper.search.space import plan
from sweeper.study.audit import Audit, as_if_ended, audit, audit_words, is_audited, spare, verdict_in
from sweeper.study.pruning import why_hopeless
from sweeper.study.trial_end import judged_words, summary, with_audit
from sweeper.study.verdicts import verdict_on
from tests.sweeper.fake_worker import evaluation

Make = Callable[..., Trial]


@pytest.fixture(scope="module")
def config() -> Config:
    config = plan(["+experiment=pencil", "study.pruner.lookahead=0", "study.pruner.margin=0"]).config
    return replace(config, study=replace(config.study, audit=1.0))


@pytest.fixture
def trial(config: Config, tmp_path: Path) -> Make:
    def make(number: int, *scores: float, status: Status = "finished") -> Trial:
        folder = tmp_path / f"trial-{number}"
        folder.mkdir()
        made = Trial(number=number, params={}, spec=config.trial, folder=folder, clean=0.5, status=status)
        made.evaluations = [evaluation(40 * place, score) for place, score in enumerate(scores, 1)]
        return made

    return make


def test_the_share_hangs_on_seed_and_number_alone(config: Config) -> None:
    some = replace(config.study, audit=0.1)
    chosen = [number for number in range(2000) if is_audited(number, some)]
    assert 150 < len(chosen) < 250
    assert chosen == [number for number in range(2000) if is_audited(number, some)]
    assert chosen != [number for number in range(2000) if is_audited(number, replace(some, seed=1))]
    assert set(chosen) < {number for number in range(2000) if is_audited(number, replace(some, audit=0.5))}
    assert not any(is_audited(number, replace(some, audit=0.0)) for number in range(50))


def test_a_hopeless_trial_that_is_audited_goes_on_and_its_verdict_is_noted_once(config: Config, trial: Make) -> None:
    good, poor = trial(0, 50.0, 60.0), trial(1, 10.0, status="running")
    without = replace(config, study=replace(config.study, audit=0.0))
    status, reason = verdict_on(poor, [good, poor], without) or ("", "")
    assert status == "paused" and verdict_in(poor.folder) is None
    assert verdict_on(poor, [good, poor], config) is None
    note = verdict_in(poor.folder)
    assert note is not None and (note.step, note.reason, note.score) == (40, reason, 10.0)
    said = f"audited: without study.audit it had stopped at step 40, {reason}"
    assert judged_words(poor, poor.evaluations[-1]).endswith(f"; it goes on, {said}")
    poor.evaluations.append(evaluation(80, 12.0))
    assert verdict_on(poor, [good, poor], config) is None
    assert verdict_in(poor.folder) == note  # the first one counts
    assert said not in judged_words(poor, poor.evaluations[-1])
    assert with_audit(poor, "all steps done") == f"all steps done; {said}"
    assert with_audit(poor, f"all steps done; {said}") == f"all steps done; {said}"  # as an earlier run told it
    assert said in summary(poor, "all steps done")


def test_the_others_are_pruned_as_if_it_had_ended(config: Config, trial: Make) -> None:
    good, poor, other = trial(0, 50.0, 60.0), trial(1, 10.0, 11.0), trial(2, 30.0, 31.0, status="running")
    spare(poor, "hopeless")
    poor.evaluations.append(evaluation(120, 90.0))
    seen = {each.number: each for each in as_if_ended([good, poor, other], config.study)}
    assert seen[0] is good and seen[2] is other
    assert (seen[1].status, [each.step for each in seen[1].evaluations]) == ("pruned", [40, 80])
    alone = why_hopeless(other, [good, other], config)
    assert alone is not None and why_hopeless(other, list(seen.values()), config) == alone
    assert why_hopeless(other, [good, poor, other], config) != alone


def test_regret_is_what_they_had_over_the_best_of_the_others(trial: Make) -> None:
    best, rose, fell = trial(0, 50.0, 60.0), trial(1, 10.0), trial(2, 20.0)
    assert audit([best, rose, fell]) is None
    spec = StudySpec(name="one", audit=0.1)
    assert audit_words(None, replace(spec, audit=0.0)) == [] and "none of its trials" in audit_words(None, spec)[0]
    for each in (rose, fell):
        spare(each, "hopeless")
    rose.evaluations += [evaluation(80, 40.0), evaluation(120, 66.0)]
    fell.evaluations += [evaluation(80, 15.0)]
    found = audit([best, rose, fell, trial(3, 99.0, status="running"), trial(4, 70.0, status="pruned")])
    assert found == Audit(trials=2, better=1, regret=3.0, rise=28.0, steps=120)
    assert "of 2 trials that pruning would have ended and study.audit let run on, 1 became better" in found.words
    assert "(mean regret 3.0 points)" in found.words and "in 120 steps that pruning would have saved" in found.words
    assert found.metrics()["audit/regret"] == 3.0
    alone = audit([rose, fell])
    assert alone is not None and math.isnan(alone.regret) and "there were no others" in alone.words


def test_a_damaged_note_is_none_and_a_lower_score_may_be_better(trial: Make) -> None:
    low, high = trial(0, 50.0), trial(1, 30.0)
    spare(low, "hopeless")
    low.evaluations.append(evaluation(80, 20.0))
    assert audit([low, high], sign=-1) is not None
    (low.folder / "audit.json").write_text("{")
    assert verdict_in(low.folder) is None and audit([low, high], sign=-1) is None
