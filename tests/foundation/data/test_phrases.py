"""A phrase is found as whole words, in any case and spelling of letters, and nowhere else."""

from __future__ import annotations

import unicodedata

import pytest

from foundation.data.phrases import add_trigger, holds_phrase, replace_phrase

HELD = [
    ("an ink drawing", "ink"),
    ("INK", "ink"),
    ("a cup, ink.", "ink"),
    ("ink-wash", "ink"),
    ("a cup in  pencil\nstyle", "in pencil style"),
    ("photo of <s1>cat", "<s1>"),
    ("C++ code", "c++"),
    ("一幅水墨画", "水墨"),
    ("un " + unicodedata.normalize("NFD", "café"), "café"),
    ("pink ink", "ink"),
    ("größe", "GRÖßE"),
]
NOT_HELD = [
    ("a pink ball", "ink"),
    ("a drinking cup", "ink"),
    ("inks", "ink"),
    ("ink_style", "ink"),
    ("ink2", "ink"),
    ("a cup in pencil styles", "in pencil style"),
    ("pinkink", "ink"),
    ("ink\u0301ed", "ink"),
    ("", "ink"),
    ("a cup", ""),
    ("a cup", " "),
]


@pytest.mark.parametrize(("text", "phrase"), HELD)
def test_whole_words_are_found_and_replaced(text: str, phrase: str) -> None:
    assert holds_phrase(text, phrase)
    assert add_trigger(text, phrase) == text
    assert not holds_phrase(replace_phrase(text, phrase, "X"), phrase)


@pytest.mark.parametrize(("text", "phrase"), NOT_HELD)
def test_parts_of_words_are_not(text: str, phrase: str) -> None:
    assert not holds_phrase(text, phrase)
    assert replace_phrase(text, phrase, "X") == text


def test_only_the_phrase_is_replaced_and_every_time() -> None:
    assert replace_phrase("Ink, pink ink and INK", "ink", r"\1") == r"\1, pink \1 and \1"


def test_a_caption_gets_the_trigger_that_it_lacks() -> None:
    assert add_trigger("a pink ball", "ink") == "a pink ball, ink"
    assert add_trigger("", "ink") == "ink"
    assert add_trigger("a pink ball", "") == "a pink ball"
