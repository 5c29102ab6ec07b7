"""A few thousand damaged files of each format are read or refused in one line; the command beside has the long set."""

from __future__ import annotations

from collections import Counter

import pytest

from foundation.data import images
from tests.faults.mutated_images import mutants, originals, outcome

ORIGINALS = originals()


@pytest.mark.parametrize("name", ORIGINALS)
def test_no_damaged_file_escapes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 1_000_000)  # so that none takes long
    assert outcome(ORIGINALS[name]) == "read"
    ended = Counter(outcome(mutant) for mutant in mutants(ORIGINALS[name], 150))
    assert ended["refused"] and set(ended) <= {"read", "refused"}, ended


def test_the_formats_damaged_are_those_that_are_read() -> None:
    assert {images.format_of(data) for data in ORIGINALS.values()} == set(images.FORMATS)
