"""Identity against closed forms: faces that lie a known share of the way to a person."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from eval.feature_sets import ReferenceFeatures, SampleFeatures
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
