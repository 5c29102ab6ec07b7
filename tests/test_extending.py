"""The examples of docs/extending.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from foundation.compose import compose
from foundation.presets import search_presets

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")


def examples() -> dict[str, str]:
    """File to text, by the comment that each example of a file begins with."""
    return dict(re.findall(r"```\w+\n# ([\w./]+)\n(.*?)```", PAGE, re.DOTALL))


def test_the_preset_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "conf/optimizer/gentle.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(examples()["conf/optimizer/gentle.yaml"])
    monkeypatch.chdir(tmp_path)
    search_presets([])
    optimizer = compose(["optimizer=gentle", "base=sd15"])["optimizer"]
    assert (optimizer["name"], optimizer["lr"]) == ("adamw", 3e-5)
    assert optimizer["space"] == {"lr": "tag(log, interval(1e-05, 0.0001))"}
