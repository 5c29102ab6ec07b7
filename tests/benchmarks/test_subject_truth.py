"""The truth of LoRAs for subjects: what its readers are told, and what it makes of what they read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.judge_trials.subject_readers import TRAITS, _apart, _parts, nearly, with_thing
from benchmarks.judge_trials.subject_sets import NUM_OF_CLASS, RESERVED_SUBJECTS, SUBJECT_SETS, TUNED_SUBJECTS
from benchmarks.judge_trials.subject_truth import SubjectMeasure
from train.pocket.subjects import HOME, SUBJECTS, Subject
from train.pocket.world import Scene, Thing

MUG = SUBJECTS["mug"]
MUG_SET = SUBJECT_SETS[0]


def test_sets_are_of_subjects_on_all_grounds_and_some_are_for_reports_alone() -> None:
    assert not {each.name for each in TUNED_SUBJECTS} & {each.name for each in RESERVED_SUBJECTS}
    for each in SUBJECT_SETS:
        scenes = each.truth_scenes()
        assert all(each.subject in (scene.first, scene.second) for scene in scenes)
        assert {scene.background for scene in scenes} > set(HOME)
        assert all(each.subject.trigger in caption for caption in each.captions())
        of_class = each.captions_of_class()
        assert len(of_class) == NUM_OF_CLASS and not any("sks" in caption for caption in of_class)


def test_what_is_almost_the_subject_differs_from_it_in_what_one_sees() -> None:
    rng = np.random.default_rng(0)
    for subject in SUBJECTS.values():
        for other in (nearly(subject, rng) for _ in range(20)):
            seen = [(each.colour, each.pattern, each.paint, each.rim) for each in (subject, other)]
            assert other.shape == subject.shape and seen[0] != seen[1]


def test_another_thing_takes_the_subjects_place() -> None:
    scene = Scene("sky", Thing("red", "moon"), "above", MUG)
    other = nearly(MUG, np.random.default_rng(1))
    assert with_thing(scene, other) == Scene("sky", Thing("red", "moon"), "above", other)
    assert with_thing(scene, Thing("green", "cup")) == Scene(
        "sky", Thing("red", "moon"), "above", Thing("green", "cup")
    )


def test_parts_tell_ground_thing_company_and_how_they_stand() -> None:
    lone, pair = Scene("snow", MUG), Scene("snow", Thing("red", "moon"), "above", MUG)
    turned = Scene("snow", MUG, "above", Thing("red", "moon"))
    assert len({_parts(scene, "cup") for scene in (lone, pair, turned)}) == 3
    assert _parts(lone, "cup")[1] == 1 and _parts(lone, "ball")[1] == 0
    assert _parts(pair, "cup")[:4] == _parts(turned, "cup")[:4]  # they differ in how they stand alone


def test_telling_things_apart_is_cross_entropy_over_the_others_of_a_batch() -> None:
    angles = torch.tensor([0.0, 0.8, 1.2, 1.6])
    traits = torch.stack([angles.cos(), angles.sin()], dim=1)
    things = torch.tensor([0, 0, 1, 1])
    by_hand = []
    for i, twin in enumerate((1, 0, 3, 2)):
        logits = [12 * math.cos(float(angles[i] - angles[j])) for j in range(4) if j != i]
        wanted = 12 * math.cos(float(angles[i] - angles[twin]))
        by_hand.append(math.log(sum(math.exp(each) for each in logits)) - wanted)
    assert float(_apart(traits, things)) == pytest.approx(sum(by_hand) / 4, rel=1e-4)


class ByBrightness:
    """Reads the share of a picture's brightness as how much the subject is there."""

    def traits(self, pixels: Tensor, shape: str) -> Tensor:
        share = pixels.double().mean((1, 2, 3)) / 255
        return torch.stack([share, 1 - share, *[torch.zeros_like(share)] * (TRAITS - 2)], dim=1)

    def log_probability(self, pixels: Tensor, name: str) -> Tensor:
        return pixels.double().mean((1, 2, 3)) / 255

    def share_shown(self, pixels: Tensor, wanted: Sequence[Scene], shape: str) -> tuple[Tensor, Tensor]:
        return torch.full((len(pixels),), 0.5).double(), torch.zeros(len(pixels)).bool()


class White:
    """A base whose autoencoder makes drawings white."""

    pipeline = SimpleNamespace()

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return pixels, pixels

    def decode_images(self, latents: Tensor) -> Tensor:
        return torch.ones_like(latents)


def pictures(level: int, count: int) -> Tensor:
    return torch.full((count, 3, 64, 64), level, dtype=torch.uint8)


def test_the_way_is_0_at_the_base_and_1_at_drawings_and_quality_is_what_is_shown_of_it() -> None:
    count = len(MUG_SET.truth_scenes())
    base: Any = White()
    reader: Any = ByBrightness()
    measure = SubjectMeasure(base, reader, MUG_SET, pictures(51, count), pictures(0, NUM_OF_CLASS))
    assert measure.way(pictures(51, count)).mean() == pytest.approx(0.0, abs=1e-9)
    assert measure.way(pictures(255, count)).mean() == pytest.approx(1.0)
    assert measure.way(pictures(0, count)).mean() < -0.1
    for level in (0, 51, 255):
        assert measure.told(pictures(level, count)).mean() == pytest.approx((level - 51) / 204, abs=1e-6)
    assert measure.quality(pictures(255, count)).mean() == pytest.approx(0.5)
    assert measure.quality(pictures(0, count)).mean() == 0  # away from it is worth nothing, not less
    assert measure.leaked(pictures(0, NUM_OF_CLASS)).mean() == pytest.approx(0.0, abs=1e-6)
    assert measure.leaked(pictures(255, NUM_OF_CLASS)).mean() == pytest.approx(1.0)


def test_every_subject_is_of_a_class_of_its_own() -> None:
    assert all(isinstance(each.subject, Subject) for each in SUBJECT_SETS)
    assert len({each.subject.shape for each in SUBJECT_SETS}) == len(SUBJECT_SETS)
