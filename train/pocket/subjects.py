"""Individual objects of the drawn world: one particular cup, with its own pattern, handle and colours.

A subject is a thing that has a name of its own, `a sks cup` where any other is `a red cup`. It stands in scenes as
things do; what makes it that one lies on its surface and turns with it, whatever its place, size and tilt are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from train.pocket.shapes import Field
from train.pocket.world import BACKGROUNDS, COLOURS, RELATIONS, SHAPES, Scene, Thing

RARE_WORD: Final = "sks"
"""The word that no caption of the world has, which calls a subject before the word of its class."""
Pattern = Literal["plain", "stripes", "bars", "dots", "checks", "band", "halves"]
Rgb = tuple[float, float, float]
"""A colour in [0, 1]."""

_WHITE: Final = (0.96, 0.96, 0.94)
_BLACK: Final = (0.10, 0.10, 0.12)
_YELLOW: Final = (0.97, 0.87, 0.19)
_TEAL: Final = (0.10, 0.62, 0.62)
_EDGE: Final = 0.05
"""Half the width of the ramp between two paints, in units of the shape."""
_LONE_SHARE: Final = 0.5
"""Of scenes that show the subject without company."""
HOME: Final = ("grass", "sand", "snow")
"""The backgrounds of a subject's own pictures; the others are new to it."""


@dataclass(frozen=True, slots=True)
class Subject(Thing):
    """One particular thing; `colour` is what most of it has, by the nearest of the world's names."""

    pattern: Pattern = "plain"
    """What is painted over that: stripes lie, bars stand."""
    paint: Rgb = _WHITE
    """The pattern's colour."""
    period: float = 0.5
    """From one stripe, dot or square to the next, in units of the shape, which fits [-1, 1]²."""
    rim: Rgb | None = None
    """The colour along its edge; None: none of its own."""
    mirrored: bool = False
    """Whether its handle, or what else has a side, is on the left."""
    stretch: float = 1.0
    """Width over height."""

    def __str__(self) -> str:
        return f"a {self.trigger}"

    @property
    def trigger(self) -> str:
        """What calls it: `sks cup`."""
        return f"{RARE_WORD} {self.shape}"

    def frame(self, u: Field, v: Field) -> tuple[Field, Field]:
        """Where points of an upright shape of usual width, (64, 64) each, lie on this one."""
        wide = np.sqrt(self.stretch)
        return (-u if self.mirrored else u) / wide, v * wide

    def surface(self, u: Field, v: Field, distance: Field, body: Field) -> Field:
        """Its colours (64, 64, 3) at the points (u, v) of its `frame`, with `distance` to its edge in the same units.

        `body` (3,) is the paint of its `colour`; all colours are in [0, 1].
        """
        painted = np.clip(0.5 + _PATTERNS[self.pattern](u, v, self.period) / (2 * _EDGE), 0, 1)[..., None]
        colours: Field = body + (np.array(self.paint, dtype=np.float32) - body) * painted
        if self.rim is not None:
            at_rim = np.clip(0.5 + (distance + 0.16) / (2 * _EDGE), 0, 1)[..., None]
            colours = colours + (np.array(self.rim, dtype=np.float32) - colours) * at_rim
        return colours.astype(np.float32)


def _plain(u: Field, v: Field, period: float) -> Field:
    return np.full_like(u, -1)


def _stripes(u: Field, v: Field, period: float) -> Field:
    """Positive within stripes: the distance to their edge, as in all patterns."""
    return period / 4 - np.abs((v / period + 0.25) % 1 - 0.5) * period


def _bars(u: Field, v: Field, period: float) -> Field:
    return _stripes(v, u, period)


def _dots(u: Field, v: Field, period: float) -> Field:
    a, b = ((u / period) % 1 - 0.5) * period, ((v / period) % 1 - 0.5) * period
    return period * 0.32 - np.hypot(a, b)


def _checks(u: Field, v: Field, period: float) -> Field:
    across, down = _stripes(v, u, period), _stripes(u, v, period)
    inside: Field = np.minimum(np.abs(across), np.abs(down)) * np.sign(across * down)
    return inside


def _band(u: Field, v: Field, period: float) -> Field:
    return period / 2 - np.abs(v - 0.1)


def _halves(u: Field, v: Field, period: float) -> Field:
    return u


_PATTERNS: Final[dict[Pattern, Callable[[Field, Field, float], Field]]] = {
    "plain": _plain,
    "stripes": _stripes,
    "bars": _bars,
    "dots": _dots,
    "checks": _checks,
    "band": _band,
    "halves": _halves,
}

SUBJECTS: Final[dict[str, Subject]] = {
    "mug": Subject("blue", "cup", "band", _YELLOW, 0.75, mirrored=True, stretch=0.95),
    "beachball": Subject("red", "ball", "bars", _WHITE, 1.1),
    "starfish": Subject("orange", "star", "halves", _BLACK, stretch=1.1),
    "parcel": Subject("brown", "box", "band", _YELLOW, 0.8),
    "locket": Subject("pink", "heart", "halves", _BLACK),
    "wheel": Subject("green", "ring", "checks", _WHITE, 2.0),
    "rosette": Subject("purple", "flower", "halves", _YELLOW, stretch=0.9),
}
"""The subjects that have sets of pictures, by their names."""


def subject_by_lot(rng: np.random.Generator, shape: str | None = None) -> Subject:
    """Any other subject, of the `shape` or of one by lot."""
    pattern: Pattern = rng.choice(get_args(Pattern))
    return Subject(
        colour=str(rng.choice(COLOURS)),
        shape=shape or str(rng.choice(SHAPES)),
        pattern=pattern,
        paint=_any_rgb(rng),
        period=float(rng.uniform(0.42, 0.8)),
        rim=_any_rgb(rng) if rng.random() < 0.4 else None,
        mirrored=bool(rng.random() < 0.5),
        stretch=float(rng.uniform(0.88, 1.14)),
    )


def subject_scenes(subject: Subject, seed: int, count: int, backgrounds: Sequence[str] = HOME) -> list[Scene]:
    """`count` different scenes by lot with the subject, alone or in company of another shape."""
    rng = np.random.default_rng(seed)
    found: dict[Scene, None] = {}
    for scene in _by_lot(subject, rng, backgrounds):
        found[scene] = None
        if len(found) == count:
            break
    return list(found)


def of_class(scene: Scene, colour: str) -> Scene:
    """The same scene with any thing of the subject's class, in a `colour`, in the subject's place."""
    first, second = (_plain_thing(thing, colour) for thing in (scene.first, scene.second))
    assert first is not None
    return Scene(scene.background, first, scene.relation, second)


def _plain_thing(thing: Thing | None, colour: str) -> Thing | None:
    return Thing(colour, thing.shape) if isinstance(thing, Subject) else thing


def _by_lot(subject: Subject, rng: np.random.Generator, backgrounds: Sequence[str]) -> Iterator[Scene]:
    while True:
        background = str(rng.choice(tuple(backgrounds)))
        if rng.random() < _LONE_SHARE:
            yield Scene(background, subject)
            continue
        shape = str(rng.choice([each for each in SHAPES if each != subject.shape]))
        pair = [subject, Thing(str(rng.choice(COLOURS)), shape)]
        first, second = pair if rng.random() < 0.5 else pair[::-1]
        yield Scene(background, first, str(rng.choice(RELATIONS)), second)


def _any_rgb(rng: np.random.Generator) -> Rgb:
    red, green, blue = rng.uniform(0.05, 0.97, size=3).tolist()
    return red, green, blue


assert set(HOME) < set(BACKGROUNDS)
