"""Addresses of databases: what is a file of SQLite's, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.records.urls import sqlite_file, sqlite_url


@pytest.mark.parametrize("name", ["a.db", "what?.db", "50%41 #1 [v2].db"])
def test_the_file_of_an_address_is_the_one_that_it_was_made_of(name: str, tmp_path: Path) -> None:
    assert sqlite_file(sqlite_url(tmp_path / name)) == tmp_path / name


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "http://host:5000", "postgresql://host/db", "databricks"]
)
def test_other_addresses_have_no_file(url: str) -> None:
    assert sqlite_file(url) is None
