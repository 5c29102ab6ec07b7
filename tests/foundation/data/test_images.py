"""Pictures of any mode come out as plain upright RGB, pixel by pixel; broken files are named."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import zlib
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foundation.data import images
from foundation.data.folder import how_read, read_folder
from foundation.data.images import FORMATS, decode_image, read_image, read_rgb, square
from foundation.errors import DataError

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
            Image.fromarray(np.array([[0, 257], [32768, 65535]], dtype=np.uint16)),
            "png",
            {"transparency": 257},
            [BLACK, WHITE, (128,) * 3, WHITE],
            id="I;16 with a transparent grey",
        ),
        pytest.param(
            Image.fromarray(np.array([[0, 257], [32768, 65535]], dtype=np.int32)),
            "tif",
            {},
            [BLACK, (1,) * 3, (128,) * 3, WHITE],
            id="I",
        ),
        pytest.param(
            Image.fromarray(np.array([[0, 0.2], [0.6, 1]], dtype=np.float32)),
            "tif",
            {},
            [BLACK, (51,) * 3, (153,) * 3, WHITE],
            id="F to 1",
        ),
        pytest.param(
            Image.fromarray(np.array([[-1, 0.2], [0.6, 4]], dtype=np.float32)),
            "tif",
            {},
            [BLACK, (51,) * 3, (153,) * 3, WHITE],
            id="F with highlights",
        ),
        pytest.param(
            Image.fromarray(np.array([[0, 51], [153, 200]], dtype=np.float32)),
            "tif",
            {},
            [BLACK, (51,) * 3, (153,) * 3, (200,) * 3],
            id="F to 255",
        ),
        pytest.param(
            of("YCbCr", [(0, 128, 128), (255, 128, 128), (76, 85, 255), (29, 255, 107)]),
            "tif",
            {},
            [BLACK, WHITE, (254, 0, 0), (0, 0, 254)],
            id="YCbCr",
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


def png(depth: int, kind: int, rows: list[bytes], **chunks: bytes) -> bytes:
    """A PNG of 2 pixels a row by its specification, with these chunks before its pixels."""
    head = struct.pack(">2I5B", 2, len(rows), depth, kind, 0, 0, 0)
    whole = {"IHDR": head, **chunks, "IDAT": zlib.compress(b"".join(b"\0" + row for row in rows)), "IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name.encode(), body) for name, body in whole.items())


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize(
    ("depth", "kind", "row", "key", "expected"),
    [
        (1, 0, b"\x40", b"\0\1", [BLACK, WHITE]),
        (1, 0, b"\x40", b"\0\0", [WHITE, WHITE]),
        (2, 0, b"\x60", b"\0\1", [WHITE, (170,) * 3]),
        (4, 0, b"\x2f", b"\0\2", [WHITE, WHITE]),
        (4, 0, b"\x2e", b"\0\7", [(34,) * 3, (238,) * 3]),
        (8, 0, b"\x02\x07", b"\0\7", [(2,) * 3, WHITE]),
        (16, 0, b"\x02\x00\x02\x01", b"\2\1", [(2,) * 3, WHITE]),
        (8, 2, b"\1\2\3\1\2\4", b"\0\1\0\2\0\4", [(1, 2, 3), WHITE]),
        (16, 2, b"\x80\x80\x01\x01\x00\x00" + bytes(6), bytes(6), [(128, 1, 0), WHITE]),
        (16, 4, b"\x80\x80\xff\xff\x80\x80\x00\x00", None, [(128,) * 3, WHITE]),
    ],
)
def test_the_transparent_colour_is_in_the_files_own_bits(
    depth: int, kind: int, row: bytes, key: bytes | None, expected: list[tuple[int, ...]]
) -> None:
    content = png(depth, kind, [row], **({} if key is None else {"tRNS": key}))
    read = decode_image(content, "x")
    assert pixels(read.rgb) == [expected]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "tags", "values", "expected"),
    [
        (16, {}, [0, 32768, 65535], [0, 128, 255]),
        (16, {262: 0}, [0, 32768, 65535], [255, 127, 0]),
        (32, {339: 1}, [0, 2**31, 2**32 - 1], [0, 128, 255]),
    ],
)
def test_grey_tiffs_of_many_bits_have_their_own_white(
    order: str, bits: int, tags: dict[int, int], values: list[int], expected: list[int]
) -> None:
    if order == ">" and (bits == 32 or 262 in tags):
        with pytest.raises(DataError, match="its header is damaged"):  # Pillow has no such mode
            decode_image(grey_tiff(order, bits, tags, values), "x")
        return
    assert [pixel[0] for pixel in pixels(decode_image(grey_tiff(order, bits, tags, values), "x").rgb)[0]] == expected


def test_twelve_bits_a_value_are_not_read_as_sixteen() -> None:
    packed = grey_tiff("<", 12, {}, [], bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x00]), width=4)
    assert [pixel[0] for pixel in pixels(decode_image(packed, "x").rgb)[0]] == [0, 128, 255, 0]  # 0, 2048, 4095, 0


def grey_tiff(
    order: str, bits: int, tags: dict[int, int], values: list[int], data: bytes = b"", width: int = 0
) -> bytes:
    data = data or b"".join(struct.pack(f"{order}{'I' if bits == 32 else 'H'}", value) for value in values)
    said = {256: width or len(values), 257: 1, 258: bits, 259: 1, 262: 1, 273: 8, 278: 1, 279: len(data), **tags}
    entries = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(said.items())]
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)


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


def test_a_picture_of_too_many_pixels_is_refused_with_both_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 1000)
    for suffix in ("png", "webp", "tif", "bmp", "gif", "avif", "jp2", "ppm"):
        file = saved(Image.new("RGB", (40, 30)), tmp_path / f"x.{suffix}")
        with pytest.raises(DataError, match="it has 1,200 pixels, and at most 1,000 are read; scale it down$"):
            read_rgb(file)
    file = saved(Image.new("RGB", (40, 30)), tmp_path / "x.jpg", progressive=True)
    with pytest.raises(DataError, match="it has 1,200 pixels"):
        read_rgb(file)


def test_a_jpeg_of_too_many_pixels_is_read_smaller_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Image.new("RGB", (240, 120), RED)
    left.paste(BLUE, (120, 0, 240, 120))
    file = saved(left, tmp_path / "x.jpg", quality=95)
    for most, shrink in ((30000, 1), (8000, 2), (2000, 4)):
        monkeypatch.setattr(images, "MOST_PIXELS", most)
        read = read_image(file)
        assert read.rgb.size == (240 // shrink, 120 // shrink)
        said = (f"read at 1/{shrink} of the sides, since {most:,} pixels are the most",)
        assert read.notes == (said if shrink > 1 else ())
        assert np.abs(np.asarray(read.rgb.resize((2, 1), Image.Resampling.BOX), dtype=int) - [[RED, BLUE]]).max() <= 6


@pytest.mark.parametrize(
    ("begins", "what"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a PostScript file, none of PNG, JPEG, "),
        (b"%PDF-1.7\n", "it is a PDF, "),
        (b"8BPS\0\1", "it is a Photoshop file, "),
        (b"DDS |\0\0\0", "it is a DDS texture, "),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is HEIC, "),
        (b"<!DOCTYPE html><html>not found", "it is a web page, "),
        (b"\n<svg xmlns=", "it is an SVG or XML file, "),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer, so run `git lfs pull`, "),
        (b"", "it is empty"),
        (b"any other bytes", "it is none of PNG, "),
        (b"\x89PNG\r\n\x1a\n", "its header is damaged"),
    ],
)
def test_what_is_no_picture_that_is_read_is_called_what_it_is(begins: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / "5.png"
    file.write_bytes(begins)
    with pytest.raises(DataError, match=f"^{re.escape(f'{file} is not a readable image: {what}')}"):
        read_rgb(file)


def test_no_decoder_starts_a_program_or_is_reached_but_those_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **_: reached.append(str(arguments)))
    Image.init()
    for kind in (
        set(Image.SAVE) - set(FORMATS) - {"PDF", "XVTHUMB", "PALM", "WMF", "BUFR", "GRIB", "HDF5", "MPO", "DIB"}
    ):
        file = tmp_path / "5.png"
        content = io.BytesIO()  # SPIDER's writer takes a suffix for its own
        try:
            Image.new("1" if kind in ("XBM", "MSP") else "RGB", (8, 8)).save(content, kind)
        except (OSError, ValueError, KeyError, NotImplementedError):
            continue
        file.write_bytes(content.getvalue())
        with pytest.raises(DataError, match="is not a readable image"):
            read_rgb(file)
        reached.append(kind)
    assert {"EPS", "SPIDER", "DDS", "TGA", "ICO", "PCX"} <= set(reached) <= set(Image.SAVE)


def test_pictures_are_opened_in_one_place_only() -> None:
    root = Path(images.__file__).parents[2]
    files = [
        file
        for folder in ("foundation", "train", "eval", "sweeper", "benchmarks")
        for file in (root / folder).rglob("*.py")
    ]
    opening = [file for file in files if re.search(r"Image\.open\(", file.read_text())]
    assert opening == [root / "foundation" / "data" / "images.py"]


def test_a_picture_of_several_is_read_by_its_first_and_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    for suffix in ("gif", "webp", "png", "tif", "avif"):
        file = saved(frames[0], tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
        read = read_image(file)
        assert np.abs(np.asarray(read.rgb, dtype=int) - RED).max() <= 4
        assert read.notes == ("read by the first of several frames or pages",)
        assert read_image(saved(frames[0], tmp_path / f"one.{suffix}")).notes == ()


def test_how_pictures_were_read_is_said_by_reason_with_names(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    for number in range(7):
        saved(frames[0], tmp_path / f"{number}.gif", save_all=True, append_images=frames[1:])
        (tmp_path / f"{number}.txt").write_text("a cup")
    pictures, _ = read_folder(tmp_path, where="data")
    several = "read by the first of several frames or pages"
    assert how_read(pictures) == [f"7 pictures {several}: 0.gif, 1.gif, 2.gif, 3.gif, 4.gif …"]
    assert how_read(pictures[:1]) == [f"1 picture {several}: 0.gif"]
