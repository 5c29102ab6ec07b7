"""Finds in captions what a set of pictures is of, where they say it clearly: a style, a subject, a face.

A subject is called by a rare word before the word of its class in every caption, as DreamBooth has it: "a sks dog on
the beach" (Ruiz et al. 2023, arXiv:2208.12242). A style is named in every caption by the same words: "in pencil style".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from foundation.data.phrases import holds_phrase
from foundation.data.spec import Kind

_RARE: Final = frozenset(
    ["sks", "ohwx", "zwx", "shs", "olis", "bnha", "ukj", "phol", "txcl", "hta", "zkz", "xyz", "tok"]
)
"""Words that people who train subjects call them by."""
_STYLE: Final = frozenset(
    ["style", "art", "artwork", "painting", "drawing", "sketch", "illustration", "aesthetic", "print", "watercolour"]
)
"""Nouns after which a rare word calls a style."""
_PERSON: Final = frozenset(["person", "man", "woman", "boy", "girl", "guy", "lady", "child", "face", "actor"])
_WORD: Final = re.compile(r"[\w<>\[\]*$@-]+")
_VOWEL: Final = re.compile("[aeiouy]", re.IGNORECASE)
_MARK: Final = re.compile(r"[\d<>\[\]*$@_]")
_IN_STYLE: Final = re.compile(
    r"\b(?:in|in the style of) (?:[\w-]+ ){0,3}?style\b|\bin the style of [\w-]+", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundKind:
    """What captions tell."""

    kind: Kind
    trigger: str
    """The phrase that all of them hold."""
    class_word: str = ""
    """What a subject or a face is one of; "" for a style."""


def kind_of(captions: Sequence[str], trigger: str = "") -> FoundKind | None:
    """Return what captions say of their set; None where that is not clear, and of fewer than two captions.

    `trigger` is the phrase that a person named: then no other is a subject's. A rare word is one of the field's own
    ("sks"), or one without a vowel, or with a digit or a mark in it ("<cat-toy>").
    """
    said = [caption for caption in captions if caption.strip()]
    if len(said) < 2 or len(said) < len(captions):
        return None
    phrase = _named_subject(trigger, said) if trigger else _common_subject(said)
    if phrase:
        class_word = phrase.rpartition(" ")[2]
        if class_word.lower() in _STYLE:
            return FoundKind(kind="style", trigger=phrase)
        kind: Kind = "face" if class_word.lower() in _PERSON else "subject"
        return FoundKind(kind=kind, trigger=phrase, class_word=class_word)
    styles = [{found.lower() for found in _IN_STYLE.findall(caption)} for caption in said]
    common = set.intersection(*styles)
    if common:
        return FoundKind(kind="style", trigger=max(sorted(common), key=len))
    return None


def _named_subject(trigger: str, captions: Sequence[str]) -> str:
    """The trigger with the word of the class, where it begins with a rare word; else ""."""
    words = trigger.split()
    if not words or not is_rare(words[0]):
        return ""
    if len(words) > 1:
        return trigger if all(holds_phrase(caption, trigger) for caption in captions) else ""
    phrases = [_pairs(caption) for caption in captions]
    return next((pair for pair in phrases[0] if pair.split()[0] == trigger and all(pair in p for p in phrases)), "")


def _common_subject(captions: Sequence[str]) -> str:
    """The rare word and the noun after it that all captions hold, as the first has them; "" for none or several."""
    phrases = [_pairs(caption) for caption in captions]
    common = [pair for pair in phrases[0] if all(pair in others for others in phrases)]
    return common[0] if len(common) == 1 else ""


def _pairs(caption: str) -> list[str]:
    """Each rare word of a caption with the word after it."""
    words = [(match.group(), match.end(), match.start()) for match in _WORD.finditer(caption)]
    return [
        f"{word} {after}"
        for (word, end, _), (after, _, start) in pairwise(words)
        if is_rare(word) and after.isalpha() and not caption[end:start].strip()
    ]


def is_rare(word: str) -> bool:
    """Return whether a word is made up to call something by, as far as one can see."""
    bare = word.strip("'\"").lower()
    made_up = len(bare) > 2 and not bare.isdigit() and (not _VOWEL.search(bare) or bool(_MARK.search(bare)))
    return bare in _RARE or made_up
