"""Phrases in texts, as whole words: a trigger "ink" is in "an ink drawing", and not in "a pink ball"."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no spaces between words (Thai, Lao, Burmese, Khmer, Japanese, Chinese) or join particles
to them (Korean): there a phrase's edge cannot be seen."""


def holds_phrase(text: str, phrase: str) -> bool:
    """Whether `phrase` is in `text` as whole words, in any case and with any space between them; never for no words."""
    return next(_spans(_compose(text), phrase), None) is not None


def replace_phrase(text: str, phrase: str, by: str) -> str:
    """`text` with `by` in place of each `phrase` that `holds_phrase` sees; the same text where there is none."""
    composed, parts, end = _compose(text), [], 0
    for start, stop in _spans(composed, phrase):
        parts += [composed[end:start], by]
        end = stop
    return "".join([*parts, composed[end:]]) if parts else text


def add_trigger(caption: str, trigger: str) -> str:
    """The caption, with the trigger at its end where it lacks it."""
    if not trigger or holds_phrase(caption, trigger):
        return caption
    return f"{caption}, {trigger}" if caption else trigger


def _spans(text: str, phrase: str) -> Iterator[tuple[int, int]]:
    words = _compose(phrase).split()
    if not words:
        return
    first, last, place = words[0][0], words[-1][-1], 0
    pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE)
    while found := pattern.search(text, place):
        start, stop = found.span()
        if _ends_phrase(text[start - 1 : start], first) and _ends_phrase(text[stop : stop + 1], last):
            yield start, stop
            place = stop
        else:
            place = start + 1


def _ends_phrase(neighbour: str, edge: str) -> bool:
    """Whether a phrase may end here: beside a letter or digit of its own there must be none of another word."""
    return not (_is_letter(edge) and _is_letter(neighbour)) or bool(_UNSPACED.match(edge))


def _is_letter(char: str) -> bool:
    return char != "" and (char.isalnum() or char == "_" or unicodedata.category(char).startswith("M"))


def _compose(text: str) -> str:
    """One spelling for letters that may be written in two: é, and e with an accent after it, as macOS has it."""
    return unicodedata.normalize("NFC", text)
