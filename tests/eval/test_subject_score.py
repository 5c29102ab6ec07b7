"""A subject's score: 0 for the base, 100 for what is as the real pictures are, less for each harm."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from eval.spec import SubjectWeights
from eval.subject_score import SubjectParts, pseudo_values, score, standard_error
from eval.taste import Taste

WEIGHTS = SubjectWeights(prompt_power=2, class_leak=0.5, background_leak=0.25, validation=0)


def parts(likeness: float = 1.0, kept: float = 1.0, copies: float = 0.0, **changes: Any) -> SubjectParts:
    values: dict[str, Any] = {
        "likeness": torch.full((4, 2), likeness, dtype=torch.float64),
        "match": torch.full((4, 2), 10 * kept, dtype=torch.float64),
        "base_match": torch.full((4, 2), 10.0, dtype=torch.float64),
        "copied": torch.full((4, 2), copies),
        "base_copied": torch.zeros(4, 2),
        "training_copied": torch.zeros(0),
        "base_training_copied": torch.zeros(0),
        "class_leak": 0.0,
        "background_leak": 0.0,
        "val_ratio": 0.5,
        "weights": WEIGHTS,
    }
    return SubjectParts(**values | changes)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (parts(0.0), 0.0),
        (parts(), 100.0),
        (parts(1.3, 1.2), 100.0),
        (parts(0.6, 0.9), 60.0),
        (parts(0.6, 0.4), 100 * 0.6 * 0.5**2),
        (parts(copies=0.25), 75.0),
        (parts(class_leak=1.0), 50.0),
        (parts(class_leak=0.4, background_leak=0.2), 100 * 0.8 * 0.95),
        (parts(class_leak=-0.3, background_leak=3.0), 75.0),
        (parts(class_leak=math.nan, background_leak=math.nan), 100.0),
        (parts(-0.5, 0.1), -50.0),
        (parts(0.5, weights=SubjectWeights(validation=20)), 80 * 0.5 + 20 * 0.5),
        (parts(0.5, weights=SubjectWeights(validation=20), val_ratio=math.nan), 80 * 0.5 - 20),
        (parts(0.5, weights=SubjectWeights(validation=20), val_ratio=None), 80 * 0.5),
        (parts(kept=0.5, weights=SubjectWeights(prompt_power=0)), 100.0),
        (parts(0.6, 0.4, copies=0.25, taste=Taste(aim=2, prompt=0.5, copies=3)), 100 * 0.6**2 * 0.5 * 0.75**3),
        (parts(0.5, weights=SubjectWeights(validation=20), taste=Taste(loss=2)), 80 * 0.5 + 2 * 20 * 0.5),
    ],
    ids=lambda value: f"{value:g}" if isinstance(value, float) else "",
)
def test_the_formula_by_hand(seen: SubjectParts, expected: float) -> None:
    assert score(seen) == pytest.approx(expected)


def test_copies_are_counted_among_all_pictures_less_the_bases() -> None:
    seen = parts(training_copied=torch.ones(2), base_training_copied=torch.tensor([1.0, 0.0]))
    assert score(seen) == pytest.approx(100 * (1 - 1 / 10))


def test_the_standard_error_of_one_seed_is_that_of_a_mean_over_prompts() -> None:
    likeness = torch.linspace(0.1, 0.9, 20, dtype=torch.float64)[:, None]
    ones, none = torch.full((20, 1), 10.0, dtype=torch.float64), torch.zeros(20, 1)
    seen = parts(likeness=0.5)
    seen = SubjectParts(
        likeness=likeness,
        match=ones,
        base_match=ones,
        copied=none,
        base_copied=none,
        training_copied=seen.training_copied,
        base_training_copied=seen.base_training_copied,
        class_leak=0.0,
        background_leak=0.0,
        val_ratio=None,
        weights=WEIGHTS,
    )
    expected = 100 * float(likeness.std(correction=0)) / math.sqrt(20)
    assert standard_error(seen, 4000) == pytest.approx(expected, rel=0.05)
    assert torch.allclose(pseudo_values(seen), 100 * likeness[:, 0])


def test_one_prompt_has_no_error() -> None:
    one = torch.ones(1, 2, dtype=torch.float64)
    seen = parts(likeness=1.0)
    single = SubjectParts(
        likeness=one,
        match=10 * one,
        base_match=10 * one,
        copied=torch.zeros(1, 2),
        base_copied=torch.zeros(1, 2),
        training_copied=seen.training_copied,
        base_training_copied=seen.base_training_copied,
        class_leak=0.0,
        background_leak=0.0,
        val_ratio=None,
        weights=WEIGHTS,
    )
    assert math.isnan(standard_error(single, 10)) and pseudo_values(single).tolist() == []
