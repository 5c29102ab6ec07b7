"""The proof on photographs reads a folder of subjects, and its figures are what a plain count gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from benchmarks.photographs import RECOMPRESSED, copies, likeness_auc, read_subjects
from foundation.errors import ConfigError
from train.pocket.draw import draw_scene
from train.pocket.world import scenes


def test_auc_counts_pairs_of_own_and_foreign_pictures() -> None:
    features = [normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(i)) + i, dim=-1) for i in range(3)]
    wins, pairs = [], []
    for i, own in enumerate(features):
        mine = [float(torch.stack([a @ b for k, b in enumerate(own) if k != j]).mean()) for j, a in enumerate(own)]
        theirs = [float(torch.stack([a @ b for b in own]).mean()) for k in range(3) if k != i for a in features[k]]
        wins.append(sum(m > t for m in mine for t in theirs))
        pairs.append(len(mine) * len(theirs))
    assert likeness_auc(features) == pytest.approx(np.mean([w / p for w, p in zip(wins, pairs, strict=True)]))
    assert np.isnan(likeness_auc(features, ["a", "b", "c"]))


def test_subjects_are_read_and_their_copies_counted(tmp_path: Path) -> None:
    drawn = [draw_scene(scene, "photo", i) for i, scene in enumerate(scenes(4, 8, held_out=True))]
    for number, picture in enumerate(drawn):
        folder = tmp_path / f"subject{number // 4}"
        folder.mkdir(exist_ok=True)
        picture.save(folder / f"{number}.png")
        Path(folder / f"{number}.txt").write_text("a photo of a thing")
    subjects = read_subjects(tmp_path)
    assert [(each.name, each.kind, len(each.pictures)) for each in subjects] == [
        ("subject0", "a photo of a thing", 4),
        ("subject1", "a photo of a thing", 4),
    ]
    found = copies(subjects, np.random.default_rng(0))
    assert found[RECOMPRESSED] == (8, 8) and found["mirrored"][0] > 12
    hits, looked_at = found["another picture of the subject"]
    assert looked_at == 8 and hits < 3


def test_one_subject_is_none_to_compare_with(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="a folder of pictures for each of two subjects or more"):
        read_subjects(tmp_path)
