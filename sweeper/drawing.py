"""Pictures of a checkpoint: drawn for an `EvalSpec`'s prompts and seeds, and written to a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from eval.prompts import with_trigger
from eval.sampling import sample_each
from eval.spec import EvalSpec
from foundation.durable import new_folder
from sweeper.pictures import PROMPT, UNRELATED, grid, picture_name, sheet_name
from train.bases import Base

_TILE = 128
_PACKED = 1
"""How hard PNG tries: a third of the usual time, in which nothing trains, for files a sixth larger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Pictures of one checkpoint by prompt and seed."""

    samples: list[list[Image.Image]]
    """For each prompt, one with each seed."""
    unrelated: list[list[Image.Image]]
    """For each unrelated prompt, the same with the first seeds."""

    def with_seeds(self, more: Drawn) -> Drawn:
        """These, and after them what further seeds drew for the same prompts."""
        return Drawn(
            samples=[own + new for own, new in zip(self.samples, more.samples, strict=True)],
            unrelated=[own + new for own, new in zip(self.unrelated, more.unrelated, strict=True)]
            if more.unrelated
            else self.unrelated,
        )


def draw(base: Base, spec: EvalSpec, trigger: str, copies: int) -> list[Drawn]:
    """Draw what `spec` asks for with each of `copies` adapters, which act on equal shares of a batch."""
    own, unrelated = spec.seeds, spec.seeds_of_unrelated
    pairs = [(with_trigger(prompt, trigger), seed) for prompt in spec.prompts for seed in own]
    first = len(pairs)
    pairs += [(prompt, seed) for prompt in spec.unrelated_prompts for seed in unrelated]
    drawn = sample_each(base.pipeline, pairs, spec.drawing, copies=copies, options=base.sampling)
    return [
        Drawn(samples=_rows(images[:first], len(own)), unrelated=_rows(images[first:], len(unrelated)))
        for images in drawn
    ]


def _rows(images: list[Image.Image], width: int) -> list[list[Image.Image]]:
    return [images[start : start + width] for start in range(0, len(images), width)]


def write_pictures(folder: Path, drawn: Drawn) -> None:
    """Write each picture, and for each prompt a sheet with all its seeds, whole or not at all."""
    with new_folder(folder) as fresh:
        for kind, rows in ((PROMPT, drawn.samples), (UNRELATED, drawn.unrelated)):
            for number, row in enumerate(rows):
                for seed, image in enumerate(row):
                    image.save(fresh / picture_name(kind, number, seed), compress_level=_PACKED)
                grid(row, len(row), _TILE).save(fresh / sheet_name(kind, number), compress_level=_PACKED)


def sheets(spec: EvalSpec, trigger: str, folder: Path) -> tuple[tuple[str, Path], ...]:
    """Each prompt with the file, among what `write_pictures` wrote, that shows all its seeds side by side."""
    asked = {PROMPT: spec.prompts, UNRELATED: spec.unrelated_prompts}
    return tuple(
        (with_trigger(prompt, trigger), folder / sheet_name(kind, number))
        for kind, prompts in asked.items()
        for number, prompt in enumerate(prompts)
    )
