"""Pictures of every mode are read upright, over white and square; bad folders are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.images import Picture, read_folder, read_image, split
from foundation.errors import DataError


def colour(image: Image.Image, x: int = 4, y: int = 4) -> tuple[int, ...]:
    assert image.mode == "RGB"
    return image.getpixel((x, y))  # type: ignore[return-value]


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 20), "red")
    image.paste("blue", (0, 0, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise: the upper half comes to lie right
    upright = read_image(saved(image, tmp_path / "x.png", exif=exif), 8)
    assert colour(upright, 1, 4)[0] > 200 and colour(upright, 6, 4)[2] > 200


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    for mode, clear in (("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))):
        assert colour(read_image(saved(Image.new(mode, (9, 9), clear), tmp_path / "x.png"), 8)) == (255, 255, 255)
    palette = Image.new("P", (9, 9), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert colour(read_image(saved(palette, tmp_path / "p.png", transparency=0), 8)) == (255, 255, 255)
    assert colour(read_image(saved(palette, tmp_path / "q.png"), 8)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.new("L", (9, 9), 100), "png", (100, 100, 100)),
        (Image.new("1", (9, 9), 1), "png", (255, 255, 255)),
        (Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "tif", (255, 0, 0)),
        (Image.fromarray(np.full((9, 9), 32768, dtype=np.uint16)), "png", (127, 127, 127)),
        (Image.fromarray(np.full((9, 9), 0.5, dtype=np.float32)), "tif", (127, 127, 127)),
    ],
)
def test_every_mode_becomes_rgb(image: Image.Image, suffix: str, expected: tuple[int, ...], tmp_path: Path) -> None:
    got = colour(read_image(saved(image, tmp_path / f"x.{suffix}"), 8))
    assert got == pytest.approx(expected, abs=1)


def test_the_centre_is_cropped(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 10), "red")
    image.paste("blue", (10, 0, 20, 10))
    got = read_image(saved(image, tmp_path / "x.png"), 8)
    assert got.size == (8, 8) and colour(got) == (0, 0, 255)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    whole = saved(Image.effect_noise((64, 64), 50), tmp_path / "whole.png").read_bytes()
    for name, data in (("cut.png", whole[: len(whole) // 2]), ("text.png", b"no picture")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            read_image(tmp_path / name, 8)


def test_a_folder_is_read_in_the_order_of_its_captions(data_folder: Path) -> None:
    pictures = read_folder(data_folder, 16)
    assert [picture.name for picture in pictures] == [f"{i}.png" for i in range(10)]
    assert pictures[3].text == "plain d in pencil style" and pictures[3].image.size == (16, 16)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (None, "without it"),
        ("", "got none"),
        ("{", "must be JSON"),
        ('{"file_name": "x.png"}', "must be JSON with file_name and text"),
        ('{"file_name": "x.png", "text": 3}', "must be texts"),
        ('{"file_name": "gone.png", "text": "a"}', "not there, got 'gone.png'"),
        ("[1]", "must be JSON"),
    ],
)
def test_a_bad_folder_is_refused_with_the_place(lines: str | None, words: str, tmp_path: Path) -> None:
    if lines is not None:
        (tmp_path / "metadata.jsonl").write_text(lines)
    with pytest.raises(DataError, match=words):
        read_folder(tmp_path, 8)
    with pytest.raises(DataError, match="no folder"):
        read_folder(tmp_path / "none", 8)


def test_a_fifth_is_held_out_spread_over_the_order() -> None:
    pictures = [Picture(name=str(i), image=Image.new("RGB", (1, 1)), text="") for i in range(30)]
    for count, held in ((30, 6), (10, 3), (5, 3), (4, 0)):
        train, held_out = split(pictures[:count])
        assert len(held_out) == held and len(train) == count - held
        assert sorted(int(picture.name) for picture in train + held_out) == list(range(count))


def test_captions_with_any_letters_are_read(tmp_path: Path) -> None:
    saved(Image.new("RGB", (9, 9)), tmp_path / "ü.png")
    line = json.dumps({"file_name": "ü.png", "text": "größer, 大"}, ensure_ascii=False)
    (tmp_path / "metadata.jsonl").write_text(line, encoding="utf-8")
    assert read_folder(tmp_path, 8)[0].text == "größer, 大"
