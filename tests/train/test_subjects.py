"""A subject of the drawn world is one particular thing, wherever, how large and how tilted it is drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from foundation.data.dataset import load_dataset
from foundation.data.spec import DataSpec, Drawn
from train.drawn import NUM_UNSEEN, draw_set, with_drawn_folder
from train.pocket.draw import PAINT, draw_scene, layout, subject_mask
from train.pocket.shapes import DISTANCES
from train.pocket.subjects import HOME, SUBJECTS, Subject, of_class, subject_by_lot, subject_scenes
from train.pocket.world import BACKGROUNDS, COLOURS, Scene, Thing, parts_of

MUG = SUBJECTS["mug"]


def pixels(scene: Scene, seed: int, style: str = "flat") -> npt.NDArray[np.float64]:
    return np.asarray(draw_scene(scene, style, seed)).astype(float)


def inside(scene: Scene, seed: int) -> npt.NDArray[np.bool_]:
    return np.asarray(subject_mask(scene, seed)) == 255


def test_there_are_several_subjects_of_different_shapes_and_the_config_names_them_all() -> None:
    assert len(SUBJECTS) >= 6 and len({subject.shape for subject in SUBJECTS.values()}) == len(SUBJECTS)
    assert set(get_args(Drawn)) == {"pencil", *SUBJECTS}


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_a_subject_has_its_own_paints_in_every_picture(name: str) -> None:
    subject = SUBJECTS[name]
    for seed, scene in enumerate(subject_scenes(subject, 3, 6)):
        picture, mask = pixels(scene, seed), inside(scene, seed)
        for paint in (np.array(PAINT[subject.colour]), 255 * np.array(subject.paint)):
            near = (np.abs(picture - paint).max(axis=2) <= 9) & mask
            assert near.sum() >= 0.04 * mask.sum(), (scene, paint)


def test_the_mask_is_white_where_the_subject_is_and_nowhere_else() -> None:
    for seed, scene in enumerate(subject_scenes(MUG, 5, 10)):
        other = Scene(scene.background, scene.first, scene.relation, scene.second)
        plain = of_class(other, "red")
        differs = np.abs(pixels(scene, seed) - pixels(plain, seed)).max(axis=2) > 9
        shape = layout(scene, seed, 64)[1]
        assert (shape[inside(scene, seed)] != 0).all()
        assert (np.asarray(subject_mask(scene, seed))[shape == 0] <= 128).all()
        assert differs[inside(scene, seed)].mean() > 0.5


def test_place_size_and_tilt_vary_with_the_seed_and_the_subject_does_not() -> None:
    scene = Scene("grass", MUG)
    masks = [inside(scene, seed) for seed in range(8)]
    assert len({mask.sum() for mask in masks}) > 4
    means = [pixels(scene, seed)[mask].mean(axis=0) for seed, mask in enumerate(masks)]
    assert np.ptp(means, axis=0).max() < 30
    assert np.array_equal(pixels(scene, 2), pixels(scene, 2))


def test_a_mirrored_subject_has_its_handle_on_the_other_side() -> None:
    v, u = np.mgrid[-1:1:65j, -1:1:65j]
    plain, mirror = (
        DISTANCES["cup"](*Subject("blue", "cup", mirrored=mirrored).frame(u, v)) for mirrored in (False, True)
    )
    assert np.allclose(mirror, plain[:, ::-1]) and not np.allclose(mirror, plain, atol=0.1)


def test_captions_call_the_subject_by_its_token_and_class() -> None:
    scene = Scene("night", Thing("red", "ball"), "above", MUG)
    assert scene.caption("photo") == "a red ball above a sks cup at night, in photo style"
    assert MUG.trigger == "sks cup"
    assert str(of_class(scene, "pink")) == "a red ball above a pink cup at night"
    assert parts_of(scene) == parts_of(Scene("night", Thing("red", "ball"), "above", Thing("blue", "cup")))


def test_subjects_by_lot_differ_and_come_again_with_their_seed() -> None:
    made = [subject_by_lot(np.random.default_rng(seed), "cup") for seed in range(12)]
    assert len(set(made)) == 12 and {each.shape for each in made} == {"cup"}
    assert made[3] == subject_by_lot(np.random.default_rng(3), "cup")
    assert {each.colour for each in made} <= set(COLOURS)


def test_company_is_of_another_shape_and_no_scene_comes_twice() -> None:
    scenes = subject_scenes(MUG, 1, 80)
    assert len(set(scenes)) == 80 and {scene.background for scene in scenes} == set(HOME)
    for scene in scenes:
        shapes = [thing.shape for thing in (scene.first, scene.second) if thing]
        assert shapes.count("cup") == 1


def test_what_has_no_subject_has_no_mask() -> None:
    with pytest.raises(ValueError, match="there is no subject in a red cup on grass"):
        subject_mask(Scene("grass", Thing("red", "cup")), 0)


def test_a_set_of_a_subject_is_a_folder_like_any_other_with_masks(tmp_path: Path) -> None:
    spec = DataSpec(name="mug", drawn="mug", trigger="sks cup", num_train=6, num_validation=2, mask="beside")
    dataset = load_dataset(with_drawn_folder(spec, tmp_path))
    assert (len(dataset.train), len(dataset.validation), len(dataset.masks)) == (6, 2, 6)
    assert all("a sks cup" in caption and caption.endswith(", in photo style") for caption in dataset.captions)
    mask = dataset.masks[0].open()
    assert mask.size == (64, 64) and mask.getextrema() == (0, 255)
    unseen = [
        json.loads(line)["text"]
        for line in (draw_set("mug", 6, 2, tmp_path) / "unseen/metadata.jsonl").read_text().splitlines()
    ]
    assert len(set(unseen)) == NUM_UNSEEN and not set(unseen) & set(dataset.captions)
    assert all(any(words in text for text in unseen) for words in BACKGROUNDS.values())


def test_a_set_of_a_subject_is_drawn_to_the_same_bytes(tmp_path: Path) -> None:
    one, two = (draw_set("parcel", 3, 1, tmp_path / side) for side in ("a", "b"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 2 * (4 + NUM_UNSEEN) + 3 + 1
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)
    assert Image.open(one / "train/000.png").size == (64, 64)
