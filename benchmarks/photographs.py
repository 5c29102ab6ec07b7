"""`python -m benchmarks.photographs FOLDER`: do the judge's statistics hold on photographs of real subjects?

`FOLDER` holds a folder of pictures for each subject; two subjects are of one class where their captions
(`metadata.jsonl`) name the same. No base and no LoRA is needed: likeness must tell a subject's own pictures from those
of others, copies must be found in every disguise, and real different pictures of one subject must be called no copies.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from foundation.quiet import quiet_libraries

quiet_libraries()

from benchmarks.disguises import DISGUISES  # noqa: E402
from benchmarks.judge_statistics import wilson  # noqa: E402
from eval.extractors import load_image_extractor  # noqa: E402
from eval.features import FeatureExtractor, load_extractor  # noqa: E402
from eval.metrics.copying import distinct, find_copies  # noqa: E402
from eval.thumbnails import coarse, compositions, masked_compositions  # noqa: E402
from foundation.command import exit_code  # noqa: E402
from foundation.data.folder import read_folder  # noqa: E402
from foundation.data.images import square  # noqa: E402
from foundation.errors import ConfigError  # noqa: E402

SIDE: Final = 256
TRIES: Final = 2
"""Copies of each picture in each disguise."""
RECOMPRESSED: Final = "recompressed"
_QUALITY: Final = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject's pictures, cut to squares."""

    name: str
    kind: str
    """Its class: what its first caption says."""
    pictures: list[Image.Image]


def main() -> None:
    """Measure and print tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photographs", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--eye", action="append", default=[], help="a DINOv2 by path, as often as needed")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    subjects = read_subjects(arguments.folder)
    print(f"{sum(len(each.pictures) for each in subjects)} photographs of {len(subjects)} subjects\n")
    eyes: dict[str, FeatureExtractor] = {"the embedded CLIP": load_extractor("pocket")}
    eyes |= {eye: load_image_extractor(eye, "cpu") for eye in arguments.eye}
    features = {name: [eye.images(each.pictures) for each in subjects] for name, eye in eyes.items()}
    features["thumbnails of 8×8 pixels"] = [coarse(compositions(each.pictures)) for each in subjects]
    print("| eye | AUC against all others | against others of the class |\n| --- | ---: | ---: |")
    for name, own in features.items():
        print(f"| {name} | {likeness_auc(own):.3f} | {likeness_auc(own, [each.kind for each in subjects]):.3f} |")
    print("\n| pictures | called copies | share (95 %) |\n| --- | ---: | ---: |")
    for name, (found, looked_at) in copies(subjects, np.random.default_rng(arguments.seed)).items():
        low, high = wilson(found, looked_at)
        print(f"| {name} | {found} of {looked_at} | {found / looked_at:.3f} ({low:.2f}-{high:.2f}) |")


def read_subjects(folder: Path) -> list[Subject]:
    """The subjects in a folder, in order.

    Raises:
        ConfigError: there are not two with pictures.
        DataError: a picture cannot be read.
    """
    found = []
    for path in sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []:
        pictures, _ = read_folder(path, where="FOLDER")
        squares = [square(picture.open(), SIDE) for picture in pictures]
        found.append(Subject(path.name, pictures[0].caption, squares))
    if len(found) < 2:
        raise ConfigError([f"FOLDER must hold a folder of pictures for each of two subjects or more, got {folder}"])
    return found


def likeness_auc(features: Sequence[Tensor], kinds: Sequence[str] | None = None) -> float:
    """How surely the mean cosine to a subject's other pictures tells its own from foreign ones, 0.5 to 1.

    `features` are (n, D) for each subject, unit rows; foreign pictures are of all other subjects, or of those of the
    same of the `kinds`. The mean over subjects of the share of pairs (own, foreign) in which the own one is nearer; NaN
    where no subject has foreign pictures.
    """
    values = []
    for i, own in enumerate(features):
        others = [
            each
            for j, each in enumerate(features)
            if j != i and (kinds is None or kinds[j] == kinds[i]) and len(own) > 1
        ]
        if not others:
            continue
        similar = own @ own.T
        mine = (similar.sum(1) - similar.diagonal()) / (len(own) - 1)  # leave one out
        theirs = (torch.cat(others) @ own.T).mean(1)
        values.append(float((mine[:, None] > theirs).double().mean() + 0.5 * (mine[:, None] == theirs).double().mean()))
    return sum(values) / len(values) if values else float("nan")


def copies(subjects: Sequence[Subject], rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """How many pictures are called copies, of how many: copies in each disguise, and real ones that were left out.

    Each picture in turn is left out of the training set and shown as if it were drawn: no copy. A copy is of any
    picture of the whole set.
    """
    counts: dict[str, list[int]] = {
        name: [0, 0] for name in (*DISGUISES, RECOMPRESSED, "another picture of the subject")
    }

    def count(name: str, shown: Sequence[Image.Image], train: Tensor, held_out: Tensor) -> None:
        found = find_copies(compositions(shown), train[distinct(train)], held_out)
        counts[name][0] += int((found > 0).sum())
        counts[name][1] += len(shown)

    for subject in subjects:
        known = masked_compositions(subject.pictures)
        none = compositions([])
        for name, disguise in DISGUISES.items():
            count(name, [disguise(each, rng) for each in subject.pictures for _ in range(TRIES)], known, none)
        count(RECOMPRESSED, [_recompressed(each) for each in subject.pictures], known, none)
        for left_out, picture in enumerate(subject.pictures):
            rest = torch.cat([known[:left_out], known[left_out + 1 :]])
            count("another picture of the subject", [picture], rest, none)
    return {name: (found, looked_at) for name, (found, looked_at) in counts.items()}


def _recompressed(picture: Image.Image) -> Image.Image:
    """As a JPEG of low quality and a quarter of the size gives it back."""
    file = io.BytesIO()
    picture.resize((SIDE // 4, SIDE // 4), Image.Resampling.BILINEAR).save(file, "JPEG", quality=_QUALITY)
    file.seek(0)
    return JpegImageFile(file).convert("RGB").resize(picture.size, Image.Resampling.BILINEAR)


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
