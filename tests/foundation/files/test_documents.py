"""JSON and YAML from a disk are plain values, or refused in one line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.errors import AdapterError, DataError
from foundation.files.documents import MAX_DEPTH, parse_json, parse_yaml, read_mapping, read_yaml

REFUSED = {
    "no JSON": ("{", "it is not JSON: "),
    "huge": ("[" + "9" * 5000 + "]", "it is not JSON: it has a whole number of more than 300 digits"),
    "deep": ("[" * 200 + "]" * 200, f"it is not JSON: it is more than {MAX_DEPTH} lists and mappings deep"),
    "deeper than the stack": ("[" * 100_000, f"it is not JSON: it is more than {MAX_DEPTH} lists and mappings deep"),
    "half a character": (r'{"a": ["\ud83d"]}', "it holds half a character (a lone surrogate), which is no text"),
    "half a character as key": (r'{"\udc00": 1}', "it holds half a character (a lone surrogate), which is no text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_json_that_breaks_programs_is_refused(name: str) -> None:
    text, said = REFUSED[name]
    with pytest.raises(DataError) as refused:
        parse_json(text, "it")
    assert str(refused.value).startswith(said) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, 2]\nb: [*x, *x]\n",  # a few lines of these stand for billions
        "a: 2001-99-99\n",
        "a: !!bool maybe\n",
        "a: !!python/object:os.system [ls]\n",
        "? [a]\n: b\n",
        "{" * 2000,
        "a: 0x" + "f" * 5000,
        "\tq",
        r'a: "\ud800"',
    ],
)
def test_yaml_that_breaks_programs_is_refused(text: str) -> None:
    with pytest.raises(DataError) as refused:
        parse_yaml(text, "it")
    assert str(refused.value).startswith("it ") and "\n" not in str(refused.value)


def test_what_is_whole_comes_back_as_it_is() -> None:
    assert parse_json(r'{"a": [1e30, 1000000000000000019884624838656, "😀", "\ud83d\ude00", null]}', "it") == {
        "a": [1e30, 10**30 + 19884624838656, "😀", "😀", None]
    }
    assert parse_yaml("a: [1, x]\nb: null\n", "it") == {"a": [1, "x"], "b": None}


def test_a_file_that_is_no_text_or_no_mapping_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"a: \xff\xfe")
    with pytest.raises(AdapterError, match=f"{file} is not UTF-8"):
        read_yaml(file, AdapterError)
    file.write_text("- a\n")
    with pytest.raises(DataError, match=f"{file} is damaged: it must hold names and their values, got list"):
        read_mapping(file)
    file.write_text("")
    assert read_mapping(file) == {}
