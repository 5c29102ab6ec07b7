"""Captions say whether their pictures are of a style, a subject or a face, or they do not say it."""

from __future__ import annotations

import pytest

from foundation.data.kinds import FoundKind, is_rare, kind_of


def subject(trigger: str, class_word: str) -> FoundKind:
    return FoundKind(kind="subject", trigger=trigger, class_word=class_word)


@pytest.mark.parametrize(
    ("captions", "trigger", "found"),
    [
        (["a sks cup on grass", "a red ball left of a sks cup, in photo style"], "", subject("sks cup", "cup")),
        (["photo of sks dog", "sks dog, running"], "sks dog", subject("sks dog", "dog")),
        (["photo of sks dog", "sks dog, running"], "sks", subject("sks dog", "dog")),
        (["a <cat-toy> toy", "the <cat-toy> toy at night"], "", subject("<cat-toy> toy", "toy")),
        (["a zwx7 backpack", "my zwx7 backpack"], "", subject("zwx7 backpack", "backpack")),
        (["ohwx man smiling", "a photo of ohwx man"], "", FoundKind(kind="face", trigger="ohwx man", class_word="man")),
        (["a dog in sks style", "a cat in sks style"], "", FoundKind(kind="style", trigger="sks style")),
        (["a cup, in pencil style", "a star In Pencil Style"], "", FoundKind(kind="style", trigger="in pencil style")),
    ],
    ids=["company", "named whole", "named by its word", "marks", "a digit", "a person", "a rare style", "a style"],
)
def test_what_all_captions_say_is_found(captions: list[str], trigger: str, found: FoundKind) -> None:
    assert kind_of(captions, trigger) == found


@pytest.mark.parametrize(
    "captions",
    [
        ["a cup on grass", "a star on sand"],
        ["a sks cup", "a cup"],
        ["a sks cup", "a sks dog"],
        ["a sks cup beside a zwx dog", "a zwx dog beside a sks cup"],
        ["a sks cup", ""],
        ["a sks cup"],
        ["sks, cup", "sks, cup again"],
        ["a cup in pencil style", "a cup in chalk style"],
        [],
    ],
    ids=["plain", "one without", "two classes", "two subjects", "an empty one", "one", "a comma", "two styles", "none"],
)
def test_what_is_not_clear_is_not_guessed(captions: list[str]) -> None:
    assert kind_of(captions) is None


def test_a_trigger_that_a_person_named_is_not_replaced_by_another() -> None:
    captions = ["ohwx man smiling", "a photo of ohwx man"]
    assert kind_of(captions, "zz") is None and kind_of(captions, "ohwx") == kind_of(captions)


@pytest.mark.parametrize("word", ["sks", "OHWX", "<dog>", "b3ar", "zwxq", "my_cat"])
def test_made_up_words_are_rare(word: str) -> None:
    assert is_rare(word)


@pytest.mark.parametrize("word", ["dog", "a", "of", "by", "sky", "2024", "tv", "why"])
def test_words_of_the_language_are_not(word: str) -> None:
    assert not is_rare(word)
