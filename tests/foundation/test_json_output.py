"""`--json`: one object on stdout whatever a command does, and all else on stderr."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foundation.console import complain, say
from foundation.json_output import give, run_as_json
from foundation.secrets import remember

ROOT = Path(__file__).parents[2]


def run(main: Any, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    code = run_as_json(main, arguments)
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    return code, json.loads(line), err


def test_the_object_holds_what_was_said_and_given(capsys: pytest.CaptureFixture[str]) -> None:
    def main(rest: list[str]) -> int:
        assert rest == ["a", "b"]
        say("one", "two")
        give(numbers=[1, math.nan, math.inf], path=Path("x"))
        return 0

    code, said, err = run(main, "a", "--json", "b", capsys=capsys)
    assert code == 0
    assert said == {"exit_code": 0, "result": {"numbers": [1, None, None], "path": "x"}, "lines": ["one", "two"]} | {
        "errors": []
    }
    assert err == "one\ntwo\n"


def test_mistakes_and_defects_are_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(_: list[str]) -> int:
        complain("first\nsecond")
        return 2

    def broken(_: list[str]) -> int:
        raise RuntimeError("a defect")

    def left(_: list[str]) -> int:
        raise SystemExit(3)

    assert run(wrong, "--json", capsys=capsys)[:2] == (
        2,
        {"exit_code": 2, "result": None, "lines": [], "errors": ["first", "second"]},
    )
    code, said, err = run(broken, "--json", capsys=capsys)
    assert (code, said["errors"]) == (1, ["RuntimeError: a defect"])
    assert "Traceback" in err
    assert run(left, "--json", capsys=capsys)[0] == 3


def test_no_secret_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    remember(["postgresql://me:hunter2222@host/db"])

    def main(_: list[str]) -> int:
        give(told="it was hunter2222", address="postgresql://me:hunter2222@host/db")
        say("hunter2222")
        return 0

    said = run(main, "--json", capsys=capsys)[1]
    assert "hunter2222" not in json.dumps(said) and said["result"]["told"] == "it was ***"


def test_without_the_flag_nothing_changes(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: list[str]) -> int:
        say("as ever")
        give(a=1)
        return 0

    assert run_as_json(main, ["x"]) == 0
    assert capsys.readouterr().out == "as ever\n"


def test_nothing_else_of_the_process_or_its_children_reaches_stdout() -> None:
    code = (
        "import os, subprocess, sys; from foundation.json_output import run_as_json\n"
        "def main(_):\n"
        "    print('printed'); os.write(1, b'written\\n'); subprocess.run(['echo', 'by a child'], check=True)\n"
        "    return 0\n"
        "sys.exit(run_as_json(main, ['--json']))"
    )
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    assert json.loads(done.stdout)["lines"] == ["printed"]
    assert set(done.stderr.splitlines()) == {"printed", "written", "by a child"}
