"""A folder of images with captions in `metadata.jsonl`, split into what is trained on and what is held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from foundation.errors import DataError
from train.images import SUFFIXES, read_rgb
from train.spec import DataSpec

MIN_IMAGES: Final = 5
MIN_HELD_OUT: Final = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of the set with its caption."""

    path: Path
    caption: str
    digest: str
    """SHA-256 of the file: what the caches and the split go by, so neither a rename nor an order changes them."""

    def open(self) -> Image.Image:
        """The picture in upright RGB."""
        return read_rgb(self.path)


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is trained on and what is held out; no picture is in both."""

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    skipped: tuple[str, ...] = ()
    """Why images were left out, one line each (only with `data.skip_broken`)."""


def load_dataset(spec: DataSpec) -> Dataset:
    """Read `spec.path`, and hold out `spec.validation_path` or a share that depends on the files alone.

    Raises:
        DataError: for a missing or empty folder, a caption without its file, a broken image, fewer than 5 images.
    """
    if spec.path is None:
        raise DataError("data.path is not set; name a folder of images with metadata.jsonl")
    pictures, skipped = read_folder(Path(spec.path).expanduser(), spec, where="data.path")
    if spec.validation_path is not None:
        held, more = read_folder(Path(spec.validation_path).expanduser(), spec, where="data.validation_path")
        seen = {picture.digest for picture in held}
        kept = tuple(picture for picture in pictures if picture.digest not in seen)
        lost = tuple(f"{p.path} is also held out, so it is not trained on" for p in pictures if p.digest in seen)
        dataset = Dataset(kept, tuple(held), (*skipped, *more, *lost))
    else:
        dataset = Dataset(*split(pictures, spec.holdout), tuple(skipped))
    total = len(dataset.train) + len(dataset.validation)
    if total < MIN_IMAGES or len(dataset.train) < 2:
        raise DataError(f"data.path {spec.path} has {total} usable images; at least {MIN_IMAGES} are needed")
    return dataset


def split(pictures: Sequence[Picture], holdout: float) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Hold out the share with the smallest digests, at least 3 pictures and never a copy of a training picture.

    Files with the same bytes go to the same side. The share is taken of the pictures, rounded.
    """
    ordered = sorted({picture.digest for picture in pictures})
    count = min(max(MIN_HELD_OUT, round(holdout * len(ordered))), max(0, len(ordered) - 2))
    held = set(ordered[:count])
    return tuple(p for p in pictures if p.digest not in held), tuple(p for p in pictures if p.digest in held)


def read_folder(folder: Path, spec: DataSpec, where: str) -> tuple[list[Picture], list[str]]:
    """Every picture that `metadata.jsonl` names, in its order, and why any was left out.

    Raises:
        DataError: see `load_dataset`.
    """
    if not folder.is_dir():
        raise DataError(f"{where} {folder} is not a folder; name a folder of images with metadata.jsonl")
    captions = _captions(folder, spec.caption_column, where)
    pictures: list[Picture] = []
    skipped: list[str] = []
    for name, caption in captions.items():
        path = folder / name
        try:
            read_rgb(path)
        except DataError as error:
            if not spec.skip_broken:
                raise DataError(f"{error}; repair or remove it, or go on without it by data.skip_broken=true") from error
            skipped.append(str(error))
            continue
        pictures.append(Picture(path, _with_trigger(caption, spec.trigger), _digest(path)))
    if len(pictures) < MIN_IMAGES and where == "data.path":
        raise DataError(f"{where} {folder} has {len(pictures)} usable images; at least {MIN_IMAGES} are needed")
    return pictures, skipped


def _captions(folder: Path, column: str, where: str) -> dict[str, str]:
    file = folder / "metadata.jsonl"
    if not file.is_file():
        count = sum(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
        found = f"it holds {count} images but no metadata.jsonl" if count else "it holds no images"
        raise DataError(
            f'{where} {folder}: {found}; write one line {{"file_name": "a.png", "{column}": "a caption"}} for each image'
        )
    captions: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if line.strip():
            name, caption = _entry(line, column, f"{file}:{number}")
            captions[name] = caption
    missing = [name for name in captions if not (folder / name).is_file()]
    if missing:
        names = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise DataError(f"{file} has captions for files that are not there: {names}; add the files or remove the lines")
    if not captions:
        raise DataError(f"{file} is empty; at least {MIN_IMAGES} images are needed")
    return captions


def _entry(line: str, column: str, where: str) -> tuple[str, str]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
        raise DataError(f'{where} has no "file_name"; write {{"file_name": "a.png", "{column}": "a caption"}}')
    if not isinstance(entry.get(column), str):
        keys = ", ".join(sorted(key for key in entry if key != "file_name")) or "none"
        raise DataError(f'{where} has no caption "{column}" (other keys: {keys}); name it by data.caption_column')
    name = str(entry["file_name"])
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{where} names {name}, which is outside its folder; keep images inside")
    return name, str(entry[column]).strip()


def _with_trigger(caption: str, trigger: str) -> str:
    if not trigger or trigger.lower() in caption.lower():
        return caption
    return f"{caption}, {trigger}" if caption else trigger


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
