"""Real pictures to put beside what was drawn: those whose captions are most like the prompts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from foundation.data.dataset import Dataset
from foundation.errors import DataError
from sweeper.results.sheets import Real


def real_pictures(prompts: Sequence[str], dataset: Dataset) -> list[Real]:
    """A picture of the data set for each prompt, each another one while they last; none where they cannot be read.

    Held-out pictures and those that were trained on alike: they show what was to be learned.
    """
    pictures = (*dataset.train, *dataset.validation)
    if not pictures:
        return []
    try:
        numbers = nearest(prompts, [picture.caption for picture in pictures])
        return [Real(picture=pictures[number].open(), caption=pictures[number].caption) for number in numbers]
    except (DataError, OSError):  # they were there when the study began
        return []


def nearest(prompts: Sequence[str], captions: Sequence[str]) -> list[int]:
    """For each prompt, in order, the number of the caption that shares most with it, each caption once while they last.

    Words that few captions have weigh more (by the logarithm of their rarity, idf); what either has alone counts
    against it. Scripts without spaces are compared by characters.
    """
    words = [_words(caption) for caption in captions]
    spread = Counter(word for own in words for word in own)

    def weight(some: set[str]) -> float:
        return sum(math.log((1 + len(captions)) / (1 + spread[word])) for word in some)

    def alike(prompt: set[str], number: int) -> float:
        return weight(prompt & words[number]) / (weight(prompt | words[number]) or 1.0)

    chosen: list[int] = []
    for prompt in map(_words, prompts):
        left = [number for number in range(len(captions)) if number not in chosen] or list(range(len(captions)))
        chosen.append(max(left, key=lambda number: (alike(prompt, number), -number)))
    return chosen


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\u2e80-\U0003ffff]+|[\u2e80-\U0003ffff]", text.casefold()))
