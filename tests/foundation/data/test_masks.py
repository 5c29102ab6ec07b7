"""Masks come from a folder or from transparency, are cut as the pictures are, and bad ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foundation.bases.port import Base
from foundation.config.parse import parse
from foundation.data.dataset import load_dataset
from foundation.errors import ConfigError, DataError
from tests.train.test_data import spec, write
from train.caches import encode_dataset
from train.spec import DataSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", ["x"] * 6)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """White but for the left half, which is as grey as the picture's number."""
    out = tmp_path / "masks"
    out.mkdir()
    for i in range(6):
        mask = np.full((64, 64), 255, dtype=np.uint8)
        mask[:, :32] = 10 * i
        Image.fromarray(mask).save(out / f"{i}.png")
    return out


def masked(folder: Path, **fields: Any) -> DataSpec:
    return spec(folder, **fields)


def test_each_trained_picture_gets_the_mask_of_its_name_at_its_latents_size(
    folder: Path, masks: Path, tiny_base: Base, tmp_path: Path
) -> None:
    dataset = load_dataset(masked(folder, mask="folder", mask_path=str(masks)))
    assert [mask.path.stem for mask in dataset.masks] == [picture.path.stem for picture in dataset.train]
    encoded = encode_dataset(tiny_base, dataset, tmp_path / "cache")
    assert encoded.train.masks is not None and encoded.validation.masks is None
    assert encoded.train.masks.shape == (len(dataset.train), 1, *encoded.train.means.shape[2:])
    for picture, mask in zip(dataset.train, encoded.train.masks, strict=True):
        grey = 10 * int(picture.path.stem) / 255
        assert float(mask[0, :, :7].max()) == pytest.approx(grey, abs=0.01)
        assert float(mask[0, :, 9:].min()) == pytest.approx(1, abs=0.01)


def test_a_mask_is_cut_and_turned_as_its_picture_is(tmp_path: Path, tiny_base: Base) -> None:
    """A wide picture lying on its side, opaque where it is upright at the top and in the middle."""
    folder = write(tmp_path / "data", ["x"] * 6)
    for i in range(6):
        alpha = np.zeros((64, 192), dtype=np.uint8)
        alpha[:32, 64:128] = 255
        colour = [255 * (i + 1 >> bit & 1) for bit in range(3)]  # no two look alike
        image = Image.merge("RGBA", [*Image.new("RGB", (192, 64), tuple(colour)).split(), Image.fromarray(alpha)])
        turned = image.rotate(90, expand=True)
        exif = turned.getexif()
        exif[0x0112] = 6  # to be turned by 90° clockwise
        turned.save(folder / f"{i}.png", exif=exif)
    encoded = encode_dataset(tiny_base, load_dataset(masked(folder, mask="alpha")), tmp_path / "cache")
    assert encoded.train.masks is not None
    size = encoded.train.means.shape[2] // 2
    assert float(encoded.train.masks[:, :, : size - 1].min()) > 0.9
    assert float(encoded.train.masks[:, :, size + 1 :].max()) < 0.1


def test_without_masks_nothing_is_looked_for(folder: Path, tiny_base: Base, tmp_path: Path) -> None:
    dataset = load_dataset(spec(folder))
    assert dataset.masks == ()
    assert encode_dataset(tiny_base, dataset, tmp_path / "cache").train.masks is None


def test_masks_that_cannot_be_used_are_refused_in_one_line(folder: Path, masks: Path) -> None:
    with pytest.raises(DataError, match="data.mask is alpha, but no picture has transparency"):
        load_dataset(masked(folder, mask="alpha"))
    with pytest.raises(DataError, match=f"data.mask_path {folder / 'gone'} is not a folder"):
        load_dataset(masked(folder, mask="folder", mask_path=str(folder / "gone")))
    dataset = load_dataset(spec(folder))
    first = masks / dataset.train[0].path.name
    Image.new("L", (8, 8), 0).save(first)
    with pytest.raises(DataError, match=f"nothing could be learned from {first}: the mask is black all over"):
        load_dataset(masked(folder, mask="folder", mask_path=str(masks)))
    first.unlink()
    with pytest.raises(DataError, match=f"has no mask for {first.name}; a mask is an image with its picture's name"):
        load_dataset(masked(folder, mask="folder", mask_path=str(masks)))


def test_fields_that_contradict_one_another_are_refused() -> None:
    for values in ({"mask": "folder"}, {"mask": "alpha", "mask_path": "x"}):
        with pytest.raises(ConfigError, match="data.mask=folder and data.mask_path go together"):
            parse(DataSpec, {"name": "x", "path": "x", **values})
    with pytest.raises(ConfigError, match="both data.regularization_path and data.regularization_prompt are set"):
        parse(DataSpec, {"name": "x", "path": "x", "regularization_path": "y", "regularization_prompt": "z"})


def test_masks_are_between_zero_and_one(folder: Path, masks: Path, tiny_base: Base, tmp_path: Path) -> None:
    dataset = load_dataset(masked(folder, mask="folder", mask_path=str(masks)))
    encoded = encode_dataset(tiny_base, dataset, tmp_path / "cache").train.masks
    assert encoded is not None and encoded.dtype == torch.float32
    assert 0 <= float(encoded.min()) <= float(encoded.max()) <= 1


def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Pictures of one name in two folders, and masks as they lie, each of its picture's own shade."""
    data, masks = tmp_path / "set", tmp_path / "ordered"
    for number, place in enumerate(("a", "b", "c")):
        for i in range(2):
            (data / place).mkdir(parents=True, exist_ok=True)
            (masks / place).mkdir(parents=True, exist_ok=True)
            shade = 1 + 20 * number + i
            Image.new("RGB", (4, 4), (shade, 255 - shade, 7)).save(data / place / f"{i}.png")
            (data / place / f"{i}.txt").write_text("x")
            Image.new("L", (8, 8), shade).save(masks / place / f"{i}.png")
    return data, masks


def test_masks_are_matched_by_path_where_pictures_lie_in_folders(tmp_path: Path) -> None:
    data, masks = folders(tmp_path)
    Image.new("L", (8, 8), 9).save(masks / "idle.png")
    dataset = load_dataset(masked(data, mask="folder", mask_path=str(masks)))
    for picture, mask in zip(dataset.train, dataset.masks, strict=True):
        assert mask.path.relative_to(masks) == picture.path.relative_to(data)
        assert mask.open().getpixel((0, 0)) == picture.open().getpixel((0, 0))[0]  # type: ignore[index]
    assert "data.mask_path: 1 file left out, masks of no picture: idle.png" in dataset.notes_of_reading


def test_pictures_that_would_share_a_mask_and_masks_that_share_a_picture_are_refused(tmp_path: Path) -> None:
    data, masks = folders(tmp_path)
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(2):
        Image.new("L", (8, 8), 200).save(flat / f"{i}.png")
    with pytest.raises(DataError, match=r"would share the mask 0\.png; put masks into the same folders"):
        load_dataset(masked(data, mask="folder", mask_path=str(flat)))
    Image.new("L", (8, 8), 200).save(masks / "a/0.jpg")
    with pytest.raises(DataError, match=r"has two masks for a/0\.png: a/0\.jpg, a/0\.png; keep one"):
        load_dataset(masked(data, mask="folder", mask_path=str(masks)))


def test_pictures_are_no_masks_of_themselves(folder: Path) -> None:
    with pytest.raises(DataError, match="would be masks of themselves; name the folder of the masks"):
        load_dataset(masked(folder, mask="folder", mask_path=str(folder)))


def test_a_mask_of_another_shape_than_its_picture_is_refused(folder: Path, masks: Path) -> None:
    for i in range(6):
        Image.new("L", (64, 32), 200).save(masks / f"{i}.png")
    with pytest.raises(DataError, match="is 64×32 and its picture .*png 4×4; a mask has its shape"):
        load_dataset(masked(folder, mask="folder", mask_path=str(masks)))


def test_masks_beside_the_pictures_are_used_where_asked_and_said_where_not(tmp_path: Path) -> None:
    data, _ = folders(tmp_path)
    for picture in sorted(data.rglob("*.png")):
        with Image.open(picture) as image:
            image.getchannel("R").resize((8, 8)).save(picture.with_name(f"{picture.stem}-masklabel.png"))
    assert "data.path: 6 files left out, masks of other pictures" in " ".join(load_dataset(masked(data)).notes(32))
    dataset = load_dataset(masked(data, mask="beside"))
    assert not dataset.notes_of_reading and len(dataset.masks) == len(dataset.train) == 5
    for picture, mask in zip(dataset.train, dataset.masks, strict=True):
        assert mask.path.name == f"{picture.path.stem}-masklabel.png"
        assert mask.open().getpixel((0, 0)) == picture.open().getpixel((0, 0))[0]  # type: ignore[index]
    dataset.masks[0].path.unlink()
    with pytest.raises(DataError, match=r"^data\.mask is beside, but ./.\.png have no mask beside them; a mask"):
        load_dataset(masked(data, mask="beside"))
