"""A folder of images with captions in `metadata.jsonl`: read as the field uses it, and split by what the files hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from foundation.errors import DataError
from foundation.images import SUFFIXES, read_rgb

CAPTIONS: Final = "metadata.jsonl"
MIN_IMAGES: Final = 5
"""Different images that a split needs: 3 to hold out and 2 to train on."""
MIN_HELD_OUT: Final = 3
HOLDOUT: Final = 0.2
"""Share that is held out when nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a folder with its caption."""

    path: Path
    caption: str
    digest: str
    """SHA-256 of the file: what caches, splits and noises go by, so neither a rename nor an order changes them."""

    def open(self) -> Image.Image:
        """The picture in upright RGB."""
        return read_rgb(self.path)


def read_folder(
    folder: Path,
    *,
    where: str,
    caption_column: str = "text",
    skip_broken: bool = False,
    min_images: int = 1,
    knobs: str = "",
) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Every picture that `metadata.jsonl` names, in its order, and why any was left out, one line each.

    Messages call the folder `where`, and name the settings `<knobs>.caption_column` and `<knobs>.skip_broken` where a
    person has them. Copies of one file count once towards `min_images`.

    Raises:
        DataError: for a missing or empty folder, a line that cannot be read, a caption without its file or outside the
            folder, a broken image (unless `skip_broken`), fewer than `min_images` images.
    """
    if not folder.is_dir():
        raise DataError(f"{where} {folder} is not a folder; name a folder of images with {CAPTIONS}")
    pictures: list[Picture] = []
    skipped: list[str] = []
    for name, caption in _captions(folder, caption_column, where, min_images, knobs).items():
        path = folder / name
        try:
            read_rgb(path)
        except DataError as error:
            if not skip_broken:
                way = f", or go on without it by {knobs}.skip_broken=true" if knobs else ""
                raise DataError(f"{error}; repair or remove it{way}") from error
            skipped.append(str(error))
            continue
        pictures.append(Picture(path, caption, hashlib.sha256(path.read_bytes()).hexdigest()))
    different = len({picture.digest for picture in pictures})
    if different < min_images:
        copies = f" ({len(pictures) - different} more are copies)" if different < len(pictures) else ""
        raise DataError(f"{where} {folder} has {different} usable images{copies}; at least {min_images} are needed")
    return tuple(pictures), tuple(skipped)


def split(pictures: Sequence[Picture], holdout: float = HOLDOUT) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """What to train on and what to hold out: the share with the smallest digests, at least 3, both in their order.

    Files with the same bytes count once and go to the same side. Two different pictures are always left to train on;
    of fewer than 5 different pictures none is held out.
    """
    ordered = sorted({picture.digest for picture in pictures})
    count = min(max(MIN_HELD_OUT, round(holdout * len(ordered))), len(ordered) - 2) if len(ordered) >= MIN_IMAGES else 0
    held = set(ordered[:count])
    return tuple(p for p in pictures if p.digest not in held), tuple(p for p in pictures if p.digest in held)


def _captions(folder: Path, column: str, where: str, min_images: int, knobs: str) -> dict[str, str]:
    file = folder / CAPTIONS
    if not file.is_file():
        count = sum(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
        found = f"it holds {count} images but no {CAPTIONS}" if count else "it holds no images"
        raise DataError(f"{where} {folder}: {found}; write one line {_shape(column)} for each image")
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # splitlines() would also cut at U+2028 in a caption
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error}); save it as UTF-8") from error
    captions: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            name, caption = _entry(line, column, f"{file}:{number}", knobs)
            captions[name] = caption
    missing = [name for name in captions if not (folder / name).is_file()]
    if missing:
        names = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise DataError(f"{file} has captions for files that are not there: {names}; add the files or remove the lines")
    if not captions:
        raise DataError(f"{file} is empty; at least {min_images} images are needed")
    return captions


def _entry(line: str, column: str, where: str, knobs: str) -> tuple[str, str]:
    shape = _shape(column)
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error}; write {shape}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
        raise DataError(f'{where} has no "file_name"; write {shape}')
    if not isinstance(entry.get(column), str):
        keys = ", ".join(sorted(key for key in entry if key != "file_name")) or "none"
        way = f"name it by {knobs}.caption_column" if knobs else f"write {shape}"
        raise DataError(f'{where} has no caption "{column}" (other keys: {keys}); {way}')
    name = str(entry["file_name"])
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{where} names {name}, which is outside its folder; keep images inside")
    return name, str(entry[column]).strip()


def _shape(column: str) -> str:
    return f'{{"file_name": "a.png", "{column}": "a caption"}}'
