"""Whether the best is better than the base: Student's interval of the paired differences, and a point at least."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from sweeper.results.lead import lead_in_words, lead_over_base
from tests.sweeper.results.test_strength import judged

BASE = judged(-3.0, 1.0, 2.0, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_that_of_the_paired_t_test(seed: int) -> None:
    made = np.random.default_rng(seed).normal(8, 6, 4).tolist()
    lead = lead_over_base(judged(*made), BASE)
    expected = ttest_rel(made, BASE.prompt_scores).confidence_interval(0.95)
    assert (lead.low, lead.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert lead.is_within_noise == (expected.low <= 0)


@pytest.mark.parametrize(
    ("scores", "within"),
    [
        ((27.0, 33.0, 30.0, 31.0), False),  # far above on every prompt
        ((-3.0, 1.0, 2.0, 30.0), True),  # on one prompt alone
        ((-9.0, -4.0, -3.0, -5.0), True),  # surely below
        ((-2.5, 1.5, 2.5, 0.5), True),  # half a point on each: surely more, but nothing that one would see
        ((-1.5, 2.5, 3.5, 1.5), False),  # a point and a half on each
    ],
)
def test_both_sides_of_the_noise(scores: tuple[float, ...], within: bool) -> None:
    lead = lead_over_base(judged(*scores), BASE)
    assert lead.is_within_noise is within
    assert bool(lead_in_words(lead)) is within


SPREAD = (1.0, 150.0, -3.0, 2.0)
"""Scores whose mean lies far above the base's, and whose interval does not."""


@pytest.mark.parametrize(
    ("styles", "losses", "within"),
    [
        ((0.4, 0.5, 0.6, 0.5), (0.8, 0.7, 0.75), False),  # both better on each prompt and picture
        ((0.4, 0.5, 0.6, 0.5), (1.2, 0.7, 1.0), True),  # the loss is not
        ((0.1, 0.9, -0.6, 0.1), (0.8, 0.7, 0.75), True),  # the style is not
        ((), (), True),  # nothing is known of them
    ],
)
def test_a_lead_is_sure_where_both_its_parts_are(
    styles: tuple[float, ...], losses: tuple[float, ...], within: bool
) -> None:
    base = replace(BASE, prompt_aims=(0.0,) * len(styles), validation_losses=(1.0,) * len(losses))
    lead = lead_over_base(replace(judged(*SPREAD), prompt_aims=styles, validation_losses=losses), base)
    assert lead.points > 1 and lead.low < 0
    assert lead.is_within_noise is within
    if styles:
        surely = ttest_rel(styles, base.prompt_aims).confidence_interval(0.95).low > 0
        assert lead.sure_by_parts == (
            surely and ttest_rel(losses, base.validation_losses).confidence_interval(0.95).high < 0
        )


def test_one_prompt_has_no_interval_and_says_so() -> None:
    lead = lead_over_base(judged(30.0), judged(0.0))
    assert not lead.is_within_noise and math.isnan(lead.low)
    assert str(lead) == "+30.0 points above the base, with one prompt"
    assert lead_over_base(judged(0.0), judged(0.0)).is_within_noise


def test_the_words_name_the_interval() -> None:
    lead = lead_over_base(judged(-3.0, 1.0, 2.0, 30.0), BASE)
    assert lead_in_words(lead).startswith(
        "Nothing was learned for sure: the best is +7.5 points above the base, 95 % interval -16.4 to +31.4 over 4 "
        "prompts, which is within noise. "
    )
