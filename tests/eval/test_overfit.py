"""Severities, the index and its words, criterion by criterion."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from eval.overfit import (
    CRITERIA,
    Fall,
    OverfitSigns,
    explain,
    fall_from,
    is_overfit,
    is_past_best,
    missing_criteria,
    overfit_index,
    severities,
    severity,
)
from eval.spec import Limits, Thresholds

CLEAN = OverfitSigns(
    val_rise=0.0,
    val_t=0.0,
    rose_in_a_row=False,
    copy_rate=0.0,
    copies=0,
    num_samples=32,
    diversity=1.0,
    prompt_spread=1.0,
    prompt_drop=0.0,
    drift=0.0,
)
THRESHOLDS = Thresholds()


def index(signs: OverfitSigns) -> float:
    return overfit_index(severities(signs, THRESHOLDS))


def test_severity_runs_from_warn_to_alarm_in_either_direction() -> None:
    assert [severity(x, Limits(warn=1, alarm=3)) for x in (0, 1, 2, 3, 9)] == [0, 0, 0.5, 1, 1]
    assert [severity(x, Limits(warn=0.8, alarm=0.6)) for x in (1, 0.8, 0.7, 0.6, 0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert severity(math.nan, Limits(warn=1, alarm=3)) == 0
    assert severity(math.inf, Limits(warn=1, alarm=3)) == 1
    assert severity(-math.inf, Limits(warn=1, alarm=3)) == 0


def test_index_is_the_formula() -> None:
    parts = {"copy": 0.3, "fall": 0.0, "val_rise": 0.6, "diversity": 0.2, "prompt_drop": 0.9, "drift": 0.4}
    assert overfit_index(parts) == pytest.approx(0.75)
    assert overfit_index(parts | {"fall": 0.9}) == pytest.approx(0.9)
    assert overfit_index(parts | {"fall": 0.7}) == pytest.approx(0.75)
    assert overfit_index(parts | {"copy": 0.8}) == pytest.approx(0.8)


@pytest.mark.parametrize(
    "signs",
    [
        replace(CLEAN, val_rise=9.0, val_t=99.0),
        replace(CLEAN, diversity=0.0),
        replace(CLEAN, prompt_drop=50.0),
        replace(CLEAN, drift=3.0),
        replace(CLEAN, diversity=0.0, prompt_drop=50.0, drift=3.0),
    ],
)
def test_no_ambiguous_sign_reaches_the_stop_alone(signs: OverfitSigns) -> None:
    assert index(signs) == pytest.approx(0.5)


def fallen(share: float, t: float = 3.0) -> Fall:
    return fall_from(40 * (1 - share), 40.0, t, since=80)


def test_a_fall_is_measured_against_the_best_unless_that_was_little() -> None:
    assert fallen(0.25).points == pytest.approx(10.0)
    assert fallen(0.25).share == pytest.approx(0.25)
    assert fall_from(-1.0, 1.0, 3.0, 40).share == pytest.approx(2 / 5)
    assert fall_from(50.0, 40.0, -2.0, 40).share < 0


def test_a_deep_fall_of_the_score_is_a_sign_of_its_own() -> None:
    found = [index(replace(CLEAN, fall=fallen(share))) for share in (-0.5, 0.05, 0.25, 0.45, 0.9)]
    assert found == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])


def test_past_its_best_is_what_fell_far_and_surely() -> None:
    assert is_past_best(fallen(0.26, t=2.1), THRESHOLDS)
    assert not is_past_best(fallen(0.24, t=9.0), THRESHOLDS)
    assert not is_past_best(fallen(0.9, t=0.9), THRESHOLDS)
    assert not is_past_best(fallen(0.9, t=math.nan), THRESHOLDS)
    assert not is_past_best(None, THRESHOLDS)


def test_loss_and_content_together_are_proof() -> None:
    assert index(replace(CLEAN, val_rise=0.06, val_t=3.0, prompt_drop=3.5)) == 1.0


def test_a_rise_counts_only_if_significant_or_lasting() -> None:
    risen = replace(CLEAN, val_rise=0.2, prompt_drop=9.0)
    assert index(risen) == 0.5
    assert index(replace(risen, val_t=math.nan)) == 0.5
    assert index(replace(risen, val_t=0.9)) == 0.5
    assert index(replace(risen, val_t=2.1)) == 1.0
    assert index(replace(risen, rose_in_a_row=True)) == 1.0


def test_copies_are_proof_but_not_a_single_one() -> None:
    assert index(replace(CLEAN, copy_rate=0.125, copies=4)) == 1.0
    assert index(replace(CLEAN, copy_rate=0.125, copies=1, num_samples=8)) == 0.0


def test_what_was_not_measured_accuses_nobody() -> None:
    nan = math.nan
    signs = replace(
        CLEAN, val_rise=nan, val_t=nan, copy_rate=nan, diversity=nan, prompt_spread=nan, prompt_drop=nan, drift=nan
    )
    parts = severities(signs, THRESHOLDS)
    assert parts == dict.fromkeys(set(CRITERIA) - {"class_leak"}, 0.0)  # a style has no class word
    unknown = "copies, validation loss, diversity, spread over prompts, prompt match, drift"
    assert explain(signs, parts) == f"overfit cannot be judged: {unknown} not measured"
    screened = replace(CLEAN, diversity=nan, drift=nan)
    assert explain(screened, severities(screened, THRESHOLDS)) == "no sign of overfit; diversity, drift not measured"
    assert missing_criteria(CLEAN) == []


def test_overfit_needs_two_in_a_row_after_the_warm_up() -> None:
    assert is_overfit([0.1, 0.1, 0.8, 0.75], THRESHOLDS, 2)
    assert not is_overfit([0.1, 0.8, 0.9], THRESHOLDS, 2)
    assert not is_overfit([0.1, 0.1, 0.8, 0.7, 0.8], THRESHOLDS, 2)
    assert not is_overfit([], THRESHOLDS, 0)
    assert is_overfit([0.9], replace(THRESHOLDS, in_a_row=1), 0)


def test_words_name_what_speaks_the_loudest_first() -> None:
    signs = replace(CLEAN, copy_rate=0.08, copies=4, prompt_drop=3.4, val_rise=0.04)
    parts = severities(signs, THRESHOLDS)
    assert explain(signs, parts) == "prompt match down 3.4 points; copies in 4 of 32 pictures"
    lower = replace(CLEAN, fall=fallen(0.3), drift=0.6)
    assert (
        explain(lower, severities(lower, THRESHOLDS))
        == "score 12 points (30 %, t 3.0) below its best, of step 80; unrelated prompts drifted by 0.60"
    )
    broken = replace(CLEAN, val_rise=math.inf, val_t=math.inf)
    assert explain(broken, severities(broken, THRESHOLDS)) == "validation loss no longer finite"


def test_a_class_word_that_draws_the_subject_is_told_and_half_proof() -> None:
    leaking = replace(CLEAN, class_leak=0.5)
    parts = severities(leaking, THRESHOLDS)
    assert parts["class_leak"] == pytest.approx(0.5)
    assert explain(leaking, parts) == "the class word alone goes 50 % of the way to what was learned"
    assert index(replace(leaking, class_leak=0.9)) == 0.5
    assert index(replace(leaking, class_leak=0.9, val_rise=0.05, val_t=3.0)) == 1.0
    unknown = replace(CLEAN, class_leak=math.nan)
    assert missing_criteria(unknown) == ["class_leak"] and missing_criteria(CLEAN) == []
    assert explain(unknown, severities(unknown, THRESHOLDS)) == "no sign of overfit; class leak not measured"
