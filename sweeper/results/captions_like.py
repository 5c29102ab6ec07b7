"""Which captions are most like prompts, by the words that they share."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence


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
