"""What surrounds a subject shows nothing of it, and masks go with their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from eval.cutouts import subject_pictures, surroundings
from eval.prompts import drawn_by_base
from eval.spec import EvalSpec
from foundation.data.dataset import load_dataset
from foundation.data.spec import DataSpec
from train.drawn import with_drawn_folder

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
_WHERE = np.zeros((32, 32), dtype=np.uint8)
_WHERE[8:20, 10:24] = 255
MASK = Image.fromarray(_WHERE)
INSIDE = _WHERE == 255


def test_surroundings_do_not_depend_on_what_lies_under_the_mask() -> None:
    other = np.asarray(PICTURE).copy()
    other[INSIDE] = (255, 0, 255)
    one, two = (np.asarray(surroundings(each, MASK)) for each in (PICTURE, Image.fromarray(other)))
    assert np.array_equal(one, two)
    assert np.array_equal(one[~INSIDE], np.asarray(PICTURE)[~INSIDE])


def test_a_hole_in_one_colour_is_filled_with_it() -> None:
    plain = np.full((32, 32, 3), (40, 90, 160), dtype=np.uint8)
    plain[INSIDE] = 255
    found = np.asarray(surroundings(Image.fromarray(plain), MASK)).astype(int)
    assert np.abs(found - (40, 90, 160)).max() <= 6  # means of bytes, rounded twice


def test_masks_go_with_held_out_pictures_and_cut_the_subject_out_of_those_trained_on(tmp_path: Path) -> None:
    spec = DataSpec(name="mug", drawn="mug", num_train=3, num_validation=2, mask="beside")
    dataset = load_dataset(with_drawn_folder(spec, tmp_path))
    train, held_out = ([each.open() for each in pictures] for pictures in (dataset.train, dataset.validation))
    found = subject_pictures(train, held_out, dataset)
    assert (found.held_out, len(found.surroundings)) == (held_out, 3)
    for found_mask, mask in zip(found.masks, dataset.held_out_masks, strict=True):
        assert found_mask is not None and mask is not None
        assert np.array_equal(np.asarray(found_mask), np.asarray(mask.open()))


def test_without_masks_pictures_stay_whole(tmp_path: Path) -> None:
    spec = DataSpec(name="mug", drawn="mug", num_train=3, num_validation=2)
    dataset = load_dataset(with_drawn_folder(spec, tmp_path))
    train, held_out = ([each.open() for each in pictures] for pictures in (dataset.train, dataset.validation))
    found = subject_pictures(train, held_out, dataset)
    assert (found.held_out, found.masks, found.surroundings) == (held_out, [None, None], [])


def test_the_base_draws_the_class_of_a_subject_and_a_styles_prompts_as_they_are() -> None:
    spec = EvalSpec(kind="subject", prompts=("a {trigger} at night", "a sks cup"), class_word="cup", class_prompts=2)
    wanted = drawn_by_base(spec, "sks cup")
    assert wanted.prompts == ("a cup at night", "a cup") and wanted.class_prompts == 0
    style = EvalSpec(prompts=("a star, {trigger}",))
    assert drawn_by_base(style, "in pencil style") is style
