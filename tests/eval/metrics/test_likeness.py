"""Likeness and leaks against closed forms: pictures that lie a known share of the way to the subject."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eval import thumbnails
from eval.feature_sets import ReferenceFeatures, SampleFeatures, SubjectFeatures, SubjectSamples
from eval.judge import Evidence, judge
from eval.metrics.likeness import MIN_GAP, leave_one_out, shares
from eval.reference import Reference
from eval.spec import EvalSpec
from eval.thumbnails import compositions, masked_compositions

WIDTH, PROMPTS, SEEDS = 12, 3, 2
SPEC = EvalSpec(
    kind="subject", prompts=tuple(f"a {{trigger}} {i}" for i in range(PROMPTS)), class_word="cup", class_prompts=2
)


def at(cosine: float, side: int) -> Tensor:
    """A unit vector with this cosine to the subject's direction (axis 0), the rest on an axis of its own."""
    vector = torch.zeros(WIDTH, dtype=torch.float64)
    vector[0], vector[side] = cosine, math.sqrt(1 - cosine**2)
    return vector


def pictures(cosine: float) -> Tensor:
    """(P, S, D), all with this cosine to the subject."""
    rows = [at(cosine, 1 + number) for number in range(PROMPTS * SEEDS)]
    return torch.stack(rows).reshape(PROMPTS, SEEDS, WIDTH)


def alike(cosine: float) -> Tensor:
    """(P, S), each prompt's mean being this."""
    return cosine + torch.linspace(-0.1, 0.1, SEEDS, dtype=torch.float64).expand(PROMPTS, SEEDS)


REAL = torch.stack([at(0.8, 8), at(0.8, 9), at(0.8, 10), at(0.8, 11)])
"""Whole pictures: half subject, half surroundings of their own."""
BASE = pictures(0.2)


def reference(surroundings: Tensor | None = None) -> Reference:
    none = torch.zeros(0, WIDTH)
    return Reference(
        train=REAL[:2],
        held_out=REAL[2:],
        prompts=torch.eye(WIDTH)[:PROMPTS],
        base_samples=BASE,
        base_unrelated=torch.zeros(0, SEEDS, WIDTH),
        base_validation=torch.zeros(0, 1),
        train_compositions=masked_compositions([]),
        held_out_compositions=compositions([]),
        base_compositions=torch.zeros(PROMPTS, SEEDS, thumbnails.WIDTH),
        base_training_compositions=compositions([]),
        style=ReferenceFeatures(
            train=REAL[:2], held_out=REAL[2:], base_samples=BASE, base_unrelated=torch.zeros(0, SEEDS, WIDTH)
        ),
        style_scale=torch.ones(WIDTH),
        real_texts=none,
        captioned=torch.zeros(0, dtype=torch.int64),
        subject=SubjectFeatures(
            parts=torch.zeros(2, 4, 3),
            weights=torch.full((2, 4), 0.25),
            whole=none,
            base_alike=alike(0.2),
            ceiling=torch.tensor(0.8),
            surroundings=none if surroundings is None else surroundings,
        ),
    )


def seen(cosine: float, of_class: float = 0.2) -> Evidence:
    return Evidence(
        step=1,
        style=SampleFeatures(samples=pictures(cosine), unrelated=torch.zeros(0, SEEDS, WIDTH)),
        samples=pictures(cosine),
        unrelated=torch.zeros(0, SEEDS, WIDTH),
        validation_losses=torch.zeros(0, 1),
        compositions=torch.zeros(PROMPTS, SEEDS, thumbnails.WIDTH),
        training_compositions=compositions([]),
        subject=SubjectSamples(alike=alike(cosine), of_class=alike(of_class)[:2]),
    )


@pytest.mark.parametrize(("cosine", "likeness"), [(0.2, 0.0), (0.8, 1.0), (0.5, 0.5), (0.95, 1.25), (0.0, -1 / 3)])
def test_likeness_is_the_share_of_the_way_from_the_base_to_the_real_pictures(cosine: float, likeness: float) -> None:
    assert judge(reference(), seen(cosine), [], SPEC).metrics["likeness"] == pytest.approx(likeness)


@pytest.mark.parametrize(("cosine", "leak"), [(0.2, 0.0), (0.5, 0.5), (0.8, 1.0)])
def test_class_leak_is_the_same_share_of_pictures_without_the_trigger(cosine: float, leak: float) -> None:
    metrics = judge(reference(), seen(0.7, cosine), [], SPEC).metrics
    assert metrics["class_leak"] == pytest.approx(leak)
    assert metrics["likeness"] == pytest.approx((0.7 - 0.2) / 0.6)


def test_without_pictures_of_the_class_word_no_leak_is_told() -> None:
    evidence = replace(seen(0.5), subject=SubjectSamples(alike=alike(0.5), of_class=torch.zeros(0, SEEDS)))
    assert math.isnan(judge(reference(), evidence, [], SPEC).metrics["class_leak"])


def test_background_leak_is_the_way_to_what_surrounds_the_others() -> None:
    """Both training pictures share surroundings, axis 8: .6 of each, and nothing of the base."""
    around = torch.eye(WIDTH, dtype=torch.float64)[8].repeat(2, 1)
    real = replace(reference(around), train=torch.stack([at(0.8, 8), at(0.8, 8)]))
    assert judge(real, seen(0.5), [], SPEC).metrics["background_leak"] == pytest.approx(0.0)
    for share in (0.25, 1.0):
        samples = pictures(0.5)
        samples[..., 8] = 0.6 * share
        moved = replace(seen(0.5), samples=samples)
        assert judge(real, moved, [], SPEC).metrics["background_leak"] == pytest.approx(share)


def test_surroundings_with_nothing_in_common_cannot_leak() -> None:
    around = torch.eye(WIDTH, dtype=torch.float64)[8:10]
    assert math.isnan(judge(reference(around), seen(0.5), [], SPEC).metrics["background_leak"])
    assert math.isnan(judge(reference(), seen(0.5), [], SPEC).metrics["background_leak"])


def test_leave_one_out_is_the_mean_over_other_pictures() -> None:
    rng = np.random.default_rng(0)
    whole, parts = rng.standard_normal((5, 7)), rng.standard_normal((3, 7))
    pairs = [(i, j) for i, j in product(range(5), range(3)) if i != j + 2]
    expected = np.mean([whole[i] @ parts[j] for i, j in pairs])
    assert leave_one_out(torch.tensor(whole), torch.tensor(parts), offset=2) == pytest.approx(expected)
    assert math.isnan(leave_one_out(torch.tensor(whole[:1]), torch.tensor(parts)))


def test_shares_against_float64_of_every_picture() -> None:
    rng = np.random.default_rng(1)
    own, base = rng.uniform(0.2, 0.9, (3, 2)), rng.uniform(0.1, 0.3, (3, 2))
    expected = [[(own[p, s] - base[p, s]) / (0.8 - base.mean()) for s in range(2)] for p in range(3)]
    assert np.allclose(shares(torch.tensor(own), torch.tensor(base), 0.8).numpy(), expected)
    assert shares(torch.tensor(own), torch.tensor(base), math.nan).isnan().all()


def test_a_base_that_draws_the_subject_already_is_not_divided_by() -> None:
    base = torch.ones(1, 1)
    assert shares(base - MIN_GAP / 2, base, 1.0).item() == pytest.approx(-0.5, rel=1e-4)


def test_a_styles_judge_takes_none_of_these() -> None:
    of_style = replace(reference(), subject=None), replace(seen(0.5), subject=None)
    style = judge(*of_style, [], replace(SPEC, kind="style")).metrics
    assert not {"likeness", "class_leak", "background_leak"} & style.keys() and "style" in style


def test_the_reference_of_a_subject_is_read_back(tmp_path: Path) -> None:
    whole = reference(torch.eye(WIDTH, dtype=torch.float64)[8:10])
    file = tmp_path / "reference.safetensors"
    whole.save(file)
    again = Reference.load(file).subject
    assert again is not None and whole.subject is not None
    for name in ("parts", "weights", "whole", "base_alike", "ceiling", "surroundings"):
        assert torch.equal(getattr(again, name), getattr(whole.subject, name))


def test_the_class_prompts_of_a_budget_go_with_its_seeds() -> None:
    whole = SubjectSamples(alike=alike(0.5), of_class=alike(0.3))
    some = whole.within(SPEC.whole._replace(prompts=2, seeds=1, of_class=1))
    assert (some.alike.shape, some.of_class.shape) == ((2, 1), (1, 1))
