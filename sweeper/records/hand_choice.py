"""A checkpoint that a person chose to be a study's best."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class HandChoice:
    """What a person chose."""

    number: int
    """The training's."""
    step: int
    strength: float
    when: str
    """The day, as it goes on the card."""
    votes: int = 0
    """Between pairs of pictures, that led to it; 0 where it was named outright."""
