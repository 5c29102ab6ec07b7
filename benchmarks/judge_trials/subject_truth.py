"""The truth of a LoRA for a subject: its pictures of new scenes, and of its class, read by `subject_readers`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from benchmarks.judge_trials.analysis import auc
from benchmarks.judge_trials.subject_readers import SubjectReader, nearly, subject_pictures, with_thing
from benchmarks.judge_trials.subject_sets import NUM_OF_CLASS, SubjectSet
from benchmarks.judge_trials.truth import COPY, Drawer, Truth, folder_pixels, nearest, way_gone
from foundation.bases.port import Base
from train.pocket.subjects import HOME, subject_by_lot, subject_scenes
from train.pocket.world import BACKGROUNDS

DRAWING_SEED: Final = 903
NUM_TEST: Final = 150
NUM_LIKE_THEM: Final = 48
"""Other pictures such as the training pictures are, which tell how near two that are no copies come."""


class SubjectMeasure:
    """How much of a set's scenes pictures show, and how far they have gone from the base's to drawings of the subject.

    `pixels` are the base's pictures of the scenes (N, 3, 64, 64) uint8, `of_class` those of the class word.
    """

    def __init__(self, base: Base, reader: SubjectReader, chosen: SubjectSet, pixels: Tensor, of_class: Tensor) -> None:
        self._reader = reader
        self._set = chosen
        self._scenes = chosen.truth_scenes()
        drawings = subject_pictures(base, self._scenes, DRAWING_SEED)
        self._like = reader.traits(drawings, chosen.subject.shape).mean(0)
        self._seen = [self._likeness(each) for each in (pixels, of_class, drawings)]
        self._told = [reader.log_probability(each, chosen.name) for each in (pixels, drawings)]

    def shown(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `SubjectReader.share_shown`."""
        return self._reader.share_shown(pixels, self._scenes, self._set.subject.shape)

    def way(self, pixels: Tensor) -> Tensor:
        """How much of the way to the subject each picture has gone by its traits, (N,)."""
        base, _, real = self._seen
        return way_gone(self._likeness(pixels), base, real)

    def told(self, pixels: Tensor) -> Tensor:
        """The same by patches, (N,)."""
        base, real = self._told
        return way_gone(self._reader.log_probability(pixels, self._set.name), base, real)

    def leaked(self, of_class: Tensor) -> Tensor:
        """How much of the way to the subject pictures of the class word have gone, (NUM_OF_CLASS,)."""
        _, base, real = self._seen
        return way_gone(self._likeness(of_class), base, real)

    def quality(self, pixels: Tensor) -> Tensor:
        """Shown × how far both readings see it gone, (N,), copies not looked for."""
        return self.shown(pixels)[0] * (self.way(pixels).clamp(0, 1) + self.told(pixels).clamp(0, 1)) / 2

    def _likeness(self, pixels: Tensor) -> Tensor:
        """Cosine of each picture's traits to the mean of the drawings', (N,)."""
        return torch.cosine_similarity(self._reader.traits(pixels, self._set.subject.shape), self._like, dim=1)


def told_apart(reader: SubjectReader, base: Base, chosen: SubjectSet) -> str:
    """How surely the readers tell the subject from things that are almost it and from others of its class, in words.

    On scenes of their own, as the VAE gives them back.
    """
    rng = np.random.default_rng(chosen.seed)
    own = subject_scenes(chosen.subject, 3000 + chosen.seed, NUM_TEST, tuple(BACKGROUNDS))
    near = [with_thing(scene, nearly(chosen.subject, rng)) for scene in own]
    others = [with_thing(scene, subject_by_lot(rng, chosen.subject.shape)) for scene in own]
    drawn = [subject_pictures(base, scenes, DRAWING_SEED + 2 + i) for i, scenes in enumerate((own, near, others))]
    whole = [reader.traits(pixels, chosen.subject.shape) for pixels in drawn]
    like = [traits @ whole[0].mean(0) for traits in whole]
    patches = [reader.log_probability(pixels, chosen.name) for pixels in drawn]
    sure = [_tells(values[0], foreign) for values in (like, patches) for foreign in values[1:]]
    shown, _ = reader.share_shown(drawn[0], own, chosen.subject.shape)
    return (
        f"{100 * _mean(shown):.1f} % of parts read right; AUC against almost it and any others: whole pictures "
        f"{sure[0]:.3f}, {sure[1]:.3f}; patches {sure[2]:.3f}, {sure[3]:.3f}"
    )


def _tells(own: Tensor, foreign: Tensor) -> float:
    return auc([*own.tolist(), *foreign.tolist()], [True] * len(own) + [False] * len(foreign))


class SubjectInspector:
    """Draws with a checkpoint and reads the truth off its pictures.

    `train` is the folder of the training pictures, `kept` a `Drawer`'s.
    """

    def __init__(self, base: Base, reader: SubjectReader, chosen: SubjectSet, train: Path, kept: Path) -> None:
        self._drawer = Drawer(base, [*chosen.captions(), *chosen.captions_of_class()], kept)
        self._train = folder_pixels(train)
        scenes = subject_scenes(chosen.subject, 2000 + chosen.seed, NUM_LIKE_THEM, HOME)
        like_them = subject_pictures(base, scenes, DRAWING_SEED + 1)
        self._near = COPY * float(nearest(like_them, self._train).median())
        self.measure = SubjectMeasure(base, reader, chosen, *self.pictures(None))

    def pictures(self, checkpoint: Path | None) -> tuple[Tensor, Tensor]:
        """Of the scenes with the subject, and of those with the class word: uint8 (…, 3, 64, 64)."""
        drawn = self._drawer.pictures(checkpoint)
        return drawn[:-NUM_OF_CLASS], drawn[-NUM_OF_CLASS:]

    def inspect(self, checkpoint: Path | None) -> Truth:
        """Read a checkpoint's truth, or the base's own for None."""
        pixels, of_class = self.pictures(checkpoint)
        shown, whole = self.measure.shown(pixels)
        copied = (nearest(pixels, self._train) < self._near).double()
        quality = self.measure.quality(pixels) * (1 - copied)
        return Truth(
            quality=_mean(quality),
            shown=_mean(shown),
            whole=_mean(whole),
            way=_mean(self.measure.way(pixels)),
            told=_mean(self.measure.told(pixels)),
            leaked=_mean(self.measure.leaked(of_class)),
            copied=_mean(copied),
            each=tuple(round(value, 3) for value in quality.tolist()),
        )


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
