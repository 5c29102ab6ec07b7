"""How a person weighs the parts of the score, beside the judge: the `eval.taste` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

_Weight = Annotated[float, Field(ge=0, le=5)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taste:
    """How much more than usual each part counts in the score: 1 is the judge's own, 2 twice, 0 not at all.

    Of the parts that are multiplied it is a power. `study.taste_from` takes it from a study's votes.
    """

    aim: _Weight = 1.0
    """Style, or likeness."""
    prompt: _Weight = 1.0
    """The prompt match that is kept."""
    copies: _Weight = 1.0
    """Copies of training pictures."""
    loss: _Weight = 1.0
    """The validation loss."""
    MOST: ClassVar[float] = 5.0
