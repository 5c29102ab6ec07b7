"""docs/exports.md: its commands and its code do what is said, as they are printed; its table is the code's."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foundation.adapters.exports.programs import as_markdown
from sweeper.export import main
from tests.train.trained_pocket import Picture, pocket, trained

__all__ = ["pocket", "trained"]  # fixtures
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def here(
    trained: Callable[[str], tuple[Path, Picture]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Makes a folder to work in, as after a study called pencil whose best is one of `SPECS`."""

    def make(kind: str) -> Path:
        best = tmp_path / "multirun" / "pencil" / "best"
        shutil.copytree(trained(kind)[0], best)
        (best / "config.yaml").write_text("base: {name: pocket, path: pocket}\nstudy: {name: pencil}\n")
        (tmp_path / "train").symlink_to(ROOT / "train")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


def run(commands: str) -> None:
    for line in commands.splitlines():
        words = shlex.split(line, comments=True)
        assert words[:2] == [".venv/bin/sweeper", "export"]
        assert main(words[2:]) == 0


def test_commands_and_code_as_they_are_printed(here: Callable[[str], Path]) -> None:
    """What the table names is there, and all ways to load it draw one picture, which is not the base's."""
    folder = here("text")
    run(blocks("sh")[0])
    for named in re.findall(r"^\| \w+ \| `([^`]+)`", PAGE, flags=re.MULTILINE):
        assert (folder / named).exists(), named
    drawn = []
    for code in blocks("python"):
        scope: dict[str, Any] = {}
        exec(code, scope)
        drawn.append(np.asarray(scope["image"], dtype=float))
    assert len(drawn) == 4
    plain: dict[str, Any] = {}
    exec(re.sub(r"pipe\.(load|set).*\n", "", blocks("python")[0]), plain)
    for picture in drawn:
        assert np.abs(picture - drawn[0]).mean() < 1
        assert np.abs(picture - np.asarray(plain["image"], dtype=float)).mean() > 10


def test_merged_alone_is_the_folder_that_was_named(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here("alpha")
    assert main(["pencil", "merged", "out=merged"]) == 0
    assert capsys.readouterr().out == "merged: merged at strength 1, for DiffusionPipeline.from_pretrained\n"
    assert (folder / "merged" / "model_index.json").is_file()


def test_the_table_is_the_codes() -> None:
    assert as_markdown() in PAGE
