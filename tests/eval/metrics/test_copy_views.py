"""Pictures are compared as a plain loop over places, scales and hands would compare them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from eval.metrics.copy_views import EDGES, LAID_OVER, SUBJECT, WHOLE, View, lay_over, match
from eval.thumbnails import SIDE


def noise(count: int, seed: int) -> Tensor:
    """Smooth random pictures with masks that leave all."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    pictures = interpolate(coarse, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return torch.cat([pictures, torch.ones(count, 1, SIDE, SIDE)], dim=1)


TRAIN = noise(3, 0)


def plain_loop(seen: Tensor, known: Tensor, counts: Tensor, slack: int, centred: bool) -> float:
    """The greatest correlation of two pictures (c, s, s) where the one may lie beside the other by `slack` cells."""
    a, b, mask = seen.double().numpy(), known.double().numpy(), counts.numpy() > 0.5
    side, best = a.shape[-1], -1.0
    for dy in range(-slack, slack + 1):
        for dx in range(-slack, slack + 1):
            here = [
                (y, x, y + dy, x + dx)
                for y in range(side)
                for x in range(side)
                if 0 <= y + dy < side and 0 <= x + dx < side and mask[y + dy, x + dx]
            ]
            at = np.array(here).T
            u, v = a[:, at[0], at[1]], b[:, at[2], at[3]]
            if centred:
                u, v = u - u.mean(1, keepdims=True), v - v.mean(1, keepdims=True)
            best = max(best, float((u * v).sum() / math.sqrt((u * u).sum() * (v * v).sum())))
    return best


@pytest.mark.parametrize("name", ["whole", "edges", "subject"])
def test_distances_equal_a_plain_loop(name: str) -> None:
    view = {"whole": WHOLE, "edges": EDGES, "subject": SUBJECT}[name]
    view = View(
        side=view.side, features=view.features, sizes=(view.side,), slack=1, centred=view.centred, region=view.region
    )
    train = TRAIN.clone()
    train[:, 3, :, : SIDE // 3] = 0.0
    sample = noise(1, 5)[:, :3]
    counts = view.region(train[:, 3:]) if view.region else torch.ones(3, 1, view.side, view.side)
    wanted = [
        max(
            plain_loop(
                view.features(sample)[0],
                view.features(each[None, :3].flip(3) if hand else each[None, :3])[0],
                count[0].flip(1) if hand else count[0],
                1,
                view.centred,
            )
            for hand in (False, True)
        )
        for each, count in zip(train, counts, strict=True)
    ]
    found = match(view, sample, train).apart
    assert found[0].tolist() == pytest.approx([math.sqrt(2 - 2 * value) for value in wanted], abs=1e-4)


def crop(picture: Tensor) -> Tensor:
    return interpolate(picture[..., 6:28, 4:26], size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def shrink(picture: Tensor) -> Tensor:
    whole = torch.full_like(picture, 0.5)
    whole[..., 2:28, 4:30] = interpolate(picture, size=(26, 26), mode="bilinear", antialias=True, align_corners=False)
    return whole


CHANGES = {
    "plain": (16, False, lambda picture: picture * 0.8 + 0.1),
    "mirrored": (16, True, lambda picture: picture.flip(3)),
    "moved": (16, False, lambda picture: picture.roll((4, -4), dims=(2, 3))),
    "cropped": (23, False, crop),
    "shrunk": (13, False, shrink),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_disguised_copy_is_near_its_original_and_lies_over_it(change: str) -> None:
    size, mirrored, disguise = CHANGES[change]
    sample = disguise(TRAIN[:1, :3])
    found = match(WHOLE, sample, TRAIN)
    assert found.apart[0, 0] < 0.4 < found.apart[0, 1:].min()
    assert (int(found.size[0, 0]), bool(found.mirrored[0, 0])) == (size, mirrored)
    laid = lay_over(WHOLE, TRAIN[0], size, mirrored, tuple(found.corner[0, 0].tolist()))
    here = laid[3] > 0.5
    away = (sample[0] - laid[:3])[:, here]
    assert (away - away.mean(1, keepdim=True)).abs().mean() < 0.06 and here.double().mean() > 0.5
    assert match(LAID_OVER, sample, laid[None]).apart[0, 0] < 0.5


def test_edges_are_the_same_whatever_the_colours() -> None:
    blocks = (torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(3)) > 0.5).float()
    shapes = interpolate(blocks, size=(SIDE, SIDE), mode="nearest")
    red_on_blue = torch.cat([shapes, 0 * shapes, 1 - shapes], dim=1)
    grey_on_black = 0.6 * shapes.expand(-1, 3, -1, -1)
    train = torch.cat([red_on_blue, torch.ones_like(shapes)], dim=1)
    apart = match(EDGES, grey_on_black, train).apart
    assert apart.diagonal().max() < 0.15 and apart[0, 1] > 0.6


def test_a_subject_is_found_on_another_ground_and_one_of_few_cells_is_not_compared() -> None:
    train = TRAIN.clone()
    train[:, 3] = 0.0
    train[:2, 3, 8:24, 8:24] = 1.0
    train[2, 3, 8:12, 8:12] = 1.0  # sixteen cells agree by chance
    pasted = torch.where(train[:, 3:] > 0.5, train[:, :3], noise(3, 9)[:, :3])
    apart = match(SUBJECT, pasted, train).apart
    assert apart[0, 0] < 0.35 and apart[1, 1] < 0.35 and apart[:, 2].tolist() == [2.0] * 3


def test_features_keep_the_size_of_their_view() -> None:
    for view in (WHOLE, EDGES, SUBJECT):
        assert view.features(TRAIN[:, :3]).shape[-2:] == (view.side, view.side)
