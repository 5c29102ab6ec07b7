"""Pictures of a checkpoint: drawn for an `EvalSpec`'s prompts and seeds, and written to a folder."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from PIL import Image

from eval.prompts import with_trigger, without_trigger
from eval.sampling import sample_each
from eval.spec import EvalSpec
from foundation.bases.port import Base
from foundation.files.durable import new_folder
from sweeper.records.pictures import OF_CLASS, PROMPT, TRAINING, UNRELATED, picture_name, sheet_name, square_sheet

_Pair = tuple[str, int]
"""A prompt and a seed."""
_PACKED: Final = zlib.Z_RLE
"""How PNG packs: in a third of the usual time, in which nothing trains, for files of about the same size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Pictures of one checkpoint by prompt and seed."""

    samples: list[list[Image.Image]]
    """For each prompt, one with each seed."""
    unrelated: list[list[Image.Image]]
    """For each unrelated prompt, the same with the first seeds."""
    training: list[list[Image.Image]]
    """For each training caption, one with the first seed."""
    of_class: list[list[Image.Image]] = field(default_factory=list)
    """For the first prompts with the class word, one with each of the first seeds."""


NOTHING: Final = Drawn(samples=[], unrelated=[], training=[])


def draw_samples(
    base: Base,
    spec: EvalSpec,
    trigger: str,
    before: Sequence[Drawn] = (NOTHING,),
    working: Callable[[], None] = lambda: None,
) -> list[Drawn]:
    """Draw what `spec` asks for with as many adapters as have drawn `before`, which act on equal shares of a batch.

    What was drawn before is the first prompts and seeds that `spec` asks for, equally many for all; it is taken over.
    `working` is called after each denoising step.
    """

    def after_step(*_: Any) -> dict[str, Any]:  # diffusers hands over pipeline, step, timestep, tensors
        working()
        return {}

    samples = [[(with_trigger(prompt, trigger), seed) for seed in spec.seeds] for prompt in spec.prompts]
    unrelated = [[(prompt, seed) for seed in spec.seeds_of_unrelated] for prompt in spec.unrelated_prompts]
    training = [[(caption, spec.seeds[0])] for caption in spec.training_captions]
    of_class = [
        [(without_trigger(prompt, trigger, spec.class_word), seed) for seed in spec.seeds_of_unrelated]
        for prompt in spec.prompts[: spec.class_prompts]
    ]
    first = before[0]
    pairs = [
        *_missing(samples, first.samples),
        *_missing(unrelated, first.unrelated),
        *_missing(training, first.training),
        *_missing(of_class, first.of_class),
    ]
    found = sample_each(
        base.pipeline,
        pairs,
        spec.drawing,
        copies=len(before),
        options={**base.sampling, "callback_on_step_end": after_step},
    )
    drawn = []
    for own, images in zip(before, found, strict=True):
        fresh = iter(images)
        drawn.append(
            Drawn(
                samples=_fill(samples, own.samples, fresh),
                unrelated=_fill(unrelated, own.unrelated, fresh),
                training=_fill(training, own.training, fresh),
                of_class=_fill(of_class, own.of_class, fresh),
            )
        )
    return drawn


def _missing(wanted: list[list[_Pair]], known: list[list[Image.Image]]) -> list[_Pair]:
    """Of each row what goes beyond the known one's length."""
    return [pair for number, row in enumerate(wanted) for pair in row[len(_row(known, number)) :]]


def _fill(
    wanted: list[list[_Pair]], known: list[list[Image.Image]], fresh: Iterator[Image.Image]
) -> list[list[Image.Image]]:
    """The known rows, filled up to what was wanted in the order of `_missing`."""
    rows = [(row, _row(known, number)) for number, row in enumerate(wanted)]
    return [[*own, *islice(fresh, len(row) - len(own))] for row, own in rows]


def _row(known: list[list[Image.Image]], number: int) -> list[Image.Image]:
    return known[number] if number < len(known) else []


def write_pictures(folder: Path, drawn: Drawn, seeds: int, *, with_sheets: bool = True) -> None:
    """Write each picture, and for each prompt a square sheet of its first so many `seeds`, whole or not at all.

    Some checkpoints are drawn with more seeds than others; their sheets are to be compared. What no tracker shows needs
    no sheets: they are made of the pictures.
    """
    with new_folder(folder) as fresh:
        kinds = ((PROMPT, drawn.samples), (UNRELATED, drawn.unrelated), (TRAINING, drawn.training))
        for kind, rows in (*kinds, (OF_CLASS, drawn.of_class)):
            for number, row in enumerate(rows):
                for seed, image in enumerate(row):
                    image.save(fresh / picture_name(kind, number, seed), compress_type=_PACKED)
                if with_sheets:
                    square_sheet(row[:seeds]).save(fresh / sheet_name(kind, number), compress_type=_PACKED)
