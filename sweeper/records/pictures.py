"""Pictures in files: how they are named, opened, put into one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from PIL import Image, ImageDraw

from eval.prompts import with_trigger, without_trigger
from eval.spec import EvalSpec
from foundation.data.images import read_rgb
from foundation.pictures.tiles import PAPER, fit_into

PROMPT: Final = "prompt"
UNRELATED: Final = "unrelated"
TRAINING: Final = "training"
OF_CLASS: Final = "class"
"""The kinds of prompts, as the names of their pictures begin."""

SQUARE: Final = 256
"""Side of a square sheet; MLflow's page scales pictures to it (`mlflow.tracking.multimedia`)."""


def square_sheet(images: Sequence[Image.Image]) -> Image.Image:
    """Return as many of a prompt's pictures as fill a square (1, 4, 9 …), the first ones, edge to edge.

    For a page that shows a picture in a square of some 250 pixels, as MLflow's does: a strip of all of them would be
    too small there to be seen. Twice that for pictures that are larger.

    Raises:
        ValueError: there are no pictures.
    """
    if not images:
        raise ValueError("a square sheet wants pictures, got none")
    num_columns = math.isqrt(len(images))
    side = SQUARE if max(images[0].size) <= SQUARE else 2 * SQUARE
    tile = side // num_columns
    sheet = Image.new("RGB", (num_columns * tile, num_columns * tile), PAPER)
    for number, image in enumerate(images[: num_columns**2]):
        row, column = divmod(number, num_columns)
        sheet.paste(fit_into(image, tile), (column * tile, row * tile))
    pen = ImageDraw.Draw(sheet)
    for seam in range(tile, num_columns * tile, tile):
        pen.rectangle((seam - 1, 0, seam, sheet.height), fill=PAPER)
        pen.rectangle((0, seam - 1, sheet.width, seam), fill=PAPER)
    return sheet


def open_picture(path: Path) -> Image.Image:
    """A picture of a file, in memory.

    Raises:
        DataError: when it is damaged.
    """
    return read_rgb(path)


def picture_name(kind: str, prompt: int, seed: int | Literal["*"]) -> str:
    """`prompt03-seed1.png`: the fourth prompt with the second seed; with "*" what finds them with all seeds."""
    return f"{kind}{prompt:02}-seed{seed}.png"


def sheet_name(kind: str, prompt: int) -> str:
    """`prompt03.png`: the fourth prompt's square sheet."""
    return f"{kind}{prompt:02}.png"


def sheets(spec: EvalSpec, trigger: str, folder: Path) -> tuple[tuple[str, Path], ...]:
    """Each prompt that was drawn, by a name that sorts as prompts do, with its sheet of those from `write_pictures`."""
    of_class = spec.prompts[: spec.class_prompts]
    groups: dict[str, tuple[str, Sequence[str]]] = {
        "samples": (PROMPT, spec.prompts),
        "unrelated": (UNRELATED, spec.unrelated_prompts),
        "training captions": (TRAINING, spec.training_captions),
        "class word": (OF_CLASS, [without_trigger(each, trigger, spec.class_word) for each in of_class]),
    }
    found = []
    for group, (kind, prompts) in groups.items():
        for number, prompt in enumerate(prompts):
            words = with_trigger(prompt, trigger).replace("/", "-")  # which would begin another section
            found.append((f"{group}/{number + 1:02} {words}", folder / sheet_name(kind, number)))
    return tuple((name, file) for name, file in found if file.exists())
