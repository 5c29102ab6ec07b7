"""The command `sweeper`: the others by their names, its version, mistyped names; what a shell proposes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from foundation.adapters.exports import FILE_FORMATS
from sweeper import __version__, completion
from sweeper.cli import COMMANDS, main
from sweeper.completion import proposals
from sweeper.export_request import parse


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sweeper", *arguments])
    return main()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_tells_of_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, name, "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith(f"sweeper {name} ")
    assert "python -m" not in said


@pytest.mark.parametrize("name", [*COMMANDS, "+experiment=pencil"])
def test_each_command_answers_with_one_object_whatever_is_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, name, "nonsense.key=1", "--json") == 2
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["exit_code"] == 2 and said["result"] is None and said["errors"]
    assert [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")] == said["errors"]


def test_the_version_is_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"sweeper {__version__}\n"


def test_a_word_that_is_no_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "exprt", "pencil") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: exprt is no command") and line.endswith("did you mean export?")


def test_nothing_is_answered_with_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    said = capsys.readouterr().out
    assert all(f"  sweeper {name} " in said for name in COMMANDS)


def test_ctrl_c_of_a_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("eval.command.main", interrupted)
    assert run(monkeypatch, "eval", "lora=a") == 130
    assert capsys.readouterr().err == "stopped\n"


def test_export_takes_the_formats_that_are_written() -> None:
    assert parse(["pencil", *FILE_FORMATS]) == ("pencil", list(FILE_FORMATS), {})


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("sweeper ", {"train", "export", "optimizer=", "study."}),
        ("sweeper ex", {"export", "experiment="}),
        ("sweeper optimizer=li", {"optimizer=lion", "optimizer=lion8bit"}),
        ("sweeper +experiment=pencil adapter.ra", {"adapter.rank="}),
        ("sweeper +experiment=", {"+experiment=pencil"}),
        ("sweeper train train.st", {"train.steps="}),
        ("sweeper eval lo", {"lora="}),
        ("sweeper merge combine we", {"weight="}),
        ("sweeper dashboard ", {"folder=", "host=", "port="}),
        ("sweeper export pencil st", {"strength="}),
    ],
)
def test_a_shell_proposes_what_may_come_next(line: str, among: set[str]) -> None:
    found = proposals(line)
    typing = line.rpartition(" ")[2]
    assert among <= set(found)
    assert all(each.startswith(typing) for each in found)


def test_nothing_of_hydras_own_is_proposed() -> None:
    assert not [each for each in proposals("sweeper ") + proposals("sweeper hydra") if each.startswith("hydra")]


@pytest.mark.parametrize("command", [command for command in COMMANDS.values() if command.keys])
def test_the_keys_of_a_command_are_known_to_the_shell(command: object) -> None:
    assert set(import_module(command.keys).KEYS)  # type: ignore[attr-defined]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_with_the_script_that_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "sweeper"
    script.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; from sweeper.cli import main; sys.exit(main())" "$@"\n'
    )
    script.chmod(0o755)
    assert completion.main(["install=bash"]) == 0
    installed = capsys.readouterr().out.rpartition("complete -o")[0]
    asked = 'COMP_LINE="sweeper optimizer=li"; COMP_POINT=${#COMP_LINE}; COMP_CWORD=1; hydra_bash_completion'
    done = subprocess.run(
        ["bash", "-c", f'{installed}true\n{asked}; echo "${{COMPREPLY[@]}}"'],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["optimizer=lion", "optimizer=lion8bit"], done.stderr
