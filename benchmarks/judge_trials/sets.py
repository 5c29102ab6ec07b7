"""The sets of pictures that the trials learn from. Neither their scenes nor their styles were seen by the base."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.files.durable import new_folder
from train.pocket.draw import draw_scene
from train.pocket.world import RESERVED_STYLES, Scene, scenes

NUM_VALIDATION: Final = 8
NUM_TRUTH: Final = 48
"""Scenes that the truth is read on: neither trained on, nor held out, nor in the judge's prompts."""


@dataclass(frozen=True, slots=True)
class TrialSet:
    """A set by name: `num_scenes` different scenes in `style`, drawn from `seed`."""

    name: str
    style: str
    num_scenes: int
    seed: int

    @property
    def trigger(self) -> str:
        """What calls the style."""
        return f"in {self.style} style"

    def truth_scenes(self) -> list[Scene]:
        """The scenes to draw for the truth, (NUM_TRUTH,)."""
        return self._scenes()[-NUM_TRUTH:]

    def captions(self, part: str, folder: Path) -> list[str]:
        """The captions of the pictures in a part of the set's `folder`, with the trigger left open."""
        lines = (folder / part / "metadata.jsonl").read_text().splitlines()
        return [json.loads(line)["text"].replace(self.trigger, "{trigger}") for line in lines]

    def _scenes(self) -> list[Scene]:
        return scenes(self.seed, self.num_scenes + NUM_VALIDATION + NUM_TRUTH, held_out=True)

    def write(self, parent: Path) -> Path:
        """Draw into `parent`/name, once; folders `train` and `validation` with `metadata.jsonl`."""
        folder = parent / self.name
        if folder.exists():
            return folder
        chosen = self._scenes()
        with new_folder(folder) as fresh:
            self._write_part(fresh / "train", chosen[: self.num_scenes])
            self._write_part(fresh / "validation", chosen[self.num_scenes : -NUM_TRUTH])
        return folder

    def overrides(self, parent: Path) -> list[str]:
        """What makes the default study one of this set, drawn into `parent`; its prompts are the held-out captions."""
        pictures = self.write(parent).resolve()
        prompts = ",".join(f'"{prompt}"' for prompt in self.captions("validation", pictures))
        return [
            "+experiment=pencil",
            f"data.path={pictures / 'train'}",
            f"data.validation_path={pictures / 'validation'}",
            f"data.trigger='{self.trigger}'",
            f"eval.prompts=[{prompts}]",
        ]

    def _write_part(self, folder: Path, chosen: Sequence[Scene]) -> None:
        folder.mkdir()
        lines = []
        for number, scene in enumerate(chosen):
            name, seed = f"{number:03}-0.png", self.seed * 1_000_003 + number + 500 * (folder.name != "train")
            draw_scene(scene, self.style, seed).save(folder / name)
            lines.append(json.dumps({"file_name": name, "text": scene.caption(self.style)}))
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


_TUNED: Final = (
    "pencil",
    "chalk",
    "engraving",
    "crayon",
    "mosaic",
    "halftone",
    "blueprint",
    "neon",
    "woodcut",
    "pastel",
    "batik",
    "comic",
    "antique",
    "embossed",
)
_SIZES: Final = (24, 12)
"""Pictures that are trained on, of one set and the next."""

TUNED_SETS: Final = tuple(
    TrialSet(style, style, _SIZES[number % 2], seed=100 + number) for number, style in enumerate(_TUNED)
)
"""What the judge's parts, weights and limits were chosen on."""
RESERVED_SETS: Final = tuple(
    TrialSet(style, style, _SIZES[number % 2], seed=200 + number) for number, style in enumerate(RESERVED_STYLES)
)
"""What only the report is of."""
SETS: Final = TUNED_SETS + RESERVED_SETS
