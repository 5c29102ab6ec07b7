"""A folder of captioned images: read as the field uses it, and split by what the files hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from foundation.data.captions import MASKS, Entry, read_captions
from foundation.data.images import ReadImage, read_image, read_rgb
from foundation.data.left_out import LeftOut
from foundation.data.metadata import METADATA
from foundation.data.near_duplicates import groups_of_copies, thumbnail
from foundation.errors import DataError

FEW: Final = 12
"""Up to so many different images each one that is held out is felt as a loss."""
MIN_HELD_OUT: Final = 3
"""Images that are held out at least, of more than a few, when nobody says otherwise."""
MIN_TRAINED_ON: Final = 2
"""Images that must be left to train on."""
HOLDOUT: Final = 0.2
"""Share that is held out when nobody says otherwise."""
_NAMED: Final = 5
"""Files that one line names."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a folder with its caption."""

    path: Path
    caption: str
    digest: str
    """SHA-256 of the file: what caches, splits and noises go by, so neither a rename nor an order changes them."""
    repeats: int = 1
    """How often it comes in an epoch."""
    size: tuple[int, int] = field(default=(0, 0), compare=False)
    """Width and height upright, pixels."""
    thumbnail: bytes = field(default=b"", repr=False, compare=False)
    """What it looks like, in small; see `foundation.data.near_duplicates`."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What is to be said of how it was read; see `foundation.data.images`."""
    name: str = field(default="", compare=False)
    """Its name in its folder, with the folders between (`below/a.png`)."""
    mask: Path | None = field(default=None, compare=False)
    """The image beside it that is its mask, if there is one."""

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
    remedy: str = "",
    knobs: str = "",
    apart: Mapping[Path, str] | None = None,
    uses_masks: bool = False,
) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Every captioned picture in order, and what a person should know of the folder, one line each.

    That is which files were left out and why, and how captions were read; see `captions.apart`;
    masks beside pictures are not left out where one `uses_masks`.
    Messages call the folder `where`, and name the settings `<knobs>.caption_column` and `<knobs>.skip_broken` where a
    person has them. Copies of one file count once towards `min_images`; `remedy` says what to do about too few.

    Raises:
        DataError: for a missing or empty folder, a line that cannot be read, a caption without its file or outside the
            folder, a broken image (unless `skip_broken`), fewer than `min_images` images.
    """
    if not folder.is_dir():
        raise DataError(f"{where} {folder} is not a folder; name a folder of images with {METADATA[0]}")
    captions = read_captions(folder, caption_column, where, knobs, apart=apart)
    pictures: list[Picture] = []
    broken: list[str] = []
    for entry in captions.entries:
        path = folder / entry.name
        try:
            read = read_image(path)
        except DataError as error:
            if not skip_broken:
                way = f", or go on without it by {knobs}.skip_broken=true" if knobs else ""
                raise DataError(f"{error}; repair or remove it{way}") from error
            broken.append(f"{entry.name} ({str(error).removeprefix(f'{path} is not a readable image: ')})")
            continue
        pictures.append(_picture(path, entry, read, folder))
    different = len({picture.digest for picture in pictures})
    if different < min_images:
        copies = f" ({len(pictures) - different} more are copies)" if different < len(pictures) else ""
        left = "".join(f"; {each}" for each in captions.left_out)
        raise DataError(
            f"{where} {folder} has {different} usable images{copies}{left}; at least {min_images} are needed{remedy}"
        )
    unused = [each for each in captions.left_out if not (uses_masks and each.reason == MASKS)]
    left_out = (*unused, *([LeftOut("broken", tuple(broken))] if broken else []))
    return tuple(pictures), tuple(f"{where}: {line}" for line in (*left_out, *captions.notes))


def _picture(path: Path, entry: Entry, read: ReadImage, folder: Path) -> Picture:
    return Picture(
        path,
        entry.caption,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        entry.repeats,
        read.rgb.size,
        thumbnail(read.rgb),
        read.notes,
        name=entry.name,
        mask=None if entry.mask is None else folder / entry.mask,
    )


def how_read(pictures: Sequence[Picture]) -> list[str]:
    """A line for each thing that is to be said of how pictures were read, with how many these are."""
    of: dict[str, list[str]] = {}
    for picture in pictures:
        for note in picture.notes:
            of.setdefault(note, []).append(picture.path.name)
    return [
        f"{len(names)} picture{'s' if len(names) > 1 else ''} {note}: "
        f"{', '.join(names[:_NAMED])}{' …' if len(names) > _NAMED else ''}"
        for note, names in of.items()
    ]


def split(
    pictures: Sequence[Picture], holdout: float = HOLDOUT, at_least: int | None = None
) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """What to train on and what to hold out: the share with the smallest digests, so many `at_least`, in their order.

    None is one of `FEW` different pictures or fewer, else `MIN_HELD_OUT`. Files with the same bytes, and pictures that
    look like copies of one another, count once and go to the same side.
    Two that differ are always left to train on; of fewer different files than both sides need none is held out.
    """
    different = len({picture.digest for picture in pictures})
    if at_least is None:
        at_least = 1 if different <= FEW else MIN_HELD_OUT
    if different < at_least + MIN_TRAINED_ON:
        return tuple(pictures), ()
    numbers = groups_of_copies([picture.thumbnail for picture in pictures], [picture.digest for picture in pictures])
    smallest: dict[int, str] = {}
    for number, picture in zip(numbers, pictures, strict=True):
        smallest[number] = min(picture.digest, smallest.get(number, picture.digest))
    ordered = sorted(smallest, key=lambda number: smallest[number])
    wanted = max(at_least, round(holdout * len(ordered)))
    held = set(ordered[: max(0, min(wanted, len(ordered) - MIN_TRAINED_ON))])
    sides = [number in held for number in numbers]
    train = tuple(picture for picture, out in zip(pictures, sides, strict=True) if not out)
    return train, tuple(picture for picture, out in zip(pictures, sides, strict=True) if out)
