"""What is amiss with a set, picture by picture and as a whole, in words with numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from foundation.data.doctor.fit import Fit
from foundation.data.doctor.looks import Look
from foundation.data.near_duplicates import groups_of_copies

BLURRED: Final = 0.5
"""`Look.blur` from which on a picture counts as blurred. Of DreamBooth's 126 photographs, at 512 pixels, the most
blurred has .456; blurred with a Gaussian of 2 pixels 95 in 100 of them are above .543, with one of 3 pixels all are
above .565 (.645 and .752 in the middle)."""
_DARK, _BRIGHT = 0.12, 0.92
"""Mean brightness beyond which little is to be seen."""
_NARROW: Final = 2.0
"""Sides' ratio from which on a square of it shows less than half."""
_UNFIT: Final = 0.5
"""Share of the other captions that fit better from which on a caption does not fit: half would, if it were any."""
_FEWEST_FOR_FIT: Final = 4
"""Captions that differ, below which a share of them says nothing."""
_FEW: Final = 10
_WORN: Final = 0.8
"""Share of captions that say a word from which on it is in next to all of them."""
_ALIKE: Final = 0.5
"""Share of captions that are another's from which on they tell little."""
_LITTLE_VARIETY: Final = 0.25
"""Effective number of pictures over their count."""
_SMALL_WORDS: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "and",
        "or",
        "with",
        "to",
        "by",
        "for",
        "from",
        "is",
        "are",
        "it",
        "its",
        "this",
        "that",
        "as",
        "into",
        "over",
        "under",
        "near",
    ]
)


@dataclass(slots=True)
class Patient:
    """One picture, and what is amiss of it."""

    name: str
    caption: str
    look: Look
    better: float = float("nan")
    """`Fit.better` of it; NaN where no CLIP has looked."""
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "file": self.name,
            "caption": self.caption,
            "size": list(self.look.size),
            "blur": self.look.blur,
            "brightness": self.look.brightness,
            "better_captions": self.better,
            "problems": self.problems,
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A set."""

    patients: Sequence[Patient]
    """The pictures in their order."""
    advice: Sequence[str]
    """What to add or to take out, a line each."""
    variety: float | None
    """Effective number of pictures; None where no CLIP has looked."""

    @property
    def num_amiss(self) -> int:
        """Pictures of which something is."""
        return sum(bool(each.problems) for each in self.patients)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "pictures": [each.to_json() for each in self.patients],
            "amiss": self.num_amiss,
            "variety": self.variety,
            "advice": list(self.advice),
        }


def examine(patients: Sequence[Patient], side: int, trigger: str, fit: Fit | None) -> Diagnosis:
    """Say what is amiss with pictures that will be trained at `side`, and with their captions."""
    distinct = {each.caption for each in patients if each.caption}
    if fit is not None and len(distinct) >= _FEWEST_FOR_FIT:
        for each, share in zip(patients, fit.better, strict=True):
            each.better = float(share)
    groups = groups_of_copies([each.look.thumbnail for each in patients], [each.name for each in patients])
    for number, each in enumerate(patients):
        first = groups[number]
        each.problems += _of_pixels(each.look, side)
        each.problems += [f"a copy of {patients[first].name}"] if first != number else []
        each.problems += _of_caption(each, trigger)
    return Diagnosis(patients, list(_advice(patients, groups, side, trigger, fit)), fit.variety if fit else None)


def _of_pixels(look: Look, side: int) -> Iterator[str]:
    if look.blur >= BLURRED:
        yield f"blurred ({look.blur:.2f}; sharp photographs have less than {BLURRED:g})"
    if min(look.size) < side:
        yield f"small ({look.size[0]}×{look.size[1]}; it is enlarged to {side})"
    if max(look.size) >= _NARROW * min(look.size):
        yield f"narrow ({look.size[0]}×{look.size[1]}; half of it or more is cut off, without data.buckets=true)"
    if look.brightness <= _DARK:
        yield f"dark (mean brightness {look.brightness:.2f})"
    if look.brightness >= _BRIGHT:
        yield f"bright (mean brightness {look.brightness:.2f})"


def _of_caption(patient: Patient, trigger: str) -> Iterator[str]:
    if not patient.caption:
        yield "no caption"
        return
    if trigger and trigger.lower() not in patient.caption.lower():
        yield f"its caption lacks {trigger!r}"
    if patient.better >= _UNFIT:
        yield f"its caption does not fit: {patient.better:.0%} of the others fit better"


def _advice(
    patients: Sequence[Patient], groups: Sequence[int], side: int, trigger: str, fit: Fit | None
) -> Iterator[str]:
    count, copies = len(patients), sum(first != number for number, first in enumerate(groups))
    if count - copies < _FEW:
        apart = f", copies left out {count - copies}" if copies else ""
        yield f"there are {count} pictures{apart}: add more, up to {_FEW} or 20 that differ"
    if copies:
        yield f"{copies} of {count} are copies of others: they count twice; take them out, or mean it"
    small = sum(min(each.look.size) < side for each in patients)
    if small * 2 > count:
        yield f"{small} of {count} are smaller than {side}: train at a smaller side, or look for larger originals"
    blurred = sum(each.look.blur >= BLURRED for each in patients)
    if blurred * 5 > count:
        yield f"{blurred} of {count} are blurred, and so will be what is learned: take sharper ones, or mean it"
    yield from _on_captions([each.caption for each in patients if each.caption], trigger)
    if fit is not None and count >= _FEW and fit.variety < _LITTLE_VARIETY * count:
        yield (
            f"{count} pictures are as varied as {fit.variety:.1f} that have nothing in common: add other surroundings, "
            "distances, sides and light, or what stays the same is learned with the rest"
        )
    if len({each.look.size[0] > each.look.size[1] for each in patients}) == 1 and count >= _FEW:
        wide = patients[0].look.size[0] > patients[0].look.size[1]
        if all(each.look.size[0] != each.look.size[1] for each in patients):
            yield f"all are {'wide' if wide else 'high'}: add some of the other shape, if you will ask for it"


def _on_captions(captions: Sequence[str], trigger: str) -> Iterator[str]:
    if len(captions) < 2:
        return
    counts = Counter(captions)
    repeated = sum(number for number in counts.values() if number > 1)
    if repeated > _ALIKE * len(captions):
        most, number = counts.most_common(1)[0]
        yield f"{repeated} of {len(captions)} captions are another's too ({number} times {most!r}): say what differs"
    own = set(_words(trigger))
    worn = Counter(word for caption in captions for word in set(_words(caption)) - own - _SMALL_WORDS)
    often = [word for word, number in worn.most_common() if number >= _WORN * len(captions)]
    if often and len(captions) >= _FEW:
        words = ", ".join(often[:5])
        yield (
            f"next to all captions say {words}: what is meant to be learned should be in the trigger; of the rest, add "
            "pictures without it"
        )


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())
