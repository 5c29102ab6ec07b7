"""Severities, the index and its words, criterion by criterion."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from eval.overfit import CRITERIA, Signs, explain, is_overfit, overfit_index, severities, severity
from eval.spec import Limits, Thresholds

CLEAN = Signs(
    val_rise=0.0,
    val_t=0.0,
    rose_in_a_row=False,
    copy_rate=0.0,
    copies=0,
    num_samples=32,
    diversity=1.0,
    prompt_drop=0.0,
    drift=0.0,
)
THRESHOLDS = Thresholds()


def index(signs: Signs) -> float:
    return overfit_index(severities(signs, THRESHOLDS))


def test_severity_runs_from_warn_to_alarm_in_either_direction() -> None:
    assert [severity(x, Limits(warn=1, alarm=3)) for x in (0, 1, 2, 3, 9)] == [0, 0, 0.5, 1, 1]
    assert [severity(x, Limits(warn=0.8, alarm=0.6)) for x in (1, 0.8, 0.7, 0.6, 0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert severity(math.nan, Limits(warn=1, alarm=3)) == 0
    assert severity(math.inf, Limits(warn=1, alarm=3)) == 1
    assert severity(-math.inf, Limits(warn=1, alarm=3)) == 0


def test_index_is_the_formula() -> None:
    parts = {"copy": 0.3, "val_rise": 0.6, "style": 0.0, "diversity": 0.2, "prompt_drop": 0.9, "drift": 0.4}
    assert overfit_index(parts) == pytest.approx(0.75)
    assert overfit_index(parts | {"style": 0.3}) == pytest.approx(0.9)
    assert overfit_index(parts | {"style": 1.0}) == 1.0
    assert overfit_index(parts | {"copy": 0.8}) == pytest.approx(0.8)


@pytest.mark.parametrize(
    "signs",
    [
        replace(CLEAN, val_rise=9.0, val_t=99.0),
        replace(CLEAN, style_drop=0.9, style_t=9.0),
        replace(CLEAN, diversity=0.0),
        replace(CLEAN, prompt_drop=50.0),
        replace(CLEAN, drift=3.0),
        replace(CLEAN, diversity=0.0, prompt_drop=50.0, drift=3.0),
    ],
)
def test_no_ambiguous_sign_reaches_the_stop_alone(signs: Signs) -> None:
    assert index(signs) == pytest.approx(0.5)


def test_a_fall_of_style_within_its_noise_counts_for_nothing() -> None:
    assert index(replace(CLEAN, style_drop=0.2, style_t=1.5)) == 0
    assert index(replace(CLEAN, style_drop=0.1, style_t=2.5)) == pytest.approx(0.25)


def test_two_of_loss_style_and_content_together_do() -> None:
    assert index(replace(CLEAN, style_drop=0.2, style_t=3.0, drift=0.9)) == 1.0
    assert index(replace(CLEAN, style_drop=0.2, style_t=3.0, val_rise=0.06, val_t=3.0)) == 1.0
    assert index(replace(CLEAN, val_rise=0.06, val_t=3.0, prompt_drop=3.5)) == 1.0


def test_a_rise_counts_only_if_significant_or_lasting() -> None:
    risen = replace(CLEAN, val_rise=0.2, prompt_drop=9.0)
    assert index(risen) == 0.5
    assert index(replace(risen, val_t=math.nan)) == 0.5
    assert index(replace(risen, val_t=2.1)) == 1.0
    assert index(replace(risen, rose_in_a_row=True)) == 1.0


def test_copies_are_proof_but_not_a_single_one() -> None:
    assert index(replace(CLEAN, copy_rate=0.125, copies=4)) == 1.0
    assert index(replace(CLEAN, copy_rate=0.125, copies=1, num_samples=8)) == 0.0


def test_what_was_not_measured_accuses_nobody() -> None:
    nan = math.nan
    signs = replace(CLEAN, val_rise=nan, val_t=nan, copy_rate=nan, diversity=nan, prompt_drop=nan, drift=nan)
    parts = severities(signs, THRESHOLDS)
    assert parts == dict.fromkeys(CRITERIA, 0.0)
    assert explain(signs, parts) == "no sign of overfit"


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
    broken = replace(CLEAN, val_rise=math.inf, val_t=math.inf)
    assert explain(broken, severities(broken, THRESHOLDS)) == "validation loss no longer finite"
