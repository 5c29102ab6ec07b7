"""Draws sets of the pocket world into folders of the format that any user's folder has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from foundation.files.cache_use import mark_used
from foundation.files.durable import new_folder
from foundation.files.sums import damage, write_sums
from train.pocket.draw import draw_scene, subject_mask
from train.pocket.subjects import SUBJECTS, Subject, subject_scenes
from train.pocket.world import BACKGROUNDS, Scene, scenes
from train.spec import DataSpec

SEED: Final = 7
SUBJECT_STYLE: Final = "photo"
"""What subjects are drawn in."""
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


def draw_set(name: str, num_train: int, num_validation: int, cache: Path) -> Path:
    """A folder with `train`, `validation` and `unseen`, each with images and `metadata.jsonl`.

    `name` is a style, or one of the world's subjects (`train.pocket.subjects`), which is drawn as in photographs, with
    a mask beside each picture. A folder that the disk has damaged is drawn anew, to the same bytes.
    """
    folder = mark_used(cache / f"drawn-{name}-{num_train}-{num_validation}-{SEED}")
    is_damaged = bool(damage(folder))
    if folder.exists() and not is_damaged:
        return folder
    parts = {"train": num_train, "validation": num_validation, "unseen": NUM_UNSEEN}
    subject = SUBJECTS.get(name)
    chosen = _scenes(subject, num_train + num_validation)
    with new_folder(folder, replace=is_damaged) as fresh:
        begin = 0
        for part, count in parts.items():
            (fresh / part).mkdir()
            lines = [_draw(chosen[i], name, i, fresh / part) for i in range(begin, begin + count)]
            (fresh / part / "metadata.jsonl").write_text("\n".join(lines) + "\n")
            begin += count
        write_sums(fresh)
    return folder


def _scenes(subject: Subject | None, count: int) -> list[Scene]:
    """`count` scenes to learn from, and those that nobody sees: of a subject, on all backgrounds."""
    if subject is None:
        return scenes(SEED, count + NUM_UNSEEN, held_out=True)
    own = subject_scenes(subject, SEED, count)
    fresh = (scene for scene in subject_scenes(subject, SEED + 1, NUM_UNSEEN + count, tuple(BACKGROUNDS)))
    return [*own, *[scene for scene in fresh if scene not in own][:NUM_UNSEEN]]


def _draw(scene: Scene, name: str, number: int, folder: Path) -> str:
    """Draw a scene into the folder; its line of `metadata.jsonl`."""
    seed, file = SEED * 1_000_003 + number, f"{number:03}.png"
    style = SUBJECT_STYLE if name in SUBJECTS else name
    draw_scene(scene, style, seed).save(folder / file)
    if name in SUBJECTS:
        subject_mask(scene, seed).save(folder / f"{number:03}-masklabel.png")
    return json.dumps({"file_name": file, "text": scene.caption(style)})
