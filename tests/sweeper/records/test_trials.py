"""Which checkpoint of a trial is kept, and when a trial has diverged."""

from __future__ import annotations

from dataclasses import replace

from eval.evaluation import Evaluation
from sweeper.records.trials import best_checkpoint, has_diverged
from tests.sweeper.fake_worker import evaluation, trial


def test_the_checkpoint_is_the_clean_one_with_the_best_score() -> None:
    course = [evaluation(40, 30.0), evaluation(80, 49.95), evaluation(120, 50.0), evaluation(160, 70.0, 0.8)]
    best = best_checkpoint(course, clean=0.5)
    assert best is not None
    assert best.step == 120


def test_diverged_means_above_the_base_twice_after_the_warm_up_or_no_number() -> None:
    def ratio(value: float) -> Evaluation:
        return replace(evaluation(40), metrics={"val_ratio": value})

    assert not has_diverged([ratio(1.2), ratio(1.2)], warmup=2)
    assert not has_diverged([ratio(0.9), ratio(0.9), ratio(1.2)], warmup=2)
    assert has_diverged([ratio(0.9), ratio(0.9), ratio(1.2), ratio(1.1)], warmup=2)
    assert has_diverged([ratio(float("inf"))], warmup=2)


def test_a_trial_that_failed_counts_with_a_clean_checkpoint_and_its_failure_is_named() -> None:
    reason = "loss is nan at step 100"
    left = trial(0, evaluation(40, 30.0), evaluation(80, 50.0))
    assert left.end_of("failed", reason) == ("finished", f"failed, but its checkpoint of step 80 counts: {reason}")
    assert trial(0).end_of("failed", reason) == ("failed", reason)
    assert trial(0, evaluation(40, 30.0, 0.9)).end_of("failed", reason) == ("failed", reason)
    assert trial(0, evaluation(40, float("nan"))).end_of("failed", reason) == ("failed", reason)
    assert left.end_of("pruned", "hopeless") == ("pruned", "hopeless")
    assert trial(0).end_of("finished", "all steps done") == ("failed", "it ended without an evaluation")
