"""What pyproject.toml says of the libraries: a lowest version of each, met by constraints.txt and by what is here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [Requirement(line) for line in PROJECT["dependencies"]]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints() -> Iterator[tuple[str, str]]:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, _, number = line.partition("==")
            yield normalized(name), number


@pytest.mark.parametrize("needed", NEEDED, ids=lambda needed: needed.name)
def test_a_library_has_a_lowest_version_that_is_met(needed: Requirement) -> None:
    (bound,) = needed.specifier
    assert bound.operator == ">="
    assert Version(dict(constraints())[normalized(needed.name)]) in needed.specifier
    assert Version(version(needed.name)) in needed.specifier


def test_the_makefile_finds_each_of_them() -> None:
    """`make test-lowest` takes them from the file line by line."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    found = [match.groups() for line in lines if (match := re.match(r'    "([a-z-]*)>=([0-9.]*)",', line))]
    assert found == [(needed.name, next(iter(needed.specifier)).version) for needed in NEEDED]
