"""What is printed to be typed again means, to a shell and to Hydra, what it meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from foundation.config.compose import parse_overrides
from foundation.config.keyed import as_override, is_keyed
from tests.hostile_path import HOSTILE


@pytest.mark.parametrize(
    "text",
    [
        "my/pictures",
        "~/a-b_c.d",
        HOSTILE,
        "it's",
        "a\\'b",
        "c:\\pictures\\",
        "\\\\'\\",
        "",
        "null",
        "12",
        "a,b",
        "$HOME",
        "日本",
        "old[",
    ],
)
def test_an_override_comes_back_as_it_was(text: str) -> None:
    (typed,) = shlex.split(as_override("data.path", text))
    (parsed,), problems = parse_overrides([typed])
    assert problems == []
    assert parsed.value() == (text if text not in ("null", "12") else {"null": None, "12": 12}[text])
    assert not parsed.is_sweep_override()


def test_a_plain_path_is_left_plain() -> None:
    assert as_override("data.path", Path("my/pictures")) == "data.path=my/pictures"


def test_a_path_with_an_equals_sign_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_keyed("out=a") and not is_keyed("out") and not is_keyed("./a=b") and not is_keyed("-x [v=2]")
    assert is_keyed("rank=4")
    (tmp_path / "rank=4").mkdir()
    assert not is_keyed("rank=4")
