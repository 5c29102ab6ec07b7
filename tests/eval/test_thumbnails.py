"""A copy looks like its original, another picture of the same scene does not."""

from __future__ import annotations

import torch
from PIL import Image, ImageChops, ImageEnhance

from eval.metrics.copying import find_copies
from eval.thumbnails import THUMBNAIL_WIDTH, compositions
from train.pocket.draw import draw_scene
from train.pocket.world import scenes

SCENES = scenes(5, 40, held_out=True)
REAL = [draw_scene(scene, "pencil", 100 + i) for i, scene in enumerate(SCENES)]
TRAIN, HELD_OUT = compositions(REAL[:24]), compositions(REAL[24:32])


def test_they_are_unit_vectors_and_nothing_gives_none() -> None:
    assert torch.allclose(TRAIN.norm(dim=1), torch.ones(24))
    assert compositions([]).shape == (0, THUMBNAIL_WIDTH)
    plain = compositions([Image.new("L", (40, 30), 128)])
    assert plain.shape == (1, THUMBNAIL_WIDTH) and not plain.any()


def test_a_cast_and_a_size_change_nothing() -> None:
    cast = ImageChops.add(REAL[0].point(lambda value: value // 2), Image.new("RGB", (64, 64), (10, 40, 90)))
    large = cast.resize((128, 128), Image.Resampling.NEAREST)
    assert float(compositions([large])[0] @ TRAIN[0]) > 0.99


def test_copies_are_found_moved_and_re_lit_and_the_same_scene_drawn_anew_is_none() -> None:
    moved = [ImageEnhance.Brightness(ImageChops.offset(each, 1, -2)).enhance(1.1) for each in REAL[:24]]
    assert find_copies(compositions(moved), TRAIN, HELD_OUT).double().mean() > 0.9
    anew = [draw_scene(scene, "pencil", 900 + i) for i, scene in enumerate(SCENES[:24])]
    by_chance = find_copies(compositions(anew), TRAIN, HELD_OUT)  # things in the middle fall into place
    assert by_chance.double().mean() < 0.3
