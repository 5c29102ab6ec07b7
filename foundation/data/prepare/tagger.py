"""Tags pictures: a tagger in ONNX with a table of its tags, as the WD14 taggers (SmilingWolf) are published.

`model.onnx` takes (N, side, side, 3) BGR, 0 to 255, and returns a probability for each row of `selected_tags.csv`
(tag_id, name, category, count; category 0: general, 4: character, 9: rating). Source: the taggers' own demo,
https://huggingface.co/spaces/SmilingWolf/wd-tagger (app.py).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from foundation.errors import BaseModelError
from foundation.files.onnx_file import open_model

MODEL, TAGS = "model.onnx", "selected_tags.csv"
_GENERAL, _CHARACTER = "0", "4"
_FACES: Final = frozenset(
    [
        "0_0",
        "(o)_(o)",
        "+_+",
        "+_-",
        "._.",
        "<o>_<o>",
        "<|>_<|>",
        "=_=",
        ">_<",
        "3_3",
        "6_9",
        ">_o",
        "@_@",
        "^_^",
        "o_o",
        "u_u",
        "x_x",
        "|_|",
        "||_||",
    ]
)
"""Tags that are drawn with an underscore; elsewhere it is a space. Source: as above."""
_MOST_TAGS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Tag:
    """A row of the table."""

    name: str
    category: str


def is_tagger(path: Path) -> bool:
    """Whether a folder holds one."""
    return (path / MODEL).is_file() and (path / TAGS).is_file()


class Tagger:
    """A tagger on the CPU: `batch` pictures at once, the same tags for the same picture."""

    batch = 8

    def __init__(self, folder: Path, threshold: float, character_threshold: float) -> None:
        """Load it; a tag counts from its threshold on, that of a character from its own.

        Raises:
            ConfigError: onnxruntime is not installed.
            BaseModelError: the folder's files are no tagger.
        """
        self._tags = _read_tags(folder / TAGS)
        self._least = np.array([character_threshold if tag.category == _CHARACTER else threshold for tag in self._tags])
        self._session: Any = open_model(folder / MODEL, folder, "model")
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape: Sequence[object] = inputs[0].shape if len(inputs) == 1 else ()
        if len(shape) != 4 or shape[3] != 3 or not isinstance(shape[1], int) or shape[1] != shape[2]:
            raise BaseModelError(f"model {folder / MODEL} must take one (N, side, side, 3) picture, got {list(shape)}")
        wide = outputs[0].shape[-1]
        if isinstance(wide, int) and wide != len(self._tags):
            raise BaseModelError(f"model {folder}: {MODEL} has {wide} tags, and {TAGS} has {len(self._tags)}")
        self._side, self._name = shape[1], str(inputs[0].name)
        self._one_at_a_time = isinstance(shape[0], int) and shape[0] == 1

    def captions(self, images: Sequence[Image.Image], prefix: str = "") -> list[str]:
        """Each picture's tags, the surest first and characters before all others, with commas between."""
        pictures = np.stack([square_of(each, self._side) for each in images])
        parts = np.split(pictures, len(pictures)) if self._one_at_a_time else [pictures]
        rows = np.concatenate([self._session.run(None, {self._name: part})[0] for part in parts])
        return [", ".join([*([prefix] if prefix else []), *self._tags_of(row)]) for row in rows]

    def _tags_of(self, row: npt.NDArray[np.float32]) -> list[str]:
        order = np.argsort(-row, kind="stable")
        found = [self._tags[number] for number in order if row[number] > self._least[number]]
        ranked = [tag for wanted in (_CHARACTER, _GENERAL) for tag in found if tag.category == wanted]
        return [tag.name if tag.name in _FACES else tag.name.replace("_", " ") for tag in ranked]


def square_of(image: Image.Image, side: int) -> npt.NDArray[np.float32]:
    """An RGB picture as (side, side, 3) BGR from 0 to 255, white around what is not square."""
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), (255, 255, 255))
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    if longest != side:
        square = square.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.float32)[:, :, ::-1]


def _read_tags(file: Path) -> list[Tag]:
    try:
        with file.open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BaseModelError(f"model {file} cannot be read: {error}") from error
    if not rows or len(rows) > _MOST_TAGS or any(not row.get("name") or row.get("category") is None for row in rows):
        raise BaseModelError(f"model {file} must be a table of tags with the columns name and category")
    return [Tag(str(row["name"]), str(row["category"]).strip()) for row in rows]
