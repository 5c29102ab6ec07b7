"""How alike two pictures are when one may be a disguised copy: mirrored, moved, cropped, scaled or recoloured.

Each `View` compares what it sees of pictures, cell by cell, by masked normalised cross-correlation: over every place
where the smaller lies within the larger, each scale and both hands, the greatest correlation counts. Source: Padfield
2012, Masked object registration in the Fourier domain, IEEE Trans. Image Process. 21(5), eq. 8; here as convolutions,
which are faster at this size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d, pad

from eval.thumbnails import SIDE

_LITTLE: Final = 1e-6
_SMALLEST_PART: Final = 32
"""Cells of a `SIDE`² thumbnail; what shows a subject on fewer is not compared, since a few cells agree by chance."""
_EDGE_FLOOR: Final = 1e-3
"""Squared contrast of neighbouring cells, of 1, below which an edge counts for little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One way to compare pictures of `side`² cells."""

    side: int
    features: Callable[[Tensor], Tensor]
    """RGB (N, 3, s, s), s = cells · SIDE / side, to features (N, c, cells, cells)."""
    sizes: tuple[int, ...]
    """Sides in cells at which a training picture is looked for: beyond `side` for crops, below for shrunk ones."""
    slack: int
    """Cells that a picture of the same size may have moved."""
    centred: bool
    """Whether the mean of each channel is taken out, so that a cast or another exposure changes nothing."""
    region: Callable[[Tensor], Tensor] | None = None
    """Masks (n, 1, SIDE, SIDE) to what counts of each training picture, 0 or 1; None: all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Where N pictures are most like n training pictures."""

    apart: Tensor
    """(N, n) √(2 − 2·correlation): 0 for a copy, √2 for what has nothing in common."""
    size: Tensor
    """(N, n) sides of the training pictures as they lie there, in cells of the view."""
    mirrored: Tensor
    """(N, n) bool."""
    corner: Tensor
    """(N, n, 2) top and left of the training pictures in the others, in cells."""


def match(view: View, samples: Tensor, train: Tensor) -> Match:
    """Find where `samples` (N, 3, SIDE, SIDE) are most like training pictures (n, 4, SIDE, SIDE), whose fourth channel
    is the mask, 1 where the picture counts."""
    seen = view.features(samples)
    best = torch.full((len(samples), len(train)), -1.0)
    where = torch.tensor([view.side, 0, 0, 0]).expand(*best.shape, 4)  # size, mirrored, top, left
    for size in view.sizes:
        border = _border(view, size)
        width = 2 * border + size - view.side + 1
        scaled = _resize(train[:, :3], size * SIDE // view.side)
        for hand in (0, 1):
            turned, masks = (each.flip(3) if hand else each for each in (scaled, train[:, 3:]))
            value, place = _correlations(view, seen, view.features(turned), _counts_of(view, masks, size)).max(2)
            top, left = border - place // width, border - place % width
            found = torch.stack([torch.full_like(place, size), torch.full_like(place, hand), top, left], dim=2)
            where = torch.where((value > best)[..., None], found, where)
            best = torch.maximum(best, value)
    apart = (2 - 2 * best.clamp(-1, 1)).sqrt()
    return Match(apart=apart, size=where[..., 0], mirrored=where[..., 1] > 0, corner=where[..., 2:])


def lay_over(view: View, train: Tensor, size: int, mirrored: bool, corner: tuple[int, int]) -> Tensor:
    """Return a training picture (4, SIDE, SIDE) as it lies in another by a `Match`; the mask is 0 where it does not."""
    cell = SIDE // view.side
    turned = _resize(train.flip(2)[None] if mirrored else train[None], size * cell)[0]
    top, left = (each * cell for each in corner)
    canvas, side = torch.zeros_like(train), turned.shape[-1]
    rows, columns = (slice(max(0, at), min(SIDE, at + side)) for at in (top, left))
    canvas[:, rows, columns] = turned[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return canvas


def _border(view: View, size: int) -> int:
    """Cells around a training picture of this size, so that the other lies within."""
    return view.slack if size == view.side else max(0, view.side - size)


def _resize(pictures: Tensor, side: int) -> Tensor:
    if pictures.shape[-1] == side:
        return pictures
    return interpolate(pictures, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def _counts_of(view: View, masks: Tensor, size: int) -> Tensor:
    """(n or 1, 1, size, size): what counts of training pictures of this size."""
    return torch.ones(1, 1, size, size) if view.region is None else _resize(view.region(masks), size)


def _correlations(view: View, seen: Tensor, known: Tensor, counts: Tensor) -> Tensor:
    """(N, n, places): `seen` (N, c, side, side) with `known` (n, c, size, size) at every place, over what `counts`."""
    side, border = view.side, _border(view, known.shape[-1])
    known, squares, counts = (
        pad(each, (border,) * 4) for each in (known * counts, (known.square() * counts).sum(1, keepdim=True), counts)
    )
    one = torch.ones(1, 1, side, side)
    products = conv2d(known, seen).flatten(2)  # (n, N, places)
    of_known = conv2d(squares, one).flatten(2)  # (n, 1, places)
    of_seen = conv2d(counts, seen.square().sum(1, keepdim=True)).flatten(2)  # (n or 1, N, places)
    area = conv2d(counts, one).flatten(2)  # (n or 1, 1, places)
    if view.centred:
        for channel in range(seen.shape[1]):
            sums = conv2d(known[:, channel : channel + 1], one).flatten(2)
            others = conv2d(counts, seen[:, channel : channel + 1]).flatten(2)
            products = products - sums * others / area.clamp(min=1)
            of_known = of_known - sums.square() / area.clamp(min=1)
            of_seen = of_seen - others.square() / area.clamp(min=1)
    values = products / (of_known.clamp(min=_LITTLE) * of_seen.clamp(min=_LITTLE)).sqrt()
    least = _SMALLEST_PART * (side / SIDE) ** 2
    return torch.where(area >= least, values, -torch.ones(())).transpose(0, 1)


def _blur(pictures: Tensor, width: int) -> Tensor:
    return avg_pool2d(pictures, width, stride=1, padding=width // 2, count_include_pad=False)


def _soft_colours(pictures: Tensor) -> Tensor:
    """Colours of 2×2 pixels each, blurred, so that half a cell's move costs little."""
    return avg_pool2d(_blur(pictures, 5), 2)


def _sharp_colours(pictures: Tensor) -> Tensor:
    return _blur(pictures, 3)


def _edges(pictures: Tensor) -> Tensor:
    """Edges by strength and direction, whatever the colours on their sides: (N, 2, s, s).

    The gradient's angle is doubled, so that light on dark and dark on light are one. Source: Bigün & Granlund 1987,
    Optimal orientation detection of linear symmetry.
    """
    soft = _blur(pictures, 3)
    x, y = _slope(soft, 3), _slope(soft, 2)
    doubled = torch.stack([(x * x - y * y).sum(1), (2 * x * y).sum(1)], dim=1)
    strength = (x * x + y * y).sum(1, keepdim=True) + _EDGE_FLOOR
    return _blur(doubled / strength.sqrt(), 3)


def _slope(pictures: Tensor, dim: int) -> Tensor:
    """Central differences along a dimension, one-sided ones at the borders as if the picture went on."""
    length = pictures.shape[dim]
    first, last = pictures.narrow(dim, 0, 1), pictures.narrow(dim, length - 1, 1)
    longer = torch.cat([first, pictures, last], dim)
    return longer.narrow(dim, 2, length) - longer.narrow(dim, 0, length)


def _subject(masks: Tensor) -> Tensor:
    """What the masks leave, exactly."""
    return (masks > 0.5).float()


def _inside(masks: Tensor) -> Tensor:
    """What the masks leave, less two cells at its border, where edges are the border's own."""
    return (-max_pool2d(-masks, 5, 1, 2) > 0.5).float()


def _outline(masks: Tensor) -> Tensor:
    """What the masks leave and a cell around it, where its outline shows; a disc in the middle where they leave all."""
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    disc = (line[:, None].square() + line.square() < 0.7**2).float()
    whole = (masks > 0.5).flatten(1).all(1)[:, None, None, None]
    return torch.where(whole, disc, (max_pool2d(masks, 3, 1, 1) > 0.3).float())


WHOLE: Final = View(side=SIDE // 2, features=_soft_colours, sizes=(11, 13, 14, 16, 18, 20, 23), slack=3, centred=True)
"""All of a picture, in its colours."""
EDGES: Final = View(side=SIDE, features=_edges, sizes=(SIDE,), slack=2, centred=False, region=_outline)
"""Its edges, in the middle or around its subject: what is left of a copy in other colours."""
LAID_OVER: Final = View(side=SIDE, features=_edges, sizes=(SIDE,), slack=2, centred=False, region=_inside)
"""The edges of a picture that was laid over another (`lay_over`): the same scene drawn anew has others."""
SUBJECT: Final = View(side=SIDE, features=_sharp_colours, sizes=(SIDE,), slack=2, centred=True, region=_subject)
"""The masked part alone: what is left of a copy on another ground."""


def views_of(train: Tensor) -> Iterator[View]:
    """The views that training pictures (n, 4, SIDE, SIDE) can be compared in."""
    yield WHOLE
    yield EDGES
    if bool((train[:, 3] < 0.5).any()):
        yield SUBJECT
