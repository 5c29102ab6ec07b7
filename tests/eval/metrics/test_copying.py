"""Copies are found under disguises, near-duplicates and honest pictures are not taken for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from eval.metrics.copying import KINDS, copy_rate, distinct, find_copies, in_words
from eval.thumbnails import WIDTH, compositions, masked_compositions
from train.pocket.draw import draw_scene, layout
from train.pocket.world import scenes

SCENES = scenes(5, 54, held_out=True)
REAL = [draw_scene(scene, "pencil", 100 + i) for i, scene in enumerate(SCENES[:18])]
LEARNED, OTHERS = REAL[:12], REAL[12:18]
TRAIN, HELD_OUT = masked_compositions(LEARNED), compositions(OTHERS)


def test_training_pictures_that_are_copies_of_others_count_once() -> None:
    doubled = [*LEARNED[:6], ImageOps.mirror(LEARNED[2]), LEARNED[4].crop((4, 6, 60, 62)).resize((64, 64))]
    assert distinct(masked_compositions(doubled)).tolist() == [0, 1, 2, 3, 4, 5]
    assert distinct(TRAIN).tolist() == list(range(12))
    assert distinct(TRAIN[:2]).tolist() == [0, 1]


def recoloured(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    return Image.merge("RGB", (blue, red, green))


DISGUISES = {
    "plain": lambda picture: picture.point(lambda value: int(0.8 * value + 20)),
    "mirrored": ImageOps.mirror,
    "moved": lambda picture: Image.fromarray(np.roll(np.asarray(picture), (8, -5), axis=(0, 1))),
    "cropped": lambda picture: picture.crop((3, 9, 51, 57)).resize((64, 64)),
    "shrunk": lambda picture: ImageOps.expand(picture.resize((52, 52)), 6, picture.getpixel((1, 1))),
    "in its edges alone": recoloured,
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_copies_are_found_and_named(disguise: str) -> None:
    copies = compositions([DISGUISES[disguise](picture) for picture in LEARNED])
    kinds = find_copies(copies, TRAIN, HELD_OUT)
    assert (kinds > 0).double().mean() > 0.8
    names = [KINDS[kind] for kind in kinds[kinds > 0].tolist()]
    assert max(set(names), key=names.count) == disguise


def test_a_mask_hides_no_copy_of_the_whole_picture() -> None:
    masks = [
        Image.fromarray((255 * (layout(scene, 100 + i, 64)[0] > 0)).astype(np.uint8))
        for i, scene in enumerate(SCENES[:12])
    ]
    shrunk = compositions([DISGUISES["shrunk"](picture) for picture in LEARNED])
    assert (find_copies(shrunk, masked_compositions(LEARNED, masks), HELD_OUT) > 0).double().mean() > 0.8


def test_copies_on_another_ground_are_found_by_masks() -> None:
    masks = [layout(scene, 100 + i, 64)[0] > 0 for i, scene in enumerate(SCENES[:12])]
    images = [Image.fromarray((255 * mask).astype(np.uint8)) for mask in masks]
    grounds = [draw_scene(SCENES[20], "pencil", 500 + i) for i in range(12)]
    pasted = [Image.composite(own, ground, mask) for own, ground, mask in zip(LEARNED, grounds, images, strict=True)]
    found = find_copies(compositions(pasted), masked_compositions(LEARNED, images), HELD_OUT)
    assert (found > 0).double().mean() >= 0.5 and KINDS[int(found.max())] == "on another ground"


def test_new_pictures_are_no_copies() -> None:
    honest = [draw_scene(scene, "pencil", 900 + i) for i, scene in enumerate(SCENES[18:])]
    assert (find_copies(compositions(honest), TRAIN, HELD_OUT) > 0).double().mean() < 0.06


def test_two_things_drawn_anew_are_seldom_copies() -> None:
    twos = [scene for scene in SCENES[:12] if scene.second]  # one thing alone, drawn anew, is one that was moved
    anew = [draw_scene(scene, "pencil", seed + i) for seed in (900, 300, 500) for i, scene in enumerate(twos)]
    assert (find_copies(compositions(anew), TRAIN, HELD_OUT) > 0).double().mean() < 0.3


def test_without_held_out_pictures_training_ones_say_how_near_honest_ones_come() -> None:
    copies = compositions([ImageOps.mirror(picture) for picture in LEARNED[:4]] + OTHERS[:4])
    assert (find_copies(copies, TRAIN, HELD_OUT[:0]) > 0).tolist() == [True] * 4 + [False] * 4


def test_copy_rate_takes_off_what_the_base_does_itself() -> None:
    ours, base = torch.tensor([[True, True], [False, True]]), torch.tensor([[True, False], [False, False]])
    assert copy_rate(ours, base) == pytest.approx(0.5)
    assert copy_rate(base, ours) == 0.0
    assert math.isnan(copy_rate(ours[:0], base[:0]))


def test_edges_flag_nothing() -> None:
    pictures = TRAIN[:2, :WIDTH]
    assert find_copies(pictures, TRAIN[:1], HELD_OUT).tolist() == [0, 0]
    assert find_copies(pictures[:0], TRAIN, HELD_OUT).shape == (0,)
    assert find_copies(torch.full((2, 3, WIDTH), math.nan), TRAIN, HELD_OUT).tolist() == [[0] * 3] * 2


def test_words_say_how_pictures_copy_the_most_frequent_first() -> None:
    names = {name: number for number, name in KINDS.items()}
    kinds = torch.tensor([[0, names["cropped"]], [names["mirrored"], names["mirrored"]]])
    assert in_words(kinds) == "2 mirrored, 1 cropped" and in_words(kinds[:0]) == ""
