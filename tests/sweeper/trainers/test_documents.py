"""Files are read as plain values of a bounded size; whatever else they are is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foundation.errors import ConfigError
from sweeper.trainers.documents import ENVIRONMENT, LARGEST, SCRIPT, read_documents
from sweeper.trainers.toml import toml_text

BAD = {
    "a.json": (b"{", "is not JSON"),
    "b.json": (b'{"a": "\xff"}', "is not UTF-8"),
    "c.yaml": (b"a: !!python/object/apply:os.system ['touch ran']", "is not YAML"),
    "d.yaml": (b"a: &x [1]\nb: *x", "aliases"),
    "e.json": (b"[" * 200 + b"]" * 200, "100 lists and mappings deep"),
    "f.json": (b" " * (LARGEST + 1), f"at most {LARGEST} bytes"),
    "g.toml": (b"a = ", "is not TOML"),
    "h.toml": (b"a = " + b"[" * 200 + b"]" * 200, "is not TOML"),
    "i.py": (b"import os", "its name ending in one of .json"),
    "j.env": (b"just words here", "must be NAME=value"),
    "k.env": (b"A='open", "line 1"),
    "l.sh": (b"echo nothing", "a command that starts a script"),
    "m.json": (b'{"a": "\\ud800"}', "half a character"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_none_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, words = BAD[name]
    Path(name).write_bytes(data)
    with pytest.raises(ConfigError) as told:
        read_documents([name])
    (line,) = told.value.problems
    assert name in line and words in line and "\n" not in line
    assert not Path("ran").exists()


def test_all_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ConfigError) as told:
        read_documents([str(tmp_path / "none.json"), str(tmp_path / "folder.json")])
    assert len(told.value.problems) == 2 and "No such file" in told.value.problems[0]


def test_an_environment_file_is_read_and_not_run(tmp_path: Path) -> None:
    file = tmp_path / "config.env.example"
    file.write_text("# words\nexport A='b c' # more\nB=$(touch ran)\n\nexport C=1e-4 #@param\nD=\n")
    ((_, found),) = read_documents([str(file)])
    assert found == {ENVIRONMENT: {"A": "b c", "B": "$(touch ran)", "C": "1e-4", "D": ""}}


def test_a_command_is_its_scripts_arguments(tmp_path: Path) -> None:
    file = tmp_path / "train.sh"
    file.write_text(
        "# a.py\nexport X=1\naccelerate launch ex/train_lora.py \\\n  --rank=4 --flag \\\n --prompt 'a b' c\n"
    )
    ((_, found),) = read_documents([str(file)])
    assert found == {SCRIPT: "train_lora.py", "rank": "4", "flag": True, "prompt": "a b c"}


def test_what_is_written_as_toml_is_read_as_it_was(tmp_path: Path) -> None:
    value = {
        "a": 'quo"te\\ \n é \x7f',
        "b": 1e-05,
        "c": True,
        "d": [1, "x"],
        "t": [{"n": 1, "s": [{"p": "q"}, {"p": "r"}]}],
    }
    (tmp_path / "x.toml").write_text(toml_text({**value, "none": None}), encoding="utf-8")
    ((_, found),) = read_documents([str(tmp_path / "x.toml")])
    assert json.dumps(found) == json.dumps(value)
