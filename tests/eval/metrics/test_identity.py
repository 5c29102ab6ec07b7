"""Identity against closed forms: faces that lie a known share of the way to a person."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from eval.evaluation import Evaluation
from eval.feature_sets import ReferenceFeatures, SampleFeatures, SubjectFeatures, SubjectSamples
from eval.judge import judge
from tests.eval.test_judge import GOOD, PROMPTS, REFERENCE, SEEDS, SPEC

WIDTH, REAL = 64, 0.8
FACE = replace(SPEC, kind="face", class_word="man")


def faces(cosine: float, count: int, first: int) -> Tensor:
    """(count, D) unit rows with this cosine to the person's direction (axis 0), the rest on axes of their own."""
    rows = torch.zeros(count, WIDTH)
    rows[:, 0] = cosine
    rows[torch.arange(count), first + torch.arange(count)] = math.sqrt(1 - cosine**2)
    return rows


def drawn(cosine: float, faceless: int = 0) -> Tensor:
    """(P, S, D), the first so many without a face."""
    rows = faces(cosine, PROMPTS * SEEDS, 20)
    rows[:faceless] = 0.0
    return rows.reshape(PROMPTS, SEEDS, WIDTH)


def metrics(samples: Tensor, base: Tensor, real: Tensor) -> dict[str, float]:
    none = torch.zeros(len(REFERENCE.base_unrelated), SEEDS, WIDTH)
    known = ReferenceFeatures(train=real[:4], held_out=real[4:], base_samples=base, base_unrelated=none)
    seen = replace(GOOD, faces=SampleFeatures(samples=samples, unrelated=none))
    return dict(judge(replace(REFERENCE, faces=known), seen, [], FACE).metrics)


@pytest.mark.parametrize(("cosine", "share"), [(0.2, 0.0), (0.8, 1.0), (0.5, 0.5), (0.0, -1 / 3)])
def test_identity_is_the_share_of_the_way_from_the_base_to_the_real_pictures(cosine: float, share: float) -> None:
    found = metrics(drawn(cosine), drawn(0.2), faces(REAL, 6, 1))
    assert found["identity"] == pytest.approx(share, abs=1e-6) and found["faceless"] == 0.0


def test_pictures_without_a_face_are_counted_apart() -> None:
    real = faces(REAL, 6, 1)
    real[1] = real[5] = 0.0
    found = metrics(drawn(0.5, faceless=8), drawn(0.2, faceless=5), real)
    assert found["identity"] == pytest.approx(0.5, abs=1e-6) and found["faceless"] == 0.25


def test_a_base_that_draws_no_face_is_as_far_as_strangers_are() -> None:
    found = metrics(drawn(0.4), torch.zeros(PROMPTS, SEEDS, WIDTH), faces(REAL, 6, 1))
    assert found["identity"] == pytest.approx(0.4 / REAL, abs=1e-6)


def test_without_faces_nothing_is_told() -> None:
    real = faces(REAL, 6, 1)
    none = metrics(torch.zeros(PROMPTS, SEEDS, WIDTH), drawn(0.2), real)
    assert math.isnan(none["identity"]) and none["faceless"] == 1.0
    real[1:] = 0.0
    assert math.isnan(metrics(drawn(0.5), drawn(0.2), real)["identity"])
    without = judge(REFERENCE, GOOD, [], FACE).metrics
    assert math.isnan(without["identity"]) and math.isnan(without["faceless"])
    assert "identity" not in judge(REFERENCE, GOOD, [], SPEC).metrics


def of_face(samples: Tensor, of_class: Tensor) -> Evaluation:
    """Judged where the base's faces lie at .2 and the real ones at REAL."""
    none = torch.zeros(len(REFERENCE.base_unrelated), SEEDS, WIDTH)
    real = faces(REAL, 6, 1)
    known = ReferenceFeatures(train=real[:4], held_out=real[4:], base_samples=drawn(0.2), base_unrelated=none)
    alike = torch.zeros(PROMPTS, SEEDS)
    subject = SubjectFeatures(
        parts=torch.zeros(1, 4, 2),
        weights=torch.full((1, 4), 0.25),
        whole=REFERENCE.held_out[:0],
        base_alike=alike,
        ceiling=torch.tensor(1.0),
        surroundings=REFERENCE.held_out[:0],
    )
    drawn_of_it = SubjectSamples(alike=alike, of_class=alike[:2], faces_of_class=of_class)
    seen = replace(GOOD, faces=SampleFeatures(samples=samples, unrelated=none), subject=drawn_of_it)
    return judge(replace(REFERENCE, faces=known, subject=subject), seen, [], FACE)


def test_a_face_is_scored_by_its_identity_and_a_picture_without_one_has_none() -> None:
    base = drawn(0.2)[:2]
    whole, half, faceless = (of_face(each, base) for each in (drawn(0.8), drawn(0.5), drawn(0.8, faceless=16)))
    assert half.score / whole.score == pytest.approx(0.5, rel=1e-5) and whole.score > 0
    assert faceless.score / whole.score == pytest.approx(0.5, rel=1e-5) and faceless.metrics["faceless"] == 0.5
    assert faceless.metrics["identity"] == pytest.approx(1.0) and faceless.prompt_aims[0] == 0.0


def test_a_class_word_that_draws_the_person_costs_score() -> None:
    leaking = drawn(0.5)[:2]
    leaking[0, 0] = 0.0  # no face: it tells nothing
    kept, leaked = of_face(drawn(0.8), drawn(0.2)[:2]), of_face(drawn(0.8), leaking)
    assert kept.metrics["class_leak"] == pytest.approx(0.0, abs=1e-6)
    assert leaked.metrics["class_leak"] == pytest.approx(0.5, abs=1e-6)
    assert leaked.score / kept.score == pytest.approx(1 - 0.5 * FACE.subject_score.class_leak, rel=1e-5)


def test_where_the_class_word_draws_no_face_no_leak_is_told() -> None:
    assert math.isnan(of_face(drawn(0.8), torch.zeros(2, SEEDS, WIDTH)).metrics["class_leak"])
