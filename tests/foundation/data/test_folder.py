"""A folder with `metadata.jsonl` is read or refused in one line; the split goes by what the files hold."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foundation.data.folder import Picture, read_folder, split
from foundation.errors import DataError

MIN_IMAGES = 5
"""That these folders need."""


def write(folder: Path, captions: Mapping[str, str], key: str = "text") -> Path:
    """A folder of one-coloured pictures, each in its own shade."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(captions):
        Image.new("RGB", (4, 4), (i, 255 - i, 7)).save(folder / name)
    lines = [json.dumps({"file_name": name, key: caption}) for name, caption in captions.items()]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", {f"{i}.png": f"caption {i}" for i in range(6)})


def refusal(folder: Path, **options: Any) -> str:
    """What is said when the folder is read as training reads it; always one line."""
    with pytest.raises(DataError) as caught:
        read_folder(folder, **{"where": "data.path", "min_images": MIN_IMAGES, "knobs": "data"} | options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def add_line(folder: Path, line: str) -> None:
    with (folder / "metadata.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def test_pictures_come_in_the_order_of_the_captions_with_paths_and_words(tmp_path: Path) -> None:
    names = ["b.png", "a.jpg", "ü.webp"]
    pictures, skipped = read_folder(write(tmp_path, dict.fromkeys(names, "  größer, 大 ")), where="data")
    assert [picture.path for picture in pictures] == [tmp_path / name for name in names]
    assert {picture.caption for picture in pictures} == {"größer, 大"}
    assert len({picture.digest for picture in pictures}) == 3
    assert skipped == ()
    assert pictures[0].open().getpixel((0, 0)) == (0, 255, 7)


def test_captions_as_editors_write_them_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.png": ""})
    text = '\ufeff\r\n{"file_name": "a.png", "text": "one\u2028two", "more": [1]}\r\n\r\n'
    (folder / "metadata.jsonl").write_bytes(text.encode())
    (picture,), _ = read_folder(folder, where="data")
    assert picture.caption == "one\u2028two"


def test_pictures_in_folders_below_are_read_and_another_column_can_hold_the_caption(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (picture,), _ = read_folder(write(tmp_path, {"below/a.png": "x"}, "prompt"), where="data", caption_column="prompt")
    assert picture.path == tmp_path / "below/a.png" and picture.caption == "x"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert refusal(path) == f"data.path {path} is not a folder; name a folder of images with metadata.jsonl"
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refusal(tmp_path / "file")


def test_an_empty_folder_is_named_with_what_to_write(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"data.path {tmp_path}: it holds no images; "
        'write one line {"file_name": "a.png", "text": "a caption"} for each image'
    )


def test_images_without_captions_are_counted(folder: Path) -> None:
    (folder / "metadata.jsonl").unlink()
    said = refusal(folder, caption_column="prompt")
    assert said.startswith(f"data.path {folder}: it holds 6 images but no metadata.jsonl and no .txt files; write one")
    assert '"prompt": "a caption"' in said


def test_a_line_that_is_not_json_is_named_by_its_number(folder: Path) -> None:
    add_line(folder, "\n6.png: a cup")  # an empty line before it counts, as editors count
    said = refusal(folder)
    assert said.startswith(f"{folder}/metadata.jsonl:8 is not JSON: ")
    assert said.endswith('write {"file_name": "a.png", "text": "a caption"}')


def test_a_caption_file_that_is_not_utf8_is_named(folder: Path) -> None:
    (folder / "metadata.jsonl").write_bytes('{"file_name": "0.png", "text": "größer"}'.encode("latin-1"))
    said = refusal(folder)
    assert said.startswith(f"{folder}/metadata.jsonl is not UTF-8") and said.endswith("save it as UTF-8")


@pytest.mark.parametrize("line", ["[1]", '"0.png"', '{"text": "a cup"}', '{"file_name": 3, "text": "a cup"}'])
def test_a_line_without_a_file_name_is_named(line: str, folder: Path) -> None:
    add_line(folder, line)
    assert refusal(folder).startswith(f'{folder}/metadata.jsonl:7 has no "file_name"; write {{"file_name"')


@pytest.mark.parametrize("entry", [{"caption": "a cup"}, {"caption": "a cup", "w": 4}, {"caption": "", "say": ""}])
def test_a_line_without_a_caption_shows_the_keys_it_has(entry: dict[str, Any], folder: Path) -> None:
    add_line(folder, json.dumps({"file_name": "0.png", **entry}))
    keys = ", ".join(sorted(entry))
    said = refusal(folder)
    assert said.startswith(f'{folder}/metadata.jsonl:7 has no caption "text" (other keys: {keys}); ')
    one = "" if "say" in entry else "=caption"  # of several texts none is meant more than the others
    assert said.endswith(f"name it by data.caption_column{one}")
    assert "data.caption_column" not in refusal(folder, knobs="")


def test_captions_for_files_that_are_not_there_are_named_the_first_five(folder: Path) -> None:
    for i in range(7):
        add_line(folder, json.dumps({"file_name": f"gone{i}.png", "text": "a cup"}))
    names = ", ".join(f"gone{i}.png" for i in range(5))
    assert refusal(folder) == (
        f"{folder}/metadata.jsonl has captions for files that are not there: {names} …; "
        "add the files or remove the lines"
    )


@pytest.mark.parametrize("name", ["../0.png", "below/../../0.png", "/etc/0.png"])
def test_a_file_outside_the_folder_is_refused_even_if_it_is_there(name: str, folder: Path) -> None:
    shutil.copy(folder / "0.png", folder.parent)
    add_line(folder, json.dumps({"file_name": name, "text": "a cup"}))
    where = f"{folder}/metadata.jsonl:7"
    assert refusal(folder) == f"{where} names {name}, which is outside its folder; keep images inside"


def test_an_empty_caption_file_is_named(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text(" \n")
    assert refusal(folder).startswith(f"{folder}/metadata.jsonl is empty; write one line {{")


def test_a_broken_image_is_named_and_left_out_only_when_asked(folder: Path) -> None:
    whole = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(whole[: len(whole) // 2])
    said = refusal(folder)
    assert said.startswith(f"{folder}/3.png is not a readable image: ")
    assert said.endswith("; repair or remove it, or go on without it by data.skip_broken=true")
    assert refusal(folder, knobs="").endswith("; repair or remove it")
    pictures, skipped = read_folder(folder, where="data.path", min_images=MIN_IMAGES, skip_broken=True)
    assert [picture.path.name for picture in pictures] == [f"{i}.png" for i in (0, 1, 2, 4, 5)]
    (why,) = skipped
    assert why.startswith("data.path: 1 file left out, broken: 3.png (")


def test_fewer_images_than_needed_are_refused_whether_missing_broken_or_copies(tmp_path: Path) -> None:
    four = write(tmp_path / "four", {f"{i}.png": "" for i in range(4)})
    needed = "at least 5 are needed"
    assert refusal(four) == f"data.path {four} has 4 usable images; {needed}"
    (four / "0.png").write_bytes(b"broken")
    assert refusal(four, skip_broken=True) == f"data.path {four} has 3 usable images; {needed}"
    assert len(read_folder(four, where="data", skip_broken=True)[0]) == 3
    copies = write(tmp_path / "copies", {f"{i}.png": "" for i in range(7)})
    for i in range(4, 7):
        shutil.copy(copies / "0.png", copies / f"{i}.png")
    assert refusal(copies) == f"data.path {copies} has 4 usable images (3 more are copies); {needed}"


def pictures(count: int) -> list[Picture]:
    chance = random.Random(count)
    return [Picture(Path(f"{i}.png"), "", f"{chance.getrandbits(256):064x}") for i in range(count)]


@pytest.mark.parametrize(
    ("count", "holdout", "held"),
    [
        (3, 0.2, 1),
        (5, 0.2, 1),
        (10, 0.2, 2),
        (12, 0.01, 1),
        (13, 0.01, 3),
        (15, 0.2, 3),
        (20, 0.2, 4),
        (30, 0.2, 6),
        (100, 0.2, 20),
        (20, 0.5, 10),
        (10, 0.99, 8),
    ],
)
def test_a_share_is_held_out_at_least_one_of_a_few_or_three_and_two_are_left(
    count: int, holdout: float, held: int
) -> None:
    train, validation = split(pictures(count), holdout)
    assert (len(train), len(validation)) == (count - held, held)


@pytest.mark.parametrize(("count", "at_least"), [(0, None), (1, None), (2, None), (4, 3)])
def test_of_fewer_than_both_sides_need_none_is_held_out(count: int, at_least: int | None) -> None:
    assert split(pictures(count), at_least=at_least) == (tuple(pictures(count)), ())


def test_the_split_keeps_the_order_and_no_picture_is_lost_or_on_both_sides() -> None:
    every = pictures(31)
    train, validation = split(every)
    assert sorted((*train, *validation), key=every.index) == every
    assert list(train) == sorted(train, key=every.index) and list(validation) == sorted(validation, key=every.index)
    assert split(every) == (train, validation)


def test_the_split_depends_neither_on_order_nor_on_names(folder: Path) -> None:
    read, _ = read_folder(folder, where="data")
    held = {picture.digest for picture in split(read)[1]}
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    renamed = folder.parent / "renamed"
    renamed.mkdir()
    for line in reversed(lines):
        name = json.loads(line)["file_name"]
        shutil.copy(folder / name, renamed / f"new{name}")
        add_line(renamed, json.dumps({"file_name": f"new{name}", "text": "another caption"}))
    again, _ = read_folder(renamed, where="data")
    assert [picture.digest for picture in again] == [picture.digest for picture in reversed(read)]
    assert {picture.digest for picture in split(again)[1]} == held


def test_copies_go_to_one_side_and_count_once() -> None:
    every = pictures(10)
    doubled = [*every, *(Picture(Path(f"copy-{p.path}"), p.caption, p.digest) for p in every)]
    train, validation = split(doubled)
    assert not {p.digest for p in train} & {p.digest for p in validation}
    assert len({p.digest for p in validation}) == 2 and len(validation) == 4


def test_one_more_picture_moves_few_others() -> None:
    every = pictures(40)
    before, after = ({p.digest for p in split(some)[1]} for some in (every[:-1], every))
    assert len(before ^ after) <= 2
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in before)
