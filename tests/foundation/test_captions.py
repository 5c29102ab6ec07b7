"""The ways in which folders say what their images show are told apart by looking."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from foundation.captions import read_captions
from foundation.errors import DataError
from foundation.folder import read_folder

ROWS = {"b.png": "a cup, red", "a.png": 'says "no"', "below/c.jpg": "größer\n2"}


def image(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 9)).save(path)
    return path


def entries(folder: Path, column: str = "text") -> list[tuple[str, str, int]]:
    return [(each.name, each.caption, each.repeats) for each in read_captions(folder, column, "data.path", "data")]


def refusal(folder: Path, column: str = "text") -> str:
    with pytest.raises(DataError) as caught:
        read_captions(folder, column, "data.path", "data")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def as_jsonl(folder: Path, rows: dict[str, str]) -> None:
    lines = [json.dumps({"file_name": name, "text": said}) for name, said in rows.items()]
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def as_csv(folder: Path, rows: dict[str, str]) -> None:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerows([("file_name", "text"), *rows.items()])


def as_parquet(folder: Path, rows: dict[str, str]) -> None:
    table = pyarrow.table({"file_name": list(rows), "text": list(rows.values())})
    pyarrow.parquet.write_table(table, folder / "metadata.parquet")


@pytest.mark.parametrize("write", [as_jsonl, as_csv, as_parquet])
def test_each_kind_of_table_gives_the_same_captions_in_its_order(
    write: Callable[[Path, dict[str, str]], None], tmp_path: Path
) -> None:
    for name in ROWS:
        image(tmp_path / name)
    write(tmp_path, ROWS)
    assert entries(tmp_path) == [(name, said, 1) for name, said in ROWS.items()]
    assert 'has no caption "say" (other keys: text); name it by data.caption_column' in refusal(tmp_path, "say")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "metadata.jsonl:1 is not JSON"),
        (
            '{"file_name": "a.png", "text": "a cup"}\n{"file_name": "a.png", "text": "a ball"}',
            "metadata.jsonl:2 gives a.png another caption than before",
        ),
        ('{"file_name": "a.png", "text": "a \\ud83d cup"}', "metadata.jsonl:1 holds half a character"),
        (json.dumps({"file_name": "x" * 300, "text": "a"}), "captions for files that are not there: xxx"),
    ],
)
def test_what_no_file_should_hold_is_refused_like_other_mistakes(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text(text)
    assert words in refusal(tmp_path)


@pytest.mark.parametrize("write", [as_jsonl, as_csv, as_parquet])
def test_no_kind_of_table_leads_out_of_its_folder(
    write: Callable[[Path, dict[str, str]], None], tmp_path: Path
) -> None:
    image(tmp_path / "out.png")
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", {"../out.png": "x"})
    assert "names ../out.png, which is outside its folder" in refusal(tmp_path / "data")


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1 no")
    assert refusal(tmp_path).startswith(f"{tmp_path}/metadata.parquet cannot be read as a table: ")
    (tmp_path / "metadata.csv").write_text('file_name,text\na.png,"x"y\n')
    assert refusal(tmp_path).startswith(f"{tmp_path}/metadata.csv:2 is not CSV: ")


def test_text_files_beside_images_are_their_captions_at_any_depth(tmp_path: Path) -> None:
    image(tmp_path / "b.png").with_suffix(".txt").write_text(" a cup,\n red \n", encoding="utf-8")
    image(tmp_path / "below/a.jpg").with_suffix(".caption").write_text("a star")
    image(tmp_path / "c.webp").with_suffix(".json").write_text('{"caption": "a moon", "w": 4}')
    image(tmp_path / ".hidden/d.png")
    (tmp_path / "notes.md").write_text("not a caption")
    expected = [("b.png", "a cup, red", 1), ("below/a.jpg", "a star", 1), ("c.webp", "a moon", 1)]
    assert entries(tmp_path) == expected
    image(tmp_path / "x.png")
    said = refusal(tmp_path)
    assert said.startswith(f"data.path {tmp_path}: 1 images have no caption file beside them: x.png; write x.txt")


@pytest.mark.parametrize(
    ("text", "words"), [("[1]", "(its keys: none)"), ('{"say": "x"}', "(its keys: say)"), ("{", "")]
)
def test_json_beside_an_image_without_a_caption_is_named(text: str, words: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png").with_suffix(".json").write_text(text)
    said = refusal(tmp_path)
    assert said.startswith(f"{tmp_path}/a.json ") and words in said
    if '"say"' in text:
        assert entries(tmp_path, "say") == [("a.png", "x", 1)]


def test_kohyas_folders_repeat_and_name_the_concept_where_nothing_else_does(tmp_path: Path) -> None:
    image(tmp_path / "10_sks dog/a.png", 1)
    image(tmp_path / "10_sks dog/b.png", 2).with_suffix(".txt").write_text("a dog on grass")
    image(tmp_path / "3_red_cup/c.png", 3)
    image(tmp_path / "2024_summer/d.png", 4)  # a year, and no number of repeats
    expected = [
        ("10_sks dog/a.png", "sks dog", 10),
        ("10_sks dog/b.png", "a dog on grass", 10),
        ("3_red_cup/c.png", "red cup", 3),
    ]
    assert entries(tmp_path) == expected
    pictures, _ = read_folder(tmp_path, where="data")
    assert [(picture.caption, picture.repeats) for picture in pictures] == [row[1:] for row in expected]
