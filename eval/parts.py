"""How like a subject pictures are: by its parts where masks show them, by whole pictures elsewhere.

Under a mask the places of a real picture are looked for in others, wherever the subject stands there. Without one the
eye's features of both are compared: which proof favours which is in docs/judge.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from eval.cutouts import SubjectPictures
from eval.feature_sets import SubjectFeatures
from eval.features import FeatureExtractor
from eval.patches import PatchExtractor, found_again


def subject_features(
    eye: FeatureExtractor,
    patches: PatchExtractor,
    subject: SubjectPictures,
    train: Sequence[Image.Image],
    base_samples: Sequence[Image.Image],
    num_seeds: int,
) -> SubjectFeatures:
    """Look at a subject's pictures once, with an `eye` for pictures and one for their `patches`.

    `train` are the pictures that are trained on, near-duplicates taken out, `base_samples` P·S pictures that the base
    draws for the class word, prompt by prompt with S = `num_seeds`.
    """
    covers = [None if mask is None else patches.cover(mask) for mask in subject.masks]
    with_parts = [number for number, cover in enumerate(covers) if cover is not None and cover.sum() > 0]
    whole = [number for number in range(len(covers)) if number not in with_parts]
    weights = [cover / cover.sum() for cover in (covers[number] for number in with_parts) if cover is not None]
    real = SubjectFeatures(
        parts=patches.images([subject.held_out[number] for number in with_parts]),
        weights=torch.stack(weights) if weights else torch.zeros(0, 0, dtype=torch.float64),
        whole=eye.images([subject.held_out[number] for number in whole]),
        base_alike=torch.zeros(0, num_seeds),
        ceiling=torch.zeros(()),
        surroundings=eye.images(subject.surroundings),
    )
    places = [len(train) + number for number in (*with_parts, *whole)]
    of_base = alike(eye, patches, base_samples, real)
    return replace(
        real,
        base_alike=of_base.reshape(len(of_base) // num_seeds, num_seeds),
        ceiling=_ceiling(_matches(eye, patches, [*train, *subject.held_out], real), places),
    )


def alike(
    eye: FeatureExtractor, patches: PatchExtractor, images: Sequence[Image.Image], subject: SubjectFeatures
) -> Tensor:
    """Return how like the subject pictures are, (N,): the mean of their match with each held-out picture, cosines.

    NaN without a held-out picture.
    """
    return _matches(eye, patches, images, subject).mean(1)


def _matches(
    eye: FeatureExtractor, patches: PatchExtractor, images: Sequence[Image.Image], subject: SubjectFeatures
) -> Tensor:
    """(N, m): with pictures that have parts first, the best match of each part, by its weight.

    Neither way of looking is gone where no picture is compared so.
    """
    found = [torch.zeros(len(images), 0, dtype=torch.float64)]
    if len(subject.parts):
        found.append((found_again(patches.images(images), subject.parts) * subject.weights).sum(-1))
    if len(subject.whole):
        found.append(eye.images(images).double() @ subject.whole.double().T)
    return torch.cat(found, dim=1)


def _ceiling(matches: Tensor, places: Sequence[int]) -> Tensor:
    """The mean of real pictures' `matches` (n, m) with others; column j is of row `places`[j]. NaN without another."""
    others = matches.shape[0] - 1
    if others < 1 or not places:
        return torch.tensor(math.nan, dtype=torch.float64)
    own = matches[torch.tensor(places), torch.arange(len(places))]
    return ((matches.sum(0) - own) / others).mean()
