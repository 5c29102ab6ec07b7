"""Text on sheets: every character has a glyph or stands as dots, lines fit, long texts end in dots."""

from __future__ import annotations

import re

import pytest

from foundation.page.one_file import STYLE, read_shared
from foundation.pictures import lettering
from foundation.pictures.lettering import CUT, legible, missing_words, shorten, width, wrap
from foundation.pictures.sheets import BEST_TINT, CHOSEN
from foundation.pictures.tiles import FAINT, INK, PAPER, RULE

CHINESE = "一只红色的杯子放在绿色的草地上铅笔风格" * 15


@pytest.mark.parametrize("text", ["a cup " * 60, "ä" * 300, CHINESE, "star 😀 " * 50, "Ж αβγ → é " * 40])
def test_lines_fit_and_what_is_left_over_ends_in_dots(text: str) -> None:
    lines, whole = wrap(text, 14, 210, 4), wrap(text, 14, 210)
    assert len(lines) == min(4, len(whole))  # all of a script that no font here has are a few dots
    assert all(0 < width(line, 14) <= 210 for line in lines)
    assert lines[-1].endswith(CUT)
    assert "".join(whole).replace(" ", "") == legible(text).replace(" ", "")
    assert all(width(line, 14) <= 210 for line in whole)


def test_what_no_font_has_stands_as_dots_and_never_as_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_system_fonts", tuple)  # a machine with the fonts of matplotlib alone
    lettering._file_of.cache_clear()
    assert legible("一只 cat, Größe\n 5") == f"{CUT} cat, Größe 5"
    assert legible("一只红色的杯子", "prompt 3") == "prompt 3"
    assert legible("a\u200d\ufe0f b") == "a b"
    assert legible("") == ""
    lettering._file_of.cache_clear()


def test_a_text_that_is_too_wide_is_cut_at_its_end() -> None:
    assert shorten("a cup", 14, 200) == "a cup"
    assert shorten("a cup, " * 40, 14, 100).endswith(f" {CUT}")
    assert width(shorten("a cup, " * 40, 14, 100), 14) <= 100


def test_what_is_left_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_words(["a cup", "émail → Ж", ""]) == ""
    monkeypatch.setattr(lettering, "_system_fonts", tuple)
    lettering._file_of.cache_clear()
    said = missing_words(["一只 cat", "ひと\u200d", "कप", "🫠 x"])
    assert (
        said == f"{CUT} stands for what no font here has: CJK, Devanagari, Hiragana, symbols. The Noto fonts have it."
    )
    lettering._file_of.cache_clear()


def test_no_line_begins_with_a_mark_that_ends_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_file_of", lambda _: lettering._dejavu())  # whatever fonts there are
    text = "一只红色的杯子，放在绿色的草地上。铅笔画风格、「背景」是蓝天白云！" * 3
    for room in range(40, 200, 7):
        lines = wrap(text, 14, room)
        assert "".join(lines) == text and not [line for line in lines if line[0] in "，。、」！"]


def test_the_sheets_have_the_colours_of_the_page() -> None:
    light = re.search(r":root \{(.*?)\}", read_shared(STYLE), re.DOTALL)
    assert light is not None
    page = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6})", light[1]))
    colours = {"paper": PAPER, "ink": INK, "faint": FAINT, "rule": RULE, "winner": CHOSEN, "winner-tint": BEST_TINT}
    assert {name: "{:02x}{:02x}{:02x}".format(*colour) for name, colour in colours.items()} == {
        name: page[name] for name in colours
    }
