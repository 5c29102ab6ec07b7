"""What a person reads is what was meant: no markup, no broken paths, no escape sequences, on any terminal."""

from __future__ import annotations

import io

import pytest

from foundation.console import columns, complain, printable, say

HOSTILE = "run [v2] [/a] %41 %s {0} {} a?b#c 'q' \"d\" -x 日本語 😀 $a_b$ | `c` <b> &amp; \\n :smile: " + "long/" * 60


def test_text_is_printed_as_it_is_and_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE, "next")
    assert capsys.readouterr().out == f"{HOSTILE}\nnext\n"


def test_each_problem_is_a_line_of_errors(capsys: pytest.CaptureFixture[str]) -> None:
    complain(ValueError(f"{HOSTILE}\ntwo"))
    complain(ValueError())
    assert capsys.readouterr().err == f"error: {HOSTILE}\nerror: two\nerror: ValueError\n"


def test_nothing_in_a_name_acts_on_the_terminal() -> None:
    assert printable("a\x1b[2Jb\rc\x07\x9bd\u202ee\udcffz") == r"a\x1b[2Jb\rc\x07\x9bd\u202ee\udcffz"
    assert printable("tab\tline\n😀‍👧 é") == "tab\tline\n😀‍👧 é"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_that_lacks_a_character_gets_its_escape(encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    say("3 × 日 – \udcff", to=stream)
    stream.seek(0)
    said = stream.read()
    assert said.endswith("\\udcff\n")
    assert ("日" in said) == (encoding == "utf-8")


def test_columns_stand_under_one_another_also_below_wide_characters() -> None:
    lines = columns(("name", "value"), [("日本語", "1"), ("[b]a", "22.5")], right=(1,))
    assert lines == ["name    value", "日本語      1", "[b]a     22.5"]
