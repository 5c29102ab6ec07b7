"""Copies are found whatever was done to the file, other pictures are told apart, and copies stay on one side."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageOps

from foundation.data.folder import Picture, split
from foundation.data.near_duplicates import alike, groups_of_copies, thumbnail
from train.drawn import draw_set


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    """Ninety scenes of one style, in which no two are the same."""
    folder = draw_set("pencil", 24, 8, tmp_path_factory.mktemp("drawn"))
    return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.png"))]


def again(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


COPIES = {
    "saved again": lambda image: again(image, 75),
    "larger": lambda image: image.resize((200, 200), Image.Resampling.BICUBIC),
    "smaller": lambda image: image.resize((40, 40), Image.Resampling.LANCZOS),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.05),
    "mirrored": ImageOps.mirror,
}


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found_and_each_finds_its_own_alone(change: str, scenes: list[Image.Image]) -> None:
    pairs = alike([thumbnail(image) for image in scenes], [thumbnail(COPIES[change](image)) for image in scenes])
    assert set(pairs) == {(number, number) for number in range(len(scenes))}


def test_pictures_that_differ_are_no_copies_and_neither_are_bare_sheets(scenes: list[Image.Image]) -> None:
    thumbnails = [thumbnail(image) for image in scenes]
    assert groups_of_copies(thumbnails, [str(number) for number in range(len(scenes))]) == list(range(len(scenes)))
    sheets = [thumbnail(Image.new("RGB", (9, 9), (shade, 255 - shade, 7))) for shade in range(5)]
    assert groups_of_copies([*sheets, b"", b""], [*"abcdefa"]) == [0, 1, 2, 3, 4, 5, 0]


def test_groups_reach_through_others(scenes: list[Image.Image]) -> None:
    one, other = scenes[:2]
    thumbnails = [thumbnail(image) for image in (other, one, again(one, 80), one)]
    assert groups_of_copies([*thumbnails[:3], b"", thumbnails[0]], [*"abccd"]) == [0, 1, 1, 1, 0]


def pictures(images: list[Image.Image], seed: int) -> list[Picture]:
    chance = random.Random(seed)
    return [
        Picture(Path(f"{i}.png"), "", f"{chance.getrandbits(256):064x}", thumbnail=thumbnail(image))
        for i, image in enumerate(images)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_no_copy_of_a_held_out_picture_is_trained_on(seed: int, scenes: list[Image.Image]) -> None:
    several = [ImageOps.mirror(scenes[0]), again(scenes[0], 75), *(again(image, 75) for image in scenes[:20:2])]
    train, held = split(pictures([*scenes[:20], *several], seed))
    assert held and not alike([each.thumbnail for each in train], [each.thumbnail for each in held])
    assert len({*train, *held}) == 20 + len(several)


def test_without_copies_the_split_goes_by_digests_alone(scenes: list[Image.Image]) -> None:
    every = pictures(scenes[:30], 1)
    bare = [Picture(each.path, each.caption, each.digest) for each in every]
    assert split(every) == split(bare)


def test_five_files_of_three_pictures_leave_one_to_hold_out(scenes: list[Image.Image]) -> None:
    every = pictures([scenes[0], again(scenes[0], 80), scenes[1], again(scenes[1], 80), scenes[2]], 3)
    train, held = split(every)
    assert held and len(train) + len(held) == 5
    assert not alike([each.thumbnail for each in train], [each.thumbnail for each in held])
    assert split(every[:4] + every[2:3])[1] == ()  # four different files
