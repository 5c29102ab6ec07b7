"""Damaged archives and documents are read or refused in one line; the command beside has the long set."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.faults.damaged_documents import (
    ARCHIVES,
    DOCUMENTS,
    REFUSED,
    damaged,
    of_other_kinds,
    outcome,
    readers,
    unpacked,
)


@pytest.mark.parametrize("name", ARCHIVES)
def test_no_damaged_archive_escapes(name: str, tmp_path: Path) -> None:
    assert unpacked(name, ARCHIVES[name], tmp_path) == "read"
    ended = Counter[str]()
    for number, data in enumerate(damaged(ARCHIVES[name], 12)):
        folder = tmp_path / str(number)
        folder.mkdir()
        ended[unpacked(name, data, folder)] += 1
    assert ended["refused"] and set(ended) <= {"read", "refused"}, ended


@pytest.mark.parametrize("name", REFUSED)
def test_an_archive_that_lies_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    assert unpacked(name, REFUSED[name], tmp_path) == "refused"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_of_another_kind_escapes(name: str, tmp_path: Path) -> None:
    read = readers(tmp_path)[name]
    assert outcome(partial(read, DOCUMENTS[name])) == "read"
    ended = Counter(
        outcome(partial(read, data)) for data in (*of_other_kinds(DOCUMENTS[name]), *damaged(DOCUMENTS[name], 40))
    )
    assert set(ended) <= {"read", "refused"}, ended
