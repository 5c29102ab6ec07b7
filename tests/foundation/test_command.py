"""What all commands share: help, mistakes, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from foundation.command import EXIT_BAD_INPUT, run_with_usage
from foundation.errors import ConfigError
from sweeper.cli import COMMANDS


def never() -> None:
    raise AssertionError("the work was begun")


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_who_asks_for_help_gets_it_and_nothing_is_done(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with_usage("how it is used", never, ["key=value", word]) == 0
    assert capsys.readouterr().out == "how it is used\n"


def test_a_command_that_needs_arguments_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with_usage("how it is used", never, [], needs_arguments=True) == EXIT_BAD_INPUT
    assert capsys.readouterr().out == "how it is used\n"


@pytest.mark.parametrize(("code", "given"), [(0, None), (0, 0), (1, 1)])
def test_the_work_says_how_it_ended(code: int, given: int | None) -> None:
    assert run_with_usage("", lambda: given, []) == code


def test_each_mistake_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ConfigError(["one is wrong", "two is wrong"])

    assert run_with_usage("", work, ["a=b"]) == EXIT_BAD_INPUT
    assert capsys.readouterr() == ("", "error: one is wrong\nerror: two is wrong\n")


def test_a_full_disk_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise OSError("no space left")

    assert run_with_usage("", work, []) == EXIT_BAD_INPUT
    assert capsys.readouterr().err == "error: no space left\n"


def test_a_defect_keeps_its_trace() -> None:
    with pytest.raises(AssertionError, match="begun"):
        run_with_usage("", never, [])


def test_help_of_no_command_imports_torch() -> None:
    script = """
import sys
from importlib import import_module
for module in sys.argv[1:]:
    assert import_module(module).main(["--help"]) == 0
    assert import_module(module).main(["nothing=known"]) == 2
    assert not {"torch", "diffusers", "mlflow", "optuna"} & set(sys.modules), module
"""
    modules = [command.module for command in COMMANDS.values()]
    ended = subprocess.run([sys.executable, "-c", script, *modules], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
