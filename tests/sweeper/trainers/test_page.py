"""docs/import.md is what its command makes, and speaks of every field of the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foundation.config.compose import compose
from sweeper.export_request import RECIPES
from sweeper.import_request import TRAINERS as NAMES
from sweeper.trainers.__main__ import PAGE, READ, main, rows_of
from sweeper.trainers.bases import OPTIONS, PATHS
from sweeper.trainers.registry import TRAINERS


def test_the_page_is_current(tmp_path: Path) -> None:
    assert main(["--check"]) == 0
    stale = tmp_path / "import.md"
    stale.write_text("old")
    assert main(["--check"], stale) == 1 and stale.read_text() == "old"
    assert main([], stale) == 0 and stale.read_text() == PAGE.read_text()


def test_it_has_every_field() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for trainer in TRAINERS.values():
        names = [name for each in (*trainer.rows, *trainer.unused) for name in each.theirs]
        assert not [name for name in names if f"`{name}`" not in text and f"`{name}…`" not in text]


def test_wrong_arguments_are_told_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chek"]) == 2
    assert "--check" in capsys.readouterr().out


def test_the_configs_that_were_read_add_up() -> None:
    rows = rows_of(READ)
    assert {row["trainer"] for row in rows if "trainer" in row} >= {"kohya", "onetrainer", "ai-toolkit", "simpletuner"}
    for row in rows:
        assert len(row["commits"]) == len(row["paths"]) and all(len(commit) == 40 for commit in row["commits"])
        assert "refused" in row or sum(row["counts"].values()) == row["fields"]
        assert "refused" in row or row["counts"]["unknown"] == 0


def test_counting_writes_what_became_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"LoRA_type": "Standard", "network_dim": 4, "brand_new": 1}))
    (tmp_path / "b.json").write_text("{}")
    rows = [
        {"repository": "o/n", "paths": [f"{name}.json"], "commits": ["0" * 40], "files": [f"{name}.json"]}
        for name in "ab"
    ]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    monkeypatch.setattr("sweeper.trainers.__main__.READ", tmp_path / "read.jsonl")
    assert main(["count", str(tmp_path / "list.json")]) == 0
    one, two = rows_of(tmp_path / "read.jsonl")
    assert one["fields"] == 3 and one["counts"] == {"carried": 2, "off": 0, "own": 0, "left": 0, "unknown": 1}
    assert "must be a config of a trainer" in two["refused"]


def test_the_names_that_help_lists_are_those_that_are_there() -> None:
    assert NAMES == RECIPES == tuple(TRAINERS)


@pytest.mark.parametrize("family", OPTIONS)
def test_paths_of_bases_are_those_of_our_options(family: str) -> None:
    assert compose([f"base={OPTIONS[family]}"])["base"]["path"] == PATHS[family]
