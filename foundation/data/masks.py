"""Which part of each picture is learned from: a folder of masks, or the pictures' own transparency."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from foundation.data.spec import DataSpec
from foundation.errors import DataError
from foundation.folder import Picture
from foundation.images import SUFFIXES, read_alpha, read_rgb

_NAMED = 5
"""Files that one message names."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One picture's mask: white is learned from, black is not."""

    path: Path
    digest: str
    """SHA-256 of the file."""
    is_alpha: bool
    """Whether it is the transparency of the file, and not its brightness."""

    def open(self) -> Image.Image:
        """The mask, upright, one channel of 8 bits."""
        return read_alpha(self.path) if self.is_alpha else read_rgb(self.path).convert("L")


def find_masks(pictures: Sequence[Picture], spec: DataSpec) -> tuple[Mask, ...]:
    """A mask for each picture, or none at all without `data.mask`.

    Raises:
        DataError: when a picture has no mask in the folder, a mask is black all over, or no picture has transparency.
    """
    if spec.mask == "none":
        return ()
    masks = _of_pictures(pictures) if spec.mask == "alpha" else _of_folder(pictures, Path(spec.mask_path or ""))
    lightest = [(mask, mask.open().getextrema()) for mask in masks]
    black = [str(mask.path) for mask, (_, light) in lightest if light == 0]
    if black:
        raise DataError(
            f"nothing could be learned from {_listed(black)}: the mask is black all over; white is what is learned"
        )
    if spec.mask == "alpha" and all(dark == 255 for _, (dark, _) in lightest):
        raise DataError("data.mask is alpha, but no picture has transparency; use data.mask=folder, or none")
    return masks


def _of_pictures(pictures: Sequence[Picture]) -> tuple[Mask, ...]:
    return tuple(Mask(picture.path, picture.digest, True) for picture in pictures)


def _of_folder(pictures: Sequence[Picture], folder: Path) -> tuple[Mask, ...]:
    folder = folder.expanduser()
    if not folder.is_dir():
        raise DataError(f"data.mask_path {folder} is not a folder; name a folder with a mask for each picture")
    files = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES}
    missing = [picture.path.name for picture in pictures if picture.path.stem not in files]
    if missing:
        raise DataError(
            f"data.mask_path {folder} has no mask for {_listed(missing)}; "
            "a mask is an image with its picture's name, white where the picture is learned from"
        )
    found = (files[picture.path.stem] for picture in pictures)
    return tuple(Mask(file, hashlib.sha256(file.read_bytes()).hexdigest(), False) for file in found)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
