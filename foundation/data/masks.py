"""Which part of each picture is learned from: a folder of masks, masks beside the pictures, or their transparency."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from foundation.data.folder import Picture
from foundation.data.images import read_alpha, read_rgb
from foundation.data.left_out import LeftOut, first_names
from foundation.data.mask_names import without_mask
from foundation.data.spec import DataSpec
from foundation.data.survey import survey
from foundation.errors import DataError

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


def find_masks(
    pictures: Sequence[Picture], held_out: Sequence[Picture], spec: DataSpec
) -> tuple[tuple[Mask, ...], tuple[str, ...]]:
    """A mask for each picture to train on, and what a person should know of them; no masks without `data.mask`.

    Masks of held-out pictures may be there as well.

    Raises:
        DataError: when a picture has no mask or two, two share one, a mask is black all over or has another shape than
            its picture, or no picture has transparency.
    """
    if spec.mask == "none":
        return (), ()
    notes: tuple[str, ...] = ()
    if spec.mask == "alpha":
        masks = tuple(Mask(picture.path, picture.digest, True) for picture in pictures)
    elif spec.mask == "beside":
        masks = _beside(pictures)
    else:
        masks, notes = _of_folder(pictures, held_out, Path(spec.mask_path or ""))
    _check(masks, pictures, spec)
    return masks, notes


def held_out_masks(held_out: Sequence[Picture], spec: DataSpec) -> tuple[Mask | None, ...]:
    """Each held-out picture's mask, by which its subject is cut out; None for one that has none, or a black one.

    Raises:
        DataError: a picture has two masks.
    """
    if spec.mask == "none":
        return (None,) * len(held_out)
    if spec.mask == "alpha":
        found: list[Mask | None] = [Mask(picture.path, picture.digest, True) for picture in held_out]
    elif spec.mask == "beside":
        found = [None if picture.mask is None else _of_file(picture.mask) for picture in held_out]
    else:
        folder = Path(spec.mask_path or "")
        masks = _Names(survey(folder).images, folder)
        names = [masks.find(picture.name) for picture in held_out]
        found = [None if name is None else _of_file(folder / name) for name in names]
    return tuple(mask if mask is not None and mask.open().getextrema()[1] else None for mask in found)


def _check(masks: Sequence[Mask], pictures: Sequence[Picture], spec: DataSpec) -> None:
    black, lightest = [], 0
    for mask, picture in zip(masks, pictures, strict=True):
        image = mask.open()
        dark, light = image.getextrema()
        lightest += dark == 255
        black += [str(mask.path)] if light == 0 else []
        if not _is_of_shape(image.size, picture.size):
            mask_size, size = ("×".join(map(str, each)) for each in (image.size, picture.size))
            raise DataError(f"{mask.path} is {mask_size} and its picture {picture.name} {size}; a mask has its shape")
    if black:
        raise DataError(
            f"nothing could be learned from {first_names(black, _NAMED)}: the mask is black all over; white is what is "
            "learned"
        )
    if spec.mask == "alpha" and lightest == len(masks):
        raise DataError(
            "data.mask is alpha, but no picture has transparency; use data.mask=folder or data.mask=beside, or none"
        )


def _is_of_shape(mask: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether a mask has a picture's aspect, but for a pixel that scaling may have taken from a side."""
    return abs(mask[0] * picture[1] - mask[1] * picture[0]) <= 1.5 * max(*mask, *picture)


def _beside(pictures: Sequence[Picture]) -> tuple[Mask, ...]:
    missing = [picture.name for picture in pictures if picture.mask is None]
    if missing:
        raise DataError(
            f"data.mask is beside, but {first_names(missing, _NAMED)} have no mask beside them; a mask of a.png is "
            "called a-masklabel.png, a-mask.png or a_mask.png, or masks/a.png; white is where it is learned from"
        )
    return tuple(_of_file(picture.mask) for picture in pictures if picture.mask is not None)


def _of_file(file: Path) -> Mask:
    return Mask(file, hashlib.sha256(file.read_bytes()).hexdigest(), False)


def _of_folder(
    pictures: Sequence[Picture], held_out: Sequence[Picture], folder: Path
) -> tuple[tuple[Mask, ...], tuple[str, ...]]:
    if not folder.is_dir():
        raise DataError(f"data.mask_path {folder} is not a folder; name a folder with a mask for each picture")
    names = survey(folder).images
    masks = _Names(names, folder)
    found = {picture.name: masks.find(picture.name) for picture in (*pictures, *held_out)}
    missing = [picture.name for picture in pictures if found[picture.name] is None]
    if missing:
        raise DataError(
            f"data.mask_path {folder} has no mask for {first_names(missing, _NAMED)}; "
            "a mask is an image with its picture's name, white where the picture is learned from"
        )
    itself = [each.name for each in pictures if (folder / str(found[each.name])).samefile(each.path)]
    if itself:
        raise DataError(
            f"data.mask_path {folder} is where the pictures lie, so {first_names(itself, _NAMED)} would be masks of "
            "themselves; name the folder of the masks, or use data.mask=beside"
        )
    _refuse_shared(found, folder)
    used = {name for name in found.values() if name}
    idle = tuple(name for name in names if name not in used)
    notes = (f"data.mask_path: {LeftOut('masks of no picture', idle)}",) if idle else ()
    return tuple(_of_file(folder / str(found[picture.name])) for picture in pictures), notes


class _Names:
    """The masks of a folder by what their pictures are called, whatever the case and the suffix."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._exact: dict[str, list[str]] = {}
        self._marked: dict[str, list[str]] = {}
        """Of masks that say in their names that they are masks."""
        for name in names:
            stem = PurePosixPath(name).with_suffix("")
            self._exact.setdefault(str(stem).lower(), []).append(name)
            self._marked.setdefault(str(stem.with_name(without_mask(stem.name))).lower(), []).append(name)

    def find(self, picture: str) -> str | None:
        """The mask where the picture lies in its own folder, or else the one of its name at the top."""
        stem = PurePosixPath(picture.lower()).with_suffix("")
        for place in (str(stem), stem.name):
            fits = self._exact.get(place) or self._marked.get(place, [])
            if len(fits) > 1:
                raise DataError(
                    f"data.mask_path {self._folder} has two masks for {picture}: {', '.join(fits)}; keep one"
                )
            if fits:
                return fits[0]
        return None


def _refuse_shared(found: Mapping[str, str | None], folder: Path) -> None:
    owners: dict[str, list[str]] = {}
    for picture, mask in found.items():
        if mask is not None:
            owners.setdefault(mask, []).append(picture)
    for mask, sharing in owners.items():
        if len(sharing) > 1:
            raise DataError(
                f"data.mask_path {folder}: {first_names(sharing, _NAMED)} would share the mask {mask}; "
                "put masks into the same folders as their pictures"
            )
