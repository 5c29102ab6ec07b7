"""Pictures of any mode come out as plain upright RGB, pixel by pixel; broken files are named."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foundation.errors import DataError
from foundation.images import read_rgb, square, to_rgb

CORNERS = np.array([[0, 1], [2, 3]])
"""A picture of four pixels by index, so that each must come out at its own place."""


def pixels(image: Image.Image) -> list[list[tuple[int, ...]]]:
    assert image.mode == "RGB"
    return [[tuple(int(v) for v in pixel) for pixel in row] for row in np.asarray(image)]


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def of(mode: str, values: list[Any]) -> Image.Image:
    """A 2×2 picture with these four values."""
    image = Image.new(mode, (2, 2))
    image.putdata(values)
    return image


def palette(*colours: tuple[int, int, int]) -> Image.Image:
    image = of("P", [0, 1, 2, 3])
    image.putpalette([value for colour in colours for value in colour])
    return image


RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


@pytest.mark.parametrize(
    ("image", "suffix", "options", "expected"),
    [
        pytest.param(of("1", [0, 1, 1, 0]), "png", {}, [BLACK, WHITE, WHITE, BLACK], id="1"),
        pytest.param(of("L", [0, 7, 100, 255]), "png", {}, [BLACK, (7,) * 3, (100,) * 3, WHITE], id="L"),
        pytest.param(
            of("LA", [(9, 255), (9, 0), (200, 255), (200, 0)]), "png", {}, [(9,) * 3, WHITE, (200,) * 3, WHITE], id="LA"
        ),
        pytest.param(palette(RED, GREEN, BLUE, BLACK), "png", {}, [RED, GREEN, BLUE, BLACK], id="P"),
        pytest.param(
            palette(RED, GREEN, BLUE, BLACK),
            "png",
            {"transparency": 3},
            [RED, GREEN, BLUE, WHITE],
            id="P with a transparent colour",
        ),
        pytest.param(
            palette(RED, GREEN, BLUE, BLACK),
            "png",
            {"transparency": bytes([255, 0, 255, 0])},
            [RED, WHITE, BLUE, WHITE],
            id="P with an alpha for each colour",
        ),
        pytest.param(palette(RED, GREEN, BLUE, BLACK), "gif", {"transparency": 1}, [RED, WHITE, BLUE, BLACK], id="GIF"),
        pytest.param(
            of("RGB", [RED, GREEN, BLUE, BLACK]),
            "png",
            {"transparency": BLUE},
            [RED, GREEN, WHITE, BLACK],
            id="RGB with a transparent colour",
        ),
        pytest.param(
            of("RGBA", [(*RED, 255), (*RED, 0), (*BLACK, 51), (*BLUE, 204)]),
            "png",
            {},
            [RED, WHITE, (204, 204, 204), (51, 51, 255)],  # 255·(1 - 51/255) and 255·(1 - 204/255)
            id="RGBA",
        ),
        pytest.param(
            of("CMYK", [(0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 255)]),
            "tif",
            {},
            [RED, GREEN, BLUE, BLACK],
            id="CMYK",
        ),
        pytest.param(
            Image.fromarray(np.array([[0, 257], [32768, 65535]], dtype=np.uint16)),
            "png",
            {},
            [BLACK, (1,) * 3, (128,) * 3, WHITE],  # 32768 / 257 = 127.5
            id="I;16",
        ),
        pytest.param(
            Image.fromarray(np.array([[0, 0.2], [0.6, 1]], dtype=np.float32)),
            "tif",
            {},
            [BLACK, (51,) * 3, (153,) * 3, WHITE],
            id="F",
        ),
    ],
)
def test_every_mode_becomes_rgb_over_white_pixel_by_pixel(
    image: Image.Image, suffix: str, options: dict[str, Any], expected: list[tuple[int, ...]], tmp_path: Path
) -> None:
    file = saved(image, tmp_path / f"x.{suffix}", **options)
    with Image.open(file) as reopened:
        assert reopened.mode == image.mode
    assert pixels(read_rgb(file)) == [expected[:2], expected[2:]]


def test_a_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    file = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "x.jpg", quality=100)
    assert np.abs(np.asarray(read_rgb(file), dtype=int) - np.array(RED)).max() <= 2


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[0, 1], [2, 3]]),
        (2, [[1, 0], [3, 2]]),
        (3, [[3, 2], [1, 0]]),
        (4, [[2, 3], [0, 1]]),
        (5, [[0, 2], [1, 3]]),
        (6, [[2, 0], [3, 1]]),
        (7, [[3, 1], [2, 0]]),
        (8, [[1, 3], [0, 2]]),
    ],
)
def test_each_exif_orientation_is_turned_upright(orientation: int, expected: list[list[int]], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(Image.fromarray((CORNERS * 60).astype(np.uint8)), tmp_path / "x.png", exif=exif)
    assert [[pixel[0] // 60 for pixel in row] for row in pixels(read_rgb(file))] == expected


def test_a_tall_photograph_lies_down_when_its_exif_says_so(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_rgb(saved(Image.new("RGB", (10, 30)), tmp_path / "x.jpg", exif=exif)).size == (30, 10)


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    file = saved(frames[0], tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert pixels(read_rgb(file))[0][0] == RED


def test_a_picture_in_memory_is_read_as_one_on_disk() -> None:
    assert pixels(to_rgb(of("LA", [(9, 255), (9, 0), (0, 255), (0, 0)]))) == [[(9,) * 3, WHITE], [BLACK, WHITE]]


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 2), (64, 64)])
def test_tiny_and_very_long_pictures_become_squares(size: tuple[int, int], tmp_path: Path) -> None:
    got = square(read_rgb(saved(Image.new("RGB", size, (10, 20, 30)), tmp_path / "x.png")), 16)
    assert got.size == (16, 16)
    assert set(chain(*pixels(got))) == {(10, 20, 30)}


@pytest.mark.parametrize("turn", [False, True])
def test_a_square_is_the_middle_of_the_picture(turn: bool) -> None:
    image = Image.new("RGB", (60, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    image = image.transpose(Image.Transpose.ROTATE_90) if turn else image
    middle = square(image, 20)
    assert set(chain(*pixels(middle))) == {BLUE}


def test_a_square_of_the_right_size_is_left_as_it_is() -> None:
    image = Image.effect_noise((16, 16), 90).convert("RGB")
    assert pixels(square(image, 16)) == pixels(image)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_a_file_cut_short_anywhere_is_named_and_never_half_read(suffix: str, tmp_path: Path) -> None:
    whole = saved(Image.effect_noise((64, 64), 50).convert("RGB"), tmp_path / f"whole.{suffix}").read_bytes()
    file = tmp_path / f"cut.{suffix}"
    for share in (0.02, 0.3, 0.6, 0.9):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=rf"^{file} is not a readable image: ") as caught:
            read_rgb(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"II*\0" + b"\xff" * 40]
)
def test_a_file_that_is_no_picture_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{file} is not a readable image: "):
        read_rgb(file)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(Image.new("1", (100, 100)), tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"x\.png is not a readable image"):
        read_rgb(file)
