"""What each measure of the judge cannot be taken without, so that a report says why one is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

DATA: Final = "the pictures it was trained on (data=)"
SEEDS: Final = "two seeds or more (seeds=)"
TWO_UNRELATED: Final = "two unrelated prompts or more (unrelated=)"

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "style": (DATA,),
    "prompt_match": (),
    "prompt_kept": (),
    "prompt_drop": (),
    "copy_rate": (DATA,),
    "copies": (DATA,),
    "diversity": (SEEDS,),
    "drift": (TWO_UNRELATED,),
    "leak": (DATA, TWO_UNRELATED),
    "image_similarity": (DATA,),
    "fid": (DATA,),
    "kid": (DATA,),
    "cmmd": (DATA,),
    "val_ratio": (DATA,),
    "val_rise": (DATA,),
    "val_t": (DATA,),
    "val_rose_in_a_row": (DATA,),
}
"""By the names of `eval.judge`'s metrics; the score and the overfit index are made of them."""


def lines_on_missing(metrics: Mapping[str, float], has_data: bool) -> list[str]:
    """A line for each thing that measures lack which could not be taken, with how many these are and their names."""
    of: dict[str, list[str]] = {}
    for name, value in metrics.items():
        if math.isnan(value):
            lacks = [need for need in NEEDS.get(name, ()) if not (need == DATA and has_data)]
            of.setdefault(lacks[0] if lacks else "", []).append(name)
    lines = []
    for need, names in of.items():
        listed = ", ".join(names)
        also = "the score, the overfit index and " if need == DATA else ""
        verb, noun = ("needs", "measure") if len(names) == 1 and not also else ("need", "measures")
        lines.append(f"{also}{len(names)} {noun} {verb} {need}: {listed}" if need else f"not measured: {listed}")
    return lines
