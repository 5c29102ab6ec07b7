"""A subject's parts are found again wherever it stands, and count by its mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from eval.cutouts import SubjectPictures
from eval.feature_sets import SubjectFeatures
from eval.features import Extractor, load_extractor
from eval.parts import alike, subject_features
from eval.patches import PatchExtractor, found_again
from train.pocket.draw import draw_scene, subject_mask
from train.pocket.subjects import SUBJECTS, of_class, subject_scenes

MUG = SUBJECTS["mug"]


@pytest.fixture(scope="module")
def eyes() -> tuple[Extractor, PatchExtractor]:
    eye = load_extractor("pocket")
    return eye, PatchExtractor(eye.model.vision_model, eye.processor, eye.device)


def drawn(
    seed: int, count: int, colour: str | None = None, grounds: Sequence[str] = ("grass", "snow")
) -> list[Image.Image]:
    """Scenes of the mug, or of any cup of a colour in its place."""
    scenes = subject_scenes(MUG, seed, count, grounds)
    if colour is not None:
        scenes = [of_class(each, colour) for each in scenes]
    return [draw_scene(each, "photo", seed + i) for i, each in enumerate(scenes)]


def learned(eyes: tuple[Extractor, PatchExtractor], with_masks: Sequence[bool] = (True, True)) -> SubjectFeatures:
    scenes = subject_scenes(MUG, 50, 2, ("grass", "snow"))
    masks = [subject_mask(scenes[i], 50 + i) if wanted else None for i, wanted in enumerate(with_masks)]
    subject = SubjectPictures(held_out=drawn(50, 2), masks=masks, surroundings=[])
    return subject_features(*eyes, subject, drawn(1, 5), drawn(7, 8, "red"), num_seeds=2)


def test_parts_are_found_as_by_a_loop_over_all_places() -> None:
    rng = np.random.default_rng(0)
    pictures, parts = rng.standard_normal((3, 5, 4)), rng.standard_normal((2, 6, 4))
    expected = [
        [[max(p @ q / np.linalg.norm(p) / np.linalg.norm(q) for p in picture) for q in part] for part in parts]
        for picture in pictures
    ]
    found = found_again(torch.tensor(pictures), torch.tensor(parts))
    assert np.allclose(found.numpy(), expected)
    assert found_again(torch.zeros(0, 5, 4), torch.tensor(parts)).shape == (0, 2, 6)


def test_the_subject_elsewhere_is_more_like_it_than_others_of_its_class(eyes: tuple[Extractor, PatchExtractor]) -> None:
    subject = learned(eyes)
    own = alike(*eyes, drawn(90, 8, grounds=("sky", "night")), subject)
    for colour in ("blue", "yellow", "green"):
        others = alike(*eyes, drawn(90, 8, colour, ("sky", "night")), subject)
        assert float((own > others).double().mean()) >= 0.75
    assert float(subject.ceiling) > float(subject.base_alike.mean()) + 0.02 and subject.base_alike.shape == (4, 2)


def test_a_mask_says_which_places_count(eyes: tuple[Extractor, PatchExtractor]) -> None:
    white = np.zeros((64, 64), dtype=np.uint8)
    white[8:16, 16:28] = 255  # a place and a half
    cover = eyes[1].cover(Image.fromarray(white))
    assert {number: value for number, value in enumerate(cover.tolist()) if value} == {10: 1.0, 11: 0.5}
    weights = learned(eyes).weights
    assert torch.allclose(weights.sum(1), torch.ones(2, dtype=torch.float64)) and float(weights.min()) == 0


def test_what_has_no_mask_or_a_black_one_is_compared_whole(eyes: tuple[Extractor, PatchExtractor]) -> None:
    real = learned(eyes, (False, True))
    assert len(real.parts) == len(real.whole) == 1
    shown = drawn(90, 3)
    features, (second, first) = eyes[0].images, drawn(50, 2)[::-1]
    whole = features(shown).double() @ features([first]).double().T
    in_parts = found_again(eyes[1].images(shown), eyes[1].images([second])) * real.weights
    assert torch.allclose(alike(*eyes, shown, real), (in_parts.sum(-1) + whole).mean(1) / 2)
    black = SubjectPictures(held_out=[first], masks=[Image.new("L", (64, 64))], surroundings=[])
    assert len(subject_features(*eyes, black, drawn(1, 2), shown, num_seeds=1).whole) == 1


def test_the_ceiling_is_the_mean_over_all_other_real_pictures(eyes: tuple[Extractor, PatchExtractor]) -> None:
    real = learned(eyes, (False, False))
    features = eyes[0].images([*drawn(1, 5), *drawn(50, 2)]).double()
    cosines = [float(features[i] @ features[j]) for j in (5, 6) for i in range(7) if i != j]
    assert float(real.ceiling) == pytest.approx(sum(cosines) / 12)


def test_one_picture_alone_has_no_ceiling(eyes: tuple[Extractor, PatchExtractor]) -> None:
    [only] = drawn(50, 1)
    subject = SubjectPictures(held_out=[only], masks=[None], surroundings=[])
    assert math.isnan(float(subject_features(*eyes, subject, [], drawn(7, 2, "red"), num_seeds=1).ceiling))
    none = replace(subject, held_out=[], masks=[])
    assert alike(*eyes, [only], subject_features(*eyes, none, [], [only], 1)).isnan().all()
