"""Read whether a picture shows one particular thing, and what else it shows. The truth, and no part of the judge.

Two convolutional networks of different sight, trained to tell each drawn subject from what is almost it and from
others: one sees whole pictures and is told which class of thing to look at; the other is a `PatchNetwork`, which knows
paint and pattern and no shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judge_trials.networks import (
    SEED,
    Lesson,
    PatchNetwork,
    convolutions,
    damage,
    load_network,
    through_vae,
    vary,
)
from foundation.bases.port import Base
from train.drawn import SUBJECT_STYLE
from train.pocket.loop import draw_all, to_unit
from train.pocket.subjects import SUBJECTS, Subject, of_class, subject_by_lot, subject_scenes
from train.pocket.world import BACKGROUNDS, COLOURS, RELATIONS, SHAPES, Scene, Thing

STEPS: Final = 1600
PATCH_STEPS: Final = 1200
TRAITS: Final = 64
"""Numbers that tell one thing of a class from another."""
_NEAR, _BY_LOT, _PLAIN = 24, 32, 8
"""Of each class: things that are the subject but for one or two traits, any others, and things of one colour."""
_SCENES: Final = 8
"""Each is drawn in."""
_TOGETHER, _EACH = 14, 3
"""Things of one class in a batch, and pictures of each."""
_ELSEWHERE: Final = 8
"""Pictures in a batch that show nothing of the class."""
_SHARPNESS: Final = 12.0
"""Of the choice between things, times the cosine of their traits (InfoNCE's 1/τ)."""
_SIZES: Final = (len(BACKGROUNDS), 2, len(SHAPES) + 1, len(COLOURS) + 1, 2 * len(RELATIONS) + 1)
"""Classes of each of `_parts`."""
_NAMES: Final = tuple(SUBJECTS)


class _Whole(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] and their class (B,) to logits of each part and traits of length 1."""

    def __init__(self) -> None:
        super().__init__()
        layers = ((3 + len(SHAPES), 32, 5, 2), (32, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 2), (128, 128, 3, 1))
        # A batch is of one class, so statistics over a batch would take out what asks for it: norms are by picture.
        blocks = convolutions(layers, lambda width: nn.GroupNorm(8, width))
        self.body = nn.Sequential(*blocks, nn.Flatten(), nn.Dropout(0.1), nn.Linear(128 * 64, 256), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(256, size) for size in _SIZES)
        self.traits = nn.Linear(256, TRAITS)

    def forward(self, pixels: Tensor, shapes: Tensor) -> tuple[list[Tensor], Tensor]:
        asked = F.one_hot(shapes, len(SHAPES)).float()[:, :, None, None].expand(-1, -1, *pixels.shape[2:])
        seen = self.body(torch.cat([pixels, asked], dim=1))
        return [head(seen) for head in self.heads], F.normalize(self.traits(seen), dim=1)


class SubjectReader:
    """The trained networks. Pictures are (N, 3, 64, 64) uint8."""

    def __init__(self, whole: nn.Module, patches: nn.Module) -> None:
        self._whole = whole.eval()
        self._patches = patches.eval()

    @torch.no_grad()
    def share_shown(self, pixels: Tensor, wanted: Sequence[Scene], shape: str) -> tuple[Tensor, Tensor]:
        """The share of the wanted scene's parts that is there (N,), and if all are.

        The parts are the background, the thing of the class `shape`, its company's shape and colour, how they stand.
        """
        logits, _ = self._whole(to_unit(pixels), _numbers(shape, len(pixels)))
        known = torch.tensor([_parts(scene, shape) for scene in wanted])  # (N, 5)
        right = torch.stack([each.argmax(1) for each in logits], dim=1) == known
        return right.double().mean(1), right.all(1)

    @torch.no_grad()
    def traits(self, pixels: Tensor, shape: str) -> Tensor:
        """What the thing of the class `shape` looks like in each picture: (N, TRAITS), of length 1."""
        traits: Tensor = self._whole(to_unit(pixels), _numbers(shape, len(pixels)))[1]
        return traits.double()

    @torch.no_grad()
    def log_probability(self, pixels: Tensor, name: str) -> Tensor:
        """The logarithm of how probable the patches of each picture make the subject `name`: (N,)."""
        logs: Tensor = self._patches(to_unit(pixels))[:, _NAMES.index(name)]
        return logs.double()


def load_subject_reader(base: Base, folder: Path) -> SubjectReader:
    """Those in `folder`, trained first (minutes) where they are not there."""
    whole, patches = _Whole(), PatchNetwork(len(_NAMES) + 1)
    pool = cache(lambda: _draw_pool(base))
    load_network(whole, folder / "subjects.safetensors", Lesson(STEPS, lambda: _things(whole, pool())))
    load_network(patches, folder / "patches.safetensors", Lesson(PATCH_STEPS, lambda: _paints(patches, pool())))
    return SubjectReader(whole, patches)


@dataclass(frozen=True, slots=True)
class _Pool:
    """Pictures (N, 3, 64, 64) uint8 as the VAE gives them back, (things, _SCENES) of each of the classes in turn."""

    pixels: Tensor
    scenes: Sequence[Scene]
    names: Tensor
    """Which of the named subjects each picture shows, (N,); their count for none."""


def _draw_pool(base: Base) -> _Pool:
    rng = np.random.default_rng(SEED)
    scenes: list[Scene] = []
    names: list[int] = []
    for number, subject in enumerate(SUBJECTS.values()):
        for place, thing in enumerate(_things_like(subject, rng)):
            own = subject_scenes(subject, int(rng.integers(2**31)), _SCENES, tuple(BACKGROUNDS))
            scenes += [with_thing(scene, thing) for scene in own]
            names += [len(_NAMES) if place else number] * _SCENES
    return _Pool(subject_pictures(base, scenes, SEED), scenes, torch.tensor(names))


def subject_pictures(base: Base, scenes: Sequence[Scene], seed: int) -> Tensor:
    """The scenes as subjects are drawn, as the base's VAE gives them back: (N, 3, 64, 64) uint8."""
    return through_vae(base, draw_all(scenes, [SUBJECT_STYLE] * len(scenes), seed).pixels)


def _things_like(subject: Subject, rng: np.random.Generator) -> list[Thing]:
    """The subject, then what a network should tell from it."""
    near = [nearly(subject, rng) for _ in range(_NEAR)]
    others = [subject_by_lot(rng, subject.shape) for _ in range(_BY_LOT)]
    return [subject, *near, *others, *[Thing(colour, subject.shape) for colour in COLOURS[:_PLAIN]]]


def nearly(subject: Subject, rng: np.random.Generator) -> Subject:
    """The subject but for one of its traits, or two."""
    other = subject_by_lot(rng, subject.shape)
    while other.colour == subject.colour or other.pattern == subject.pattern:
        other = subject_by_lot(rng, subject.shape)
    changes: list[dict[str, object]] = [
        {"colour": other.colour},
        {"paint": other.paint} if subject.pattern != "plain" else {"pattern": other.pattern},
        {"pattern": other.pattern, "period": other.period},
        {"rim": other.paint if subject.rim is None else None},
    ]
    count = 1 + int(rng.random() < 0.3)
    chosen: dict[str, object] = {}
    for number in rng.choice(len(changes), count, replace=False):
        chosen |= changes[number]
    return replace(subject, **chosen)  # type: ignore[arg-type]


def with_thing(scene: Scene, thing: Thing) -> Scene:
    """The scene with another thing in its subject's place."""
    if not isinstance(thing, Subject):
        return of_class(scene, thing.colour)
    first, second = (thing if isinstance(each, Subject) else each for each in (scene.first, scene.second))
    assert first is not None
    return Scene(scene.background, first, scene.relation, second)


def _parts(scene: Scene, shape: str) -> tuple[int, ...]:
    """Class numbers of background, thing of the class there or not, its company's shape and colour, how they stand."""
    things = [thing for thing in (scene.first, scene.second) if thing]
    place = next((i for i, thing in enumerate(things) if thing.shape == shape), None)
    company = things[1 - place] if place is not None and len(things) == 2 else None
    stand = len(RELATIONS) * (place or 0) + RELATIONS.index(scene.relation) if company and scene.relation else None
    return (
        tuple(BACKGROUNDS).index(scene.background),
        int(place is not None),
        SHAPES.index(company.shape) if company else len(SHAPES),
        COLOURS.index(company.colour) if company else len(COLOURS),
        2 * len(RELATIONS) if stand is None else stand,
    )


def _things(network: nn.Module, pool: _Pool) -> Callable[[torch.Generator], Tensor]:
    """The loss of telling things of a class from one another, and of reading the rest of the picture."""
    per_class = len(pool.scenes) // len(SUBJECTS)
    kinds = per_class // _SCENES
    shows = [{thing.shape for thing in (scene.first, scene.second) if thing} for scene in pool.scenes]
    classes = [subject.shape for subject in SUBJECTS.values()]

    def batch(generator: torch.Generator) -> Tensor:
        number = int(torch.randint(len(classes), (), generator=generator))
        shape = classes[number]
        chosen = torch.randperm(kinds, generator=generator)[:_TOGETHER]
        places = torch.stack([torch.randperm(_SCENES, generator=generator)[:_EACH] for _ in range(_TOGETHER)])
        rows = (number * per_class + chosen[:, None] * _SCENES + places).flatten().tolist()
        count = len(rows)
        while len(rows) < count + _ELSEWHERE:
            row = int(torch.randint(len(pool.scenes), (), generator=generator))
            if shape not in shows[row]:
                rows.append(row)
        logits, traits = network(vary(to_unit(pool.pixels[rows]), generator), _numbers(shape, len(rows)))
        wanted = torch.tensor([_parts(pool.scenes[row], shape) for row in rows])
        read = sum(F.cross_entropy(each, wanted[:, i]) for i, each in enumerate(logits))
        loss: Tensor = read + _apart(traits[:count], torch.arange(_TOGETHER).repeat_interleave(_EACH))
        return loss

    return batch


def _apart(traits: Tensor, things: Tensor) -> Tensor:
    """InfoNCE over a batch: each picture's traits (B, TRAITS) should be nearest to those of the same thing (B,).

    Source: Khosla et al. 2020, arXiv:2004.11362, equation 2.
    """
    alike = _SHARPNESS * traits @ traits.T
    own = torch.eye(len(things), dtype=torch.bool)
    logs = alike.masked_fill(own, -torch.inf).log_softmax(1)
    same = (things[:, None] == things) & ~own
    return -logs[same].mean()


def _paints(network: nn.Module, pool: _Pool) -> Callable[[torch.Generator], Tensor]:
    """The loss of naming the subject in a picture, of which half show one; damaged pictures show none."""
    none = len(_NAMES)
    own, others = (pool.names < none).nonzero()[:, 0], (pool.names == none).nonzero()[:, 0]

    def batch(generator: torch.Generator) -> Tensor:
        rows = torch.cat([some[torch.randint(len(some), (24,), generator=generator)] for some in (own, others)])
        broken = own[torch.randint(len(own), (8,), generator=generator)]
        shown = torch.cat(
            [vary(to_unit(pool.pixels[rows]), generator), damage(to_unit(pool.pixels[broken]), generator)]
        )
        return F.nll_loss(network(shown), torch.cat([pool.names[rows], torch.full((len(broken),), none)]))

    return batch


def _numbers(shape: str, count: int) -> Tensor:
    return torch.full((count,), SHAPES.index(shape))
