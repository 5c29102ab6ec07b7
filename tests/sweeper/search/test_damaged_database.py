"""A `studies.db` that the disk has damaged ends a study in one line, wherever the damage is."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper.records.config import Config
from sweeper.search.database import config_of, ranking_of
from sweeper.search.dimension import Choices, Dimension, Numbers, Space
from sweeper.search.space import plan
from sweeper.search.study import Search

SPACE = Space(
    dimensions=(
        Dimension(name="optimizer.lr", key="optimizer.lr", domain=Numbers(low=1e-5, high=1e-1, log=True)),
        Dimension(name="adapter.rank", key="adapter.rank", domain=Choices(of=(4, 8, 16, 32))),
    )
)
_PAGE = 4096
_LEAF_OF_A_TABLE = 0x0D


@pytest.fixture(scope="module")
def config() -> Config:
    asked = plan(["+experiment=pencil"]).config
    return replace(asked, study=replace(asked.study, name="damaged"))


@pytest.fixture(scope="module")
def whole(config: Config, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A study's database with a trial that has ended and one that runs."""
    file = tmp_path_factory.mktemp("whole") / "studies.db"
    search = Search.open(config, SPACE, file)
    search.ask()
    search.ask()
    search.report(0, 40, 0.25)
    search.tell_complete(0, 0.5)
    return file.read_bytes()


def _renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def damaged(content: bytes) -> bytes:
        assert old in content and len(old) == len(new)
        return content.replace(old, new)

    return damaged


def _with_a_cell_elsewhere(content: bytes) -> bytes:
    """A row's place in the last page of a table moved by a byte, which SQLite itself reads past."""
    pages = [at for at in range(_PAGE, len(content), _PAGE) if content[at] == _LEAF_OF_A_TABLE]
    page = next(at for at in reversed(pages) if struct.unpack_from(">H", content, at + 3)[0])
    changed = bytearray(content)
    changed[page + 9] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damaged",
    [
        _renamed(b"FloatDistribution", b"FloatDistributiom"),
        _renamed(b"COMPLETE", b"COMPLETF"),
        _renamed(b'"attributes"', b'"attribvtes"'),
        _renamed(b'{"space": {', b'{"space": ['),
        _with_a_cell_elsewhere,
    ],
    ids=["class", "state", "key", "json", "page"],
)
def test_damage_is_one_line(config: Config, whole: bytes, tmp_path: Path, damaged: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "studies.db"
    file.write_bytes(damaged(whole))
    with pytest.raises(
        StudyError, match=r"studies\.db cannot be used as the study's database: .*damaged \("
    ) as refused:
        Search.open(config, SPACE, file).ended_trials()
    assert "\n" not in str(refused.value)


def test_a_bit_anywhere_is_no_error_of_ours(config: Config, whole: bytes, tmp_path: Path) -> None:
    """What only changes a value is not seen; all else is said, by a study and by one that starts from it."""
    file, chance, refused = tmp_path / "studies.db", random.Random(0), 0
    used = [at for at, byte in enumerate(whole) if byte]
    for at in chance.sample(used, 60):
        content = bytearray(whole)
        content[at] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        try:
            search = Search.open(config, SPACE, file)
            search.ended_trials(), search.running()
            ranking_of("damaged", file, "maximize"), config_of("damaged", file)
        except StudyError:
            refused += 1
    assert refused > 0


def test_a_study_keeps_the_identity_that_it_had_first(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    search = Search.open(config, SPACE, file)
    search.ask()
    assert search.identity("first") == "first"
    assert Search.open(config, SPACE, file).identity("another") == "first"
