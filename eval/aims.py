"""What a LoRA is trained for, by the kind of its pictures, the metric that says how far it came, and what is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from foundation.data.spec import Kind


@dataclass(frozen=True, slots=True)
class Aim:
    """One kind's."""

    metric: str
    """Its name in `eval.metrics.registry`: 0 is the base, 1 as real pictures have it."""
    thing: str
    """What is learned, in words."""


AIMS: Final[Mapping[Kind, Aim]] = {
    "style": Aim("style", "the style"),
    "subject": Aim("likeness", "the subject"),
    "face": Aim("identity", "the person"),
}
KEPT_WHOLE: Final = 0.8
"""This share of the expected prompt match and more counts as all: a CLIP's reading of what is learned varies so."""
MAX_RATIO: Final = 2.0
"""A validation loss above so many times the base's counts as this."""
_BY_RANK: Final[tuple[Kind, ...]] = ("face", "subject")


def aim_of(measured: Collection[str]) -> Aim:
    """Return what was trained for where these metrics were taken; a subject's are taken of a face, too."""
    return next((AIMS[kind] for kind in _BY_RANK if AIMS[kind].metric in measured), AIMS["style"])
