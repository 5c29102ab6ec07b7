"""The three sets of pictures that the trials learn from. No scene of them was seen by the pocket models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from foundation.files.durable import new_folder
from train.pocket.draw import draw_scene
from train.pocket.world import Scene, scenes

NUM_VALIDATION: Final = 8
NUM_TRUTH: Final = 96
"""Scenes that the truth is read on: neither trained on, nor held out, nor in the judge's prompts."""
COPIES: Final = 4
"""Near-duplicates of each picture in the set that has them."""


@dataclass(frozen=True, slots=True)
class TrialSet:
    """A set by name: `num_scenes` different scenes in `style`, each `copies` times, drawn from `seed`."""

    name: str
    style: str
    num_scenes: int
    seed: int
    copies: int = 1

    @property
    def trigger(self) -> str:
        """What calls the style."""
        return f"in {self.style} style"

    def truth_scenes(self) -> list[Scene]:
        """The scenes to draw for the truth, (NUM_TRUTH,)."""
        return self._scenes()[-NUM_TRUTH:]

    def _scenes(self) -> list[Scene]:
        return scenes(self.seed, self.num_scenes + NUM_VALIDATION + NUM_TRUTH, held_out=True)

    def write(self, parent: Path) -> Path:
        """Draw into `parent`/name, once; folders `train` and `validation` with `metadata.jsonl`."""
        folder = parent / self.name
        if folder.exists():
            return folder
        chosen = self._scenes()
        with new_folder(folder) as fresh:
            self._write_part(fresh / "train", chosen[: self.num_scenes], self.copies)
            self._write_part(fresh / "validation", chosen[self.num_scenes : -NUM_TRUTH], 1)
        return folder

    def _write_part(self, folder: Path, chosen: Sequence[Scene], copies: int) -> None:
        folder.mkdir()
        lines = []
        for number, scene in enumerate(chosen):
            seed = self.seed * 1_000_003 + (number if folder.name == "train" else 500 + number)
            picture = draw_scene(scene, self.style, seed)
            for copy in range(copies):
                name = f"{number:03}-{copy}.png"
                (_nearly(picture, seed + copy) if copy else picture).save(folder / name)
                lines.append(json.dumps({"file_name": name, "text": scene.caption(self.style)}))
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def _nearly(picture: Image.Image, seed: int) -> Image.Image:
    """The same picture as another scan of it: moved by up to a pixel, a little lighter or darker, with noise."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(picture, dtype=np.float32)
    moved = np.roll(pixels, tuple(rng.integers(-1, 2, size=2)), axis=(0, 1))
    scanned = moved * rng.uniform(0.97, 1.03) + rng.normal(0, 2, pixels.shape)
    return Image.fromarray(scanned.clip(0, 255).round().astype(np.uint8), mode="RGB")


SETS: Final = (
    TrialSet("pencil", "pencil", 24, seed=7),
    TrialSet("chalk", "chalk", 12, seed=11),
    TrialSet("twins", "pencil", 12, seed=13, copies=COPIES),
)
"""24 pencil pictures, 12 chalk pictures, and 48 pencil pictures that are 12 and their near-duplicates."""
