"""Which images are masks of others, by their names.

`a-masklabel.png` is OneTrainer's; others are `a_mask.png`, `mask_a.png`, `a (mask).png`, `a.png.mask.png` and
`masks/a.png`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from foundation.data.images import SUFFIXES

_AFTER: Final = re.compile(r"(.+?)[-_. ]+\(?(?:masks?|masklabel|condlabel)\)?", re.IGNORECASE)
_BEFORE: Final = re.compile(r"(?:masks?|masklabel)[-_. ]+(.+)", re.IGNORECASE)
_LABEL: Final = re.compile(r".+-(?:masklabel|condlabel)", re.IGNORECASE)
_FOLDER: Final = re.compile(r"[-_.]?masks?(?:labels?)?", re.IGNORECASE)


def masks_of(images: Sequence[str]) -> dict[str, str]:
    """Images that are masks, each with the picture that it belongs to; names as `a.png` and `below/a.png`."""
    stems: dict[str, str] = {}
    for image in images:
        stems.setdefault(_stem(image), image)
    found = {}
    for image in images:
        owner = next((stems[stem] for stem in _owners(image) if stem in stems), None)
        if owner is not None and owner != image:
            found[image] = owner
    return {mask: image for mask, image in found.items() if image not in found}


def is_mask(image: str) -> bool:
    """Whether one of these says where to learn; OneTrainer's `a-condlabel.png` says something else of its picture."""
    return "condlabel" not in image.lower()


def is_label(image: str) -> bool:
    """Whether it is called as no picture is but a trainer's mask: one with a caption beside it is a mask still."""
    return bool(_LABEL.fullmatch(PurePosixPath(image).stem))


def without_mask(stem: str) -> str:
    """A stem without what says that it is a mask's: `a` of `a-masklabel`, `a.png.mask` and `mask_a`."""
    match = _AFTER.fullmatch(stem) or _BEFORE.fullmatch(stem)
    if match is None:
        return stem
    path = PurePosixPath(match[1])
    return path.stem if path.suffix.lower() in SUFFIXES else match[1]


def _owners(image: str) -> list[str]:
    """Stems that the picture of a mask could have."""
    path = PurePosixPath(image)
    stem = without_mask(path.stem)
    owners = [] if stem == path.stem else [str(path.with_name(stem)).lower()]
    if _FOLDER.fullmatch(path.parent.name):
        home = path.parent.parent
        owners += [str(home / path.stem).lower(), str(home / stem).lower()]
    return owners


def _stem(image: str) -> str:
    return str(PurePosixPath(image).with_suffix("")).lower()
