"""Scenes say what they are, and pictures show what their scenes say."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import binary_erosion

from train.pocket.brushes import SIZE
from train.pocket.draw import GROUND, PAINT, draw_scene, layout
from train.pocket.named_recipes import RECIPES, RESERVED
from train.pocket.recipes import recipe_by_lot
from train.pocket.world import (
    ALL_STYLES,
    BACKGROUNDS,
    BASE_STYLES,
    COLOURS,
    RECIPE_STYLES,
    RELATIONS,
    RESERVED_STYLES,
    SHAPES,
    STYLES,
    TAUGHT_STYLES,
    UNSEEN_STYLES,
    Scene,
    Thing,
    is_held_out,
    random_scene,
    scenes,
)

Mask = npt.NDArray[np.bool_]
CUP_AND_STAR = Scene("grass", Thing("red", "cup"), "left of", Thing("orange", "star"))
JITTER = 9
"""A thing's paint varies by 3 % of 255 between pictures, and is rounded."""


def array(scene: Scene, style: str, seed: int = 0) -> npt.NDArray[np.int_]:
    picture = draw_scene(scene, style, seed)
    assert picture.mode == "RGB" and picture.size == (SIZE, SIZE) == (64, 64)
    return np.asarray(picture).astype(int)


def painted(picture: npt.NDArray[np.int_], colour: str) -> Mask:
    """Where a flat picture has a thing's paint."""
    near: Mask = np.abs(picture - np.array(PAINT[colour])).max(axis=2) <= JITTER
    return near


def centre(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def test_the_world_is_as_rich_as_promised() -> None:
    assert len(set(SHAPES)) >= 8 and len(set(COLOURS)) >= 8 and len(BACKGROUNDS) >= 5
    assert RELATIONS == ("left of", "above")
    assert {"photo", "flat", "outline", "watercolour", "pixel", "pencil"} <= set(STYLES) and len(STYLES) >= 6
    assert "pencil" in UNSEEN_STYLES and len(UNSEEN_STYLES) == 2 and not set(UNSEEN_STYLES) & set(BASE_STYLES)
    assert set(PAINT) == set(COLOURS) and set(GROUND) == set(BACKGROUNDS)


@pytest.mark.parametrize(
    ("scene", "style", "caption"),
    [
        (CUP_AND_STAR, None, "a red cup left of an orange star on grass"),
        (CUP_AND_STAR, "pencil", "a red cup left of an orange star on grass, in pencil style"),
        (Scene("sky", Thing("orange", "ball")), "photo", "an orange ball in the sky, in photo style"),
        (
            Scene("night", Thing("blue", "box"), "above", Thing("blue", "moon")),
            None,
            "a blue box above a blue moon at night",
        ),
    ],
)
def test_captions_say_the_scene_and_the_style(scene: Scene, style: str | None, caption: str) -> None:
    assert scene.caption(style) == caption


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Thing("mauve", "cup"), "colour must be one of red, .*, got 'mauve'"),
        (lambda: Thing("red", "mug"), "shape must be one of ball, .*, got 'mug'"),
        (lambda: Scene("lava", Thing("red", "cup")), "background must be one of grass, .*, got 'lava'"),
        (
            lambda: Scene("sand", Thing("red", "cup"), "on", Thing("red", "box")),
            "relation must be one of left of, above",
        ),
        (lambda: Scene("sand", Thing("red", "cup"), "above"), "a relation exactly when it has a second thing"),
        (lambda: Scene("sand", Thing("red", "cup"), None, Thing("red", "box")), "exactly when it has a second thing"),
        (lambda: CUP_AND_STAR.caption("fog"), "style must be one of photo, .*, got 'fog'"),
    ],
)
def test_what_the_world_does_not_hold_is_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


def test_reserved_styles_stand_apart_from_all_that_models_are_taught() -> None:
    assert set(RECIPES) == set(RECIPE_STYLES) and set(RESERVED) == set(RESERVED_STYLES) and len(RESERVED) >= 8
    assert not set(RESERVED_STYLES) & set(TAUGHT_STYLES) and len(ALL_STYLES) == len(set(ALL_STYLES)) >= 24
    kinds, distortions = {"stitch"}, {"shards", "shifted"}  # which only reserved styles have
    rng = np.random.default_rng(0)
    for recipe in (*RECIPES.values(), *(recipe_by_lot(rng) for _ in range(300))):
        assert recipe.ground.kind not in kinds and recipe.fill.kind not in kinds
        assert recipe.distortion not in distortions
    assert any(recipe.fill.kind in kinds or recipe.distortion in distortions for recipe in RESERVED.values())


@pytest.mark.parametrize("style", ALL_STYLES)
def test_a_picture_depends_on_scene_style_and_seed_alone(style: str) -> None:
    first = array(CUP_AND_STAR, style, 5)
    np.random.seed(1)  # the global state must not matter
    assert (array(CUP_AND_STAR, style, 5) == first).all()
    assert (array(CUP_AND_STAR, style, 6) != first).mean() > 0.01


def test_styles_without_a_name_are_drawn_like_any_other() -> None:
    one, other = (recipe_by_lot(np.random.default_rng(seed)) for seed in (1, 2))
    pictures = [np.asarray(draw_scene(CUP_AND_STAR, recipe, 0)).astype(int) for recipe in (one, one, other)]
    assert (pictures[0] == pictures[1]).all() and np.abs(pictures[0] - pictures[2]).mean() > 5


def test_every_two_styles_look_different() -> None:
    pictures = {style: array(CUP_AND_STAR, style) for style in ALL_STYLES}
    for one, other in combinations(ALL_STYLES, 2):
        assert np.abs(pictures[one] - pictures[other]).mean() > 5, (one, other)


@pytest.mark.parametrize("style", STYLES)
def test_every_shape_colour_and_background_can_be_drawn_and_seen(style: str) -> None:
    for number, (shape, colour, background) in enumerate(product(SHAPES, COLOURS, BACKGROUNDS)):
        picture = array(Scene(background, Thing(colour, shape)), style, number)
        middle, border = picture[20:44, 20:44], picture[:3]
        assert np.abs(middle - border.mean((0, 1))).max() > 40, (shape, colour, background)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_flat_thing_has_its_paint_and_all_around_it_is_ground(shape: str) -> None:
    for number, (colour, background) in enumerate(product(COLOURS, BACKGROUNDS)):
        picture = array(Scene(background, Thing(colour, shape)), "flat", number)
        thing = painted(picture, colour)
        ground = (picture == np.array(GROUND[background])).all(axis=2)
        assert 150 < thing.sum() < 1200, (colour, background)
        assert ground[[0, 0, -1, -1], [0, -1, 0, -1]].all()
        mixed = ~(thing | ground)  # the pixels that an edge runs through, no wider than a pixel or two
        assert mixed.sum() < 0.2 * ground.size and not binary_erosion(mixed, np.ones((4, 4))).any()
        x, y = centre(thing)
        assert 18 < x < 46 and 18 < y < 46


def test_shapes_cannot_be_taken_for_one_another() -> None:
    masks = {shape: painted(array(Scene("sand", Thing("blue", shape)), "flat", 3), "blue") for shape in SHAPES}
    for one, other in combinations(SHAPES, 2):
        both, either = masks[one] & masks[other], masks[one] | masks[other]
        assert both.sum() / either.sum() < 0.85, (one, other)


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_first_thing_is_left_of_or_above_the_second(relation: str) -> None:
    pairs = [(one, other) for one, other in product(SHAPES, SHAPES)]
    for number, (one, other) in enumerate(pairs):
        colours = (COLOURS[number % 8], COLOURS[(number % 8 + 1 + number // 8 % 7) % 8])
        background = tuple(BACKGROUNDS)[number % 5]
        scene = Scene(background, Thing(colours[0], one), relation, Thing(colours[1], other))
        picture = array(scene, "flat", number)
        first, second = (painted(picture, colour) for colour in colours)
        assert min(first.sum(), second.sum()) > 60, scene
        (x1, y1), (x2, y2) = centre(first), centre(second)
        apart, beside = (x2 - x1, abs(y2 - y1)) if relation == "left of" else (y2 - y1, abs(x2 - x1))
        assert apart > 15 and apart > beside, scene


@pytest.mark.parametrize("style", ["photo", "watercolour", "pixel", "pencil"])
@pytest.mark.parametrize("colour", COLOURS)
def test_styles_that_fill_keep_the_place_and_the_colour_of_things(style: str, colour: str) -> None:
    scene = Scene("snow", Thing(colour, "box"))
    inside = binary_erosion(painted(array(scene, "flat", 4), colour), iterations=3)
    mean = array(scene, style, 4)[inside].mean(axis=0)
    distances = {name: np.linalg.norm(chroma(mean) - chroma(np.array(PAINT[name]))) for name in COLOURS}
    assert sorted(distances, key=lambda name: float(distances[name])).index(colour) <= 1, distances


def chroma(colour: npt.NDArray[np.float64 | np.int_]) -> npt.NDArray[np.float64]:
    """A colour's direction away from grey: what shading and white paper leave of it."""
    away = colour - colour.mean()
    unit: npt.NDArray[np.float64] = away / np.linalg.norm(away)
    return unit


def every_scene() -> list[Scene]:
    things = [Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES)]
    pairs = [(r, s) for r in RELATIONS for s in things]
    return [
        Scene(background, first, relation, second)
        for background, first in product(BACKGROUNDS, things)
        for relation, second in [(None, None), *pairs]
        if first != second
    ]


def test_one_scene_in_sixteen_is_held_out() -> None:
    every = every_scene()
    assert len({str(scene) for scene in every}) == len(every) == 5 * 80 * (1 + 2 * 79)
    assert sum(map(is_held_out, every)) / len(every) == pytest.approx(1 / 16, abs=0.002)
    singles = [is_held_out(scene) for scene in every if scene.second is None]
    assert 10 <= sum(singles) <= 40  # of 400


def test_which_scenes_are_held_out_never_changes() -> None:
    """The shipped weights were trained without them."""
    assert [str(scene) for scene in scenes(7, 3, held_out=True)] == [
        "a pink heart above a green star on sand",
        "a red flower above a brown moon in the sky",
        "a brown ring left of a yellow ball at night",
    ]
    assert not is_held_out(CUP_AND_STAR)


@pytest.mark.parametrize("held_out", [False, True])
def test_scenes_by_lot_differ_and_are_all_of_one_kind(held_out: bool) -> None:
    found = scenes(3, 200, held_out)
    assert len(set(found)) == 200 and {is_held_out(scene) for scene in found} == {held_out}
    assert scenes(3, 200, held_out) == found and scenes(4, 200, held_out) != found
    assert scenes(3, 50, held_out) == found[:50]


def test_the_lot_falls_on_every_part_and_on_single_things_three_times_in_ten() -> None:
    rng = np.random.default_rng(0)
    found = [random_scene(rng) for _ in range(2000)]
    things = [thing for scene in found for thing in (scene.first, scene.second) if thing]
    assert {thing.shape for thing in things} == set(SHAPES) and {thing.colour for thing in things} == set(COLOURS)
    assert {scene.background for scene in found} == set(BACKGROUNDS)
    assert {scene.relation for scene in found} == {None, *RELATIONS}
    assert sum(scene.second is None for scene in found) / 2000 == pytest.approx(0.3, abs=0.04)
    assert all(scene.first != scene.second for scene in found)


@pytest.mark.parametrize("seed", range(4))
def test_the_layout_says_where_each_thing_was_drawn(seed: int) -> None:
    scene = Scene("snow", Thing("red", "box"), "left of", Thing("blue", "ball"))
    colours, shapes = layout(scene, seed, 16)
    picture = np.asarray(draw_scene(scene, "flat", seed), dtype=int)[2::4, 2::4]
    red, _, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    for thing, is_there in ((scene.first, red - blue > 60), (scene.second, blue - red > 60)):
        assert thing is not None
        drawn = colours == COLOURS.index(thing.colour) + 1
        assert np.array_equal(drawn, shapes == SHAPES.index(thing.shape) + 1)
        assert drawn.sum() >= 8
        assert (drawn & is_there).sum() / (drawn | is_there).sum() > 0.6  # edges are soft
