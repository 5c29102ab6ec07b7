"""What an epoch is: every picture once, or as often as it is repeated, in batches of one shape each."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence


def num_batches(counts: Sequence[int], batch_size: int) -> list[int]:
    """Batches of an epoch for each shape of so many pictures; the last of a shape holds what is left."""
    return [-(-count // batch_size) for count in counts]


@functools.lru_cache(maxsize=128)
def shapes_of_epoch(seed: int, epoch: int, batches: tuple[int, ...]) -> list[int]:
    """The number of the shape of each batch of an epoch, in their order; `batches` says how many each shape has.

    All orders are alike likely, and no generator is asked, so that nothing else that a trial draws can shift them.
    """
    shapes = [shape for shape, count in enumerate(batches) for _ in range(count)]
    if len(batches) == 1:
        return shapes
    keys = [hashlib.sha256(f"{seed}/{epoch}/{place}".encode()).digest() for place in range(len(shapes))]
    return [shapes[place] for place in sorted(range(len(shapes)), key=keys.__getitem__)]


def epoch_in_words(counts: Sequence[int], batch_size: int, accumulation: int) -> str:
    """`an epoch is 63 pictures in 20 batches of 4 (7 of them smaller)`, and the optimizer steps where they differ."""
    batches = num_batches(counts, batch_size)
    total, smaller = sum(batches), sum(count % batch_size > 0 for count in counts)
    line = f"an epoch is {sum(counts)} pictures in {total} batches of {batch_size}"
    if smaller:
        line += f" ({smaller} of them smaller, since a batch is of one shape and one epoch)"
    if accumulation > 1:
        line += f", in {-(-total // accumulation)} steps of {accumulation} batches"
        line += f" (the last of {total % accumulation})" if total % accumulation else ""
    return line
