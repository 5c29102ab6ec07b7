"""Draws sets of the pocket world into folders of the format that any user's folder has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from foundation.files.cache_use import mark_used
from foundation.files.durable import new_folder
from foundation.files.sums import damage, write_sums
from train.pocket.draw import draw_scene
from train.pocket.world import scenes
from train.spec import DataSpec

SEED: Final = 7
NUM_UNSEEN: Final = 60
"""Scenes that neither training nor validation sees: for tests of the judge."""


def with_drawn_folder(spec: DataSpec, cache: Path) -> DataSpec:
    """The same data with `path` and `validation_path` set; a drawn set is drawn into `cache` first, once.

    All scenes are ones that the pocket models never trained on.
    """
    if spec.path is not None or spec.drawn is None:
        return spec
    folder = draw_set(spec.drawn, spec.num_train, spec.num_validation, cache)
    return replace(spec, path=str(folder / "train"), validation_path=str(folder / "validation"), drawn=None)


def draw_set(style: str, num_train: int, num_validation: int, cache: Path) -> Path:
    """A folder with `train`, `validation` and `unseen`, each with images and `metadata.jsonl`.

    One that the disk has damaged is drawn anew, to the same bytes.
    """
    folder = mark_used(cache / f"drawn-{style}-{num_train}-{num_validation}-{SEED}")
    is_damaged = bool(damage(folder))
    if folder.exists() and not is_damaged:
        return folder
    chosen = scenes(SEED, num_train + num_validation + NUM_UNSEEN, held_out=True)
    parts = {"train": num_train, "validation": num_validation, "unseen": NUM_UNSEEN}
    with new_folder(folder, replace=is_damaged) as fresh:
        begin = 0
        for name, count in parts.items():
            (fresh / name).mkdir()
            lines = []
            for i in range(begin, begin + count):
                draw_scene(chosen[i], style, SEED * 1_000_003 + i).save(fresh / name / f"{i:03}.png")
                lines.append(json.dumps({"file_name": f"{i:03}.png", "text": chosen[i].caption(style)}))
            (fresh / name / "metadata.jsonl").write_text("\n".join(lines) + "\n")
            begin += count
        write_sums(fresh)
    return folder
