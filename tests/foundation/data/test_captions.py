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

from foundation.data.captions import read_captions
from foundation.data.folder import read_folder
from foundation.errors import DataError

ROWS = {"b.png": "a cup, red", "a.png": 'says "no"', "below/c.jpg": "größer\n2"}


def image(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 9)).save(path)
    return path


def entries(folder: Path, column: str = "text") -> list[tuple[str, str, int]]:
    return [
        (each.name, each.caption, each.repeats) for each in read_captions(folder, column, "data.path", "data").entries
    ]


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
    assert 'has no caption "say" (other keys: text); name it by data.caption_column=text' in refusal(tmp_path, "say")


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
    ("text", "words"), [("[1]", "(other keys: none)"), ('{"say": "x"}', "(other keys: say)"), ("{", "")]
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


def left(folder: Path) -> dict[str, tuple[str, ...]]:
    return {each.reason: each.names for each in read_captions(folder, "text", "data.path", "data").left_out}


def notes(folder: Path) -> tuple[str, ...]:
    return read_captions(folder, "text", "data.path", "data").notes


def test_pictures_without_a_line_and_files_beside_a_table_are_said(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        image(tmp_path / name)
    as_jsonl(tmp_path, {"b.png": "x"})
    as_csv(tmp_path, {"a.png": "y"})
    (tmp_path / "c.txt").write_text("z")
    assert entries(tmp_path) == [("b.png", "x", 1)]
    assert left(tmp_path) == {
        "without a line in metadata.jsonl": ("a.png", "c.png"),
        "not read, since metadata.jsonl has the captions": ("c.txt", "metadata.csv"),
    }


@pytest.mark.parametrize(
    "written", ["img\\a.png", "IMG/A.PNG", " img/a.png ", "./img/a.png", "img/../img/a.png", "{absolute}", "{linked}"]
)
def test_names_as_other_systems_write_them_are_found(written: str, tmp_path: Path) -> None:
    image(tmp_path / "data/img/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    name = written.format(absolute=tmp_path / "data/img/a.png", linked=tmp_path / "link/img/a.png")
    as_jsonl(tmp_path / "data", {name: "x"})
    assert entries(tmp_path / "data") == [("img/a.png", "x", 1)]


def test_the_same_picture_under_two_names_is_one(tmp_path: Path) -> None:
    image(tmp_path / "img/a.png")
    as_jsonl(tmp_path, {"img/a.png": "x", "img\\a.png": "x"})
    assert entries(tmp_path) == [("img/a.png", "x", 1)]
    assert notes(tmp_path) == ("1 picture named again in metadata.jsonl: img/a.png",)
    as_jsonl(tmp_path, {"img/a.png": "x", "IMG/a.png": "y"})
    assert "metadata.jsonl:2 gives img/a.png another caption than before" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"file_name": "a.png", "text": None}, ':1 has null for its caption "text"; write one text, or "" for none'),
        ({"file_name": "a.png", "text": ["x", "y"]}, ':1 has a list of 2 for its caption "text"; write one text'),
        ({"file_name": "a.png", "text": 5}, ':1 has 5, which is no text, for its caption "text"'),
        ({"file_name": "a.png", "text": {"en": "x"}}, ':1 has a mapping for its caption "text"'),
        (
            {"file_name": "a.png", "prompt": "x", "w": 4},
            "(other keys: prompt, w); name it by data.caption_column=prompt",
        ),
        ({"file_name": " ", "text": "x"}, ':1 has an empty "file_name"; write the name of its image'),
        ({"file_name": "https://x.org/a.png", "text": "x"}, ":1 names https://x.org/a.png, an address; fetch it"),
        ({"file_name": "..\\a.png", "text": "x"}, ":1 names ../a.png, which is outside its folder; keep images inside"),
        (
            {"file_name": "C:\\pictures\\a.png", "text": "x"},
            "not there: C:\\pictures\\a.png; below/a.png is there, and",
        ),
        (
            {"file_name": "a.png", "text": "x"},
            "not there: a.png; below/a.png is there, and names count from the table's",
        ),
    ],
)
def test_a_row_that_cannot_be_read_is_told_what_is_wrong(row: dict[str, object], words: str, tmp_path: Path) -> None:
    image(tmp_path / "below/a.png")
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    assert words in refusal(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separated_values_are_read_as_spreadsheets_write_them(
    delimiter: str, encoding: str, end: str, tmp_path: Path
) -> None:
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    rows = ["file_name{0} text", "a.png{0} a cup", 'b.png{0} "größer{0} ""2""\u2028x"', ""]
    text = end.join(rows).format(delimiter) + end
    (tmp_path / "metadata.csv").write_bytes(text.encode(encoding))
    assert entries(tmp_path) == [("a.png", "a cup", 1), ("b.png", f'größer{delimiter} "2"\u2028x', 1)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file_name,text\na.png,a cup, red, on grass\n", ":2 has 4 fields, the header 2 (file_name, text); put a text"),
        ("file_name,text\na.png,x\nb.png\n", ":3 has 1 field, the header 2"),
        (
            "file_name;text\na.png;a cup; red\n",
            ":2 has 3 fields, the header 2 (file_name, text); put a text that",
        ),
        ("a.png,a cup\n", ':1 has no "file_name" among its columns (a.png, a cup); the first line names them'),
        ("file_name,text,text\na.png,x,y\n", ":1 names a column twice"),
    ],
)
def test_a_table_of_commas_that_does_not_fit_its_header_is_refused(text: str, words: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text(text)
    assert words in refusal(tmp_path)


def test_a_text_that_is_none_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.png").with_suffix(".txt").write_bytes("a cup".encode("utf-16-le"))
    assert refusal(tmp_path).endswith("a.txt is no plain text (it holds zero bytes); save it as UTF-8")


def test_a_table_below_is_read_where_it_is_alone_and_named_where_it_is_not(tmp_path: Path) -> None:
    image(tmp_path / "inner/a.png")
    as_jsonl(tmp_path / "inner", {"a.png": "x"})
    (tmp_path / "README.md").touch()
    assert entries(tmp_path) == [("inner/a.png", "x", 1)]
    image(tmp_path / "validation/b.png")
    as_jsonl(tmp_path / "validation", {"b.png": "y"})
    (tmp_path / "inner").rename(tmp_path / "train")
    assert refusal(tmp_path) == (
        f"data.path {tmp_path}: its metadata files lie in train, validation; name one of them: "
        f"data.path={tmp_path}/train data.validation_path={tmp_path}/validation"
    )


def test_sides_of_a_split_are_not_read_as_one_set(tmp_path: Path) -> None:
    for name in ("train/a.png", "Val/b.png"):
        image(tmp_path / name).with_suffix(".txt").write_text("x")
    assert refusal(tmp_path).endswith(f"data.path={tmp_path}/train data.validation_path={tmp_path}/Val")


def test_the_folder_above_kohyas_is_told_which_to_name(tmp_path: Path) -> None:
    for name in ("img/10_cup/a.png", "reg/1_cup/b.png", "model/sample/c.png"):
        image(tmp_path / name).with_suffix(".txt").write_text("x")
    assert refusal(tmp_path) == (
        f"data.path {tmp_path}: its N_concept folders lie in img, reg; name one of them: data.path={tmp_path}/img"
    )


def test_every_number_of_repeats_is_read_or_said(tmp_path: Path) -> None:
    for number, name in enumerate(("0_b", "07_d", "1000_girl", "5_a", "2024_summer", "20240131_x")):
        image(tmp_path / name / f"{name[:2]}.png", number)
    image(tmp_path / "loose.png", 9).with_suffix(".txt").write_text("x")
    assert entries(tmp_path) == [("07_d/07.png", "d", 7), ("1000_girl/10.png", "girl", 1000), ("5_a/5_.png", "a", 5)]
    assert left(tmp_path) == {
        "in folders with 0 repeats": ("0_b/0_.png",),
        "beside the N_concept folders (move them into one, as 1_name)": (
            "20240131_x/20.png",
            "2024_summer/20.png",
            "loose.png",
        ),
        "captions of pictures that are left out": ("loose.txt",),
    }
    assert notes(tmp_path)[0].startswith("3 pictures without a caption file, so the folder's name is the caption: 07_d")


def test_a_year_is_no_number_of_repeats_and_that_is_said(tmp_path: Path) -> None:
    image(tmp_path / "2024_summer/a.png").with_suffix(".txt").write_text("x")
    assert entries(tmp_path) == [("2024_summer/a.png", "x", 1)]
    assert notes(tmp_path)[0].startswith("2024_summer is no number of repeats here, but the name of a plain folder")


MASKS = ["a-masklabel.png", "a_mask.png", "a-mask.jpg", "A.Mask.png", "a (mask).png", "a_masks.png", "mask_a.png"]


@pytest.mark.parametrize("name", [*MASKS, "Mask-A.png", "a.png.mask.png", "a.png-masklabel.png", "masks/a.png"])
def test_masks_beside_pictures_are_no_pictures(name: str, tmp_path: Path) -> None:
    image(tmp_path / "2_cup/a.png")
    image(tmp_path / "2_cup" / name, 9)
    (entry,) = read_captions(tmp_path, "text", "data.path", "data").entries
    assert (entry.name, entry.mask) == ("2_cup/a.png", f"2_cup/{name}")
    assert left(tmp_path) == {"masks of other pictures (data.mask=beside uses them)": (f"2_cup/{name}",)}


def test_a_picture_of_a_mask_that_has_a_caption_is_a_picture(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png", "b_mask.png"):
        image(tmp_path / name).with_suffix(".txt").write_text("x")
    assert [name for name, *_ in entries(tmp_path)] == ["a.png", "a_mask.png", "b_mask.png"]
    assert left(tmp_path) == {}


def test_a_trainers_mask_is_one_with_a_caption_too(tmp_path: Path) -> None:
    for name in ("a.png", "a-masklabel.png"):
        image(tmp_path / name).with_suffix(".txt").write_text("x")
    assert [name for name, *_ in entries(tmp_path)] == ["a.png"]
    assert left(tmp_path) == {
        "masks of other pictures (data.mask=beside uses them)": ("a-masklabel.png",),
        "captions of pictures that are left out": ("a-masklabel.txt",),
    }


@pytest.mark.parametrize("place", ["@SharebIn", "RECYCLER", "Network Trash Folder", "Temporary Items", "@SynoResource"])
def test_what_file_servers_put_among_pictures_is_left_out(place: str, tmp_path: Path) -> None:
    for name in ("a.png", f"{place}/a.png"):
        image(tmp_path / "2_cup" / name)
    assert entries(tmp_path) == [("2_cup/a.png", "cup", 2)]
    assert left(tmp_path) == {
        "hidden or a system's own (thumbnails, notes, waste bins)": (f"2_cup/{place}/a.png",),
    }


def test_a_concept_folder_named_itself_says_that_its_number_counts_not(tmp_path: Path) -> None:
    folder = tmp_path / "10_cup"
    image(folder / "a.png")
    assert "name the folder that 10_cup lies in" in refusal(folder)
    (folder / "a.txt").write_text("x")
    assert entries(folder) == [("a.png", "x", 1)]
    assert notes(folder)[0].startswith("the 10 of 10_cup is no number of repeats here")


@pytest.mark.parametrize("name", ["Metadata.CSV", "METADATA.csv"])
def test_a_table_is_found_in_any_case(name: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / name).write_text("file_name,text\na.png,x\n")
    assert entries(tmp_path) == [("a.png", "x", 1)]
    assert left(tmp_path) == {}


def test_files_of_another_name_are_named_where_no_captions_are(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "captions.csv").write_text("file_name,text\na.png,x\n")
    assert "no .txt files (of another name: captions.csv)" in refusal(tmp_path)


@pytest.mark.parametrize(
    "text", ["sep=;\nfile_name;text\na.png;x\n", "file_name,text,,\na.png,x,,\n", "file_name,text,\na.png,x\n"]
)
def test_a_table_as_excel_writes_it_is_read(text: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text(text)
    assert entries(tmp_path) == [("a.png", "x", 1)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "file_name,text,\na.png,a cup, red\n",
            "has 3 fields, the header 2 (file_name, text); put a text that holds commas",
        ),
        ("file_name,text\na.png;a cup\n", "has 1 field, the header 2 (file_name, text); part them by commas"),
    ],
)
def test_a_row_that_does_not_fit_its_header_is_refused_truly(text: str, problem: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text(text)
    assert problem in refusal(tmp_path)


def test_caption_files_are_found_in_any_case_and_idle_ones_said(tmp_path: Path) -> None:
    image(tmp_path / "a.PNG").with_suffix(".TXT").write_text("x")
    image(tmp_path / "IMG_1.JPG")
    (tmp_path / "img_1.txt").write_text("y")
    (tmp_path / "a.caption").write_text("z")
    (tmp_path / "gone.txt").write_text("z")
    assert entries(tmp_path) == [("IMG_1.JPG", "y", 1), ("a.PNG", "x", 1)]
    assert left(tmp_path) == {
        "captions beside another caption file": ("a.caption",),
        "captions of no picture": ("gone.txt",),
    }


def test_empty_shared_and_many_lined_captions_are_said(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        image(tmp_path / name)
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text(" \n")
    said = notes(tmp_path)
    assert said == (
        "empty captions: 1 of 3 pictures (b.png)",
        "a.jpg and a.png share a.txt",
        "1 caption file of several lines, read as one: a.txt",
    )
    (tmp_path / "a.txt").write_text("")
    assert notes(tmp_path)[0] == "all captions are empty: 3 of 3 pictures (a.jpg, a.png, b.png)"
