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

    All orders are alike likely, and no generator is used, so that nothing else that a trial draws can shift them.
    """
    shapes = [shape for shape, count in enumerate(batches) for _ in range(count)]
    if len(batches) == 1:
        return shapes
    keys = [hashlib.sha256(f"{seed}/{epoch}/{place}".encode()).digest() for place in range(len(shapes))]
    return [shapes[place] for place in sorted(range(len(shapes)), key=keys.__getitem__)]


def epoch_in_words(counts: Sequence[int], batch_size: int, accumulation: int) -> str:
    """`an epoch is 63 pictures in 20 batches of 4, 8 of them smaller`, and its optimizer steps where they have several.

    `counts` are the pictures of each shape, repeats counted.
    """
    batches = num_batches(counts, batch_size)
    total, smaller = sum(batches), sum(count % batch_size > 0 for count in counts)
    line = f"an epoch is {_some(sum(counts), 'picture')} in {_some(total, 'batch')}"
    line += f", smaller than {batch_size}" if smaller == total else f" of {batch_size}"
    line += f", {smaller} of them smaller" if 0 < smaller < total else ""
    if accumulation == 1:
        return line
    steps, last = -(-total // accumulation), total % accumulation
    line += f"; {_some(steps, 'optimizer step')} of {min(accumulation, total)} batches"
    if total < accumulation:
        return f"{line}, fewer than train.gradient_accumulation {accumulation}"
    return f"{line}, the last of {last}" if last else line


def _some(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 'es' if word.endswith('ch') else 's'}"
