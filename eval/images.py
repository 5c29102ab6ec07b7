"""Pictures from disk as the judge looks at them: upright, RGB over white, square, at the base's resolution."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from foundation.errors import DataError

CAPTIONS = "metadata.jsonl"
HOLDOUT = 0.2
MIN_HELD_OUT = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture and what is said of it."""

    name: str
    """Its file's name in the folder."""
    image: Image.Image
    text: str


def read_image(path: Path, size: int) -> Image.Image:
    """Read one picture as RGB of `size` × `size`: EXIF rotation applied, transparency over white, centre cropped.

    Raises:
        DataError: the file is missing, broken or no picture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                upright = ImageOps.exif_transpose(file)
                upright.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"image cannot be read, got {path} ({error}); repair it or take it out") from error
    return ImageOps.fit(_over_white(upright), (size, size), Image.Resampling.LANCZOS)


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):  # PIL's own conversion clips what is above 255 to white
        grey = np.asarray(image, dtype=np.float64)
        white = 65535.0 if image.mode.startswith("I") else max(1.0, float(grey.max()))
        return Image.fromarray((grey / white * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def read_folder(folder: Path, size: int) -> list[Picture]:
    """Read the pictures that `metadata.jsonl` of `folder` names (`file_name`, `text`), in its order.

    Raises:
        DataError: the folder, the caption file, a picture or a caption is missing or cannot be read.
    """
    captions = folder / CAPTIONS
    if not folder.is_dir():
        raise DataError(f"data must be a folder with {CAPTIONS}, got {folder}, which is no folder")
    if not captions.is_file():
        raise DataError(f"data must hold {CAPTIONS} (one line each: file_name, text), got {folder} without it")
    pictures = []
    for number, line in enumerate(captions.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            name, text = _caption(line, f"{captions}:{number}")
            path = folder / name
            if not path.is_file():
                raise DataError(f"{captions}:{number} names a picture that is not there, got {name!r}; put it right")
            pictures.append(Picture(name=name, image=read_image(path, size), text=text))
    if not pictures:
        raise DataError(f"data must name at least one picture, got none in {captions}")
    return pictures


def _caption(line: str, where: str) -> tuple[str, str]:
    try:
        entry = json.loads(line)
        name, text = entry["file_name"], entry["text"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} must be JSON with file_name and text, got {line[:80]!r}") from error
    if not isinstance(name, str) or not isinstance(text, str):
        raise DataError(f"{where}: file_name and text must be texts, got {name!r} and {text!r}")
    return name, text


def split(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Return (training, held out): a fifth is held out, at least 3, spread evenly; of fewer than 5 none.

    Only for a LoRA of which nobody says what it was trained on; a held-out folder is the honest way.
    """
    if len(pictures) < MIN_HELD_OUT + 2:
        return list(pictures), []
    count = max(MIN_HELD_OUT, round(HOLDOUT * len(pictures)))
    held_out = {int((number + 0.5) * len(pictures) / count) for number in range(count)}
    return (
        [picture for i, picture in enumerate(pictures) if i not in held_out],
        [picture for i, picture in enumerate(pictures) if i in held_out],
    )
