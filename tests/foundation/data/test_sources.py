"""Whatever names pictures becomes a folder that `read_folder` reads, and what fits nothing gets one line."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from foundation.data.folder import read_folder
from foundation.data.sources import locate
from foundation.errors import DataError
from tests.foundation.files.test_archives import png, tar_of, zip_of

CAPTIONS = [f"a cup, {i}" for i in range(3)]


def read(path: object, cache: Path) -> list[tuple[str, bytes]]:
    """Captions and files of what a source holds, in its order."""
    pictures, _ = read_folder(locate(str(path), cache, where="data.path"), where="data.path")
    return [(picture.caption, picture.path.read_bytes()) for picture in pictures]


EXPECTED = [(caption, png(i)) for i, caption in enumerate(CAPTIONS)]


def refusal(path: object, cache: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path, cache)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def members(numbers: range = range(3)) -> dict[str, bytes]:
    texts = {f"{i:03}.txt": CAPTIONS[i].encode() for i in numbers}
    return {**{f"{i:03}.png": png(i) for i in numbers}, **texts}


def table() -> pyarrow.Table:
    pictures = [{"bytes": png(i), "path": None} for i in range(3)]
    return pyarrow.table({"image": pictures, "text": CAPTIONS, "number": [1, 2, 3]})


def saved(folder: Path) -> Path:
    """As `datasets.Dataset.save_to_disk` lays it out: Arrow streams and a note of their names."""
    folder.mkdir(parents=True)
    whole = table()
    names = []
    for number, part in enumerate((whole.slice(0, 2), whole.slice(2))):
        names.append({"filename": f"data-{number:05}-of-00002.arrow"})
        file = str(folder / names[-1]["filename"])
        with pyarrow.OSFile(file, "wb") as sink, pyarrow.ipc.new_stream(sink, part.schema) as stream:
            stream.write_table(part)
    (folder / "state.json").write_text(json.dumps({"_data_files": names, "_split": "train"}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def folder_with_text_files(folder: Path) -> Path:
    (folder / "set").mkdir()
    for name, data in members().items():
        (folder / "set" / name).write_bytes(data)
    return folder / "set"


def archive_of_one_folder(folder: Path) -> Path:
    lines = [json.dumps({"file_name": f"{i:03}.png", "text": CAPTIONS[i]}) for i in range(3)]
    inner = {f"{i:03}.png": png(i) for i in range(3)} | {"metadata.jsonl": "\n".join(lines).encode()}
    return tar_of(folder / "a.tar", {f"inner/{name}": data for name, data in inner.items()})


def shards(folder: Path) -> Path:
    tar_of(folder / "0.tar", members(range(2)))
    tar_of(folder / "1.tar", members(range(2, 3)))
    return folder


def parquet(folder: Path) -> Path:
    pyarrow.parquet.write_table(table(), folder / "train-00000.parquet")
    return folder / "train-00000.parquet"


def splits(folder: Path) -> Path:
    saved(folder / "all/train")
    (folder / "all/dataset_dict.json").write_text('{"splits": ["train"]}')
    return folder / "all"


SOURCES: dict[str, Callable[[Path], Path]] = {
    "folder": folder_with_text_files,
    "tar": lambda folder: tar_of(folder / "a.tar", members()),
    "zip": lambda folder: zip_of(folder / "a.zip", members()),
    "archive of one folder": archive_of_one_folder,
    "folder of shards": shards,
    "pattern": lambda folder: shards(folder) / "*.tar",
    "parquet": parquet,
    "folder of parquet": lambda folder: parquet(folder).parent,
    "saved data set": lambda folder: saved(folder / "saved"),
    "saved splits": splits,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_pictures_and_captions(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = SOURCES[kind](tmp_path / "in")
    assert read(path, tmp_path / "cache") == EXPECTED
    assert read(path, tmp_path / "cache") == EXPECTED  # what is there already


def test_what_fits_nothing_gets_one_line(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (tmp_path / "a.rar").touch()
    assert refusal(tmp_path / "a.rar", cache).startswith(f"data.path {tmp_path}/a.rar is not a folder of images, nor a")
    assert refusal(tmp_path / "*.tar", cache) == (
        f"data.path {tmp_path}/*.tar is not there, and as a pattern it matches no file (archives are shards/*.tar)"
    )
    assert refusal(tmp_path / "none", cache).startswith(f"data.path {tmp_path}/none is not a folder; name a folder")
    saved(tmp_path / "two/a")
    saved(tmp_path / "two/b")
    (tmp_path / "two/dataset_dict.json").touch()
    assert refusal(tmp_path / "two", cache) == f"{tmp_path}/two holds the splits a, b; name one: {tmp_path}/two/a"
    assert not cache.exists()


def test_tables_without_pictures_or_captions_are_named_and_leave_nothing(tmp_path: Path) -> None:
    file, cache = tmp_path / "a.parquet", tmp_path / "cache"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["x"]}), file)
    assert refusal(file, cache) == f"data.path: {file} holds no pictures (columns: text)"
    pyarrow.parquet.write_table(pyarrow.table({"image": [{"bytes": png()}], "say": ["x"]}), file)
    assert f'{file} has no caption "text" (texts: say); set data.caption_column' in refusal(file, cache)
    pyarrow.parquet.write_table(pyarrow.table({"image": [{"bytes": b"no"}], "text": ["x"]}), file)
    assert refusal(file, cache).startswith(f"data.path: row 0 of {file} is not a readable image: ")
    assert list(cache.iterdir()) == []


def test_without_datasets_a_name_of_the_hub_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "datasets" else find(name))
    monkeypatch.chdir(tmp_path)
    for name in ("someone/pictures", "hf://datasets/someone/pictures"):
        assert refusal(name, tmp_path / "cache").startswith("data.path someone/pictures is no folder here; if it is a")
        assert "pip install datasets" in refusal(name, tmp_path / "cache")


def test_a_data_set_of_the_hub_is_saved_by_datasets_and_read_as_a_saved_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Loaded:
        def save_to_disk(self, folder: str) -> None:
            Path(folder).rmdir()
            saved(Path(folder))

    def load_dataset(name: str, split: str) -> Loaded:
        asked.append((name, split))
        if name == "some/gone":
            raise FileNotFoundError("no such set\nand more")
        return Loaded()

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.chdir(tmp_path)
    assert read("someone/pictures", tmp_path / "cache") == EXPECTED
    assert asked == [("someone/pictures", "train")]
    assert refusal("some/gone", tmp_path / "cache") == "data.path some/gone cannot be fetched (no such set)"
    assert [path.name[:6] for path in (tmp_path / "cache").iterdir()] == ["table-"]


def test_one_archive_of_the_hub_is_fetched_or_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    archive = tar_of(tmp_path / "a.tar", members())

    def fetch(name: str, file: str, repo_type: str) -> str:
        if (name, file, repo_type) != ("some/set", "inner/a.tar", "dataset"):
            raise huggingface_hub.errors.LocalEntryNotFoundError("offline\nreally")
        return str(archive)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert read("hf://datasets/some/set/inner/a.tar", tmp_path / "cache") == EXPECTED
    assert refusal("hf://datasets/some/other/a.tar", tmp_path / "cache") == (
        "data.path hf://datasets/some/other/a.tar cannot be fetched (offline); "
        "download a.tar from https://huggingface.co/datasets/some/other and set data.path to it"
    )


def test_pictures_inside_tables_keep_their_bytes_and_kind(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "WEBP")
    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"image": [{"bytes": buffer.getvalue(), "path": "../../a.png"}], "text": ["x"]}), file
    )
    folder = locate(str(file), tmp_path / "cache", where="data.path")
    assert (folder / "000000.webp").read_bytes() == buffer.getvalue()


def said(path: object, cache: Path) -> str:
    """What reading says of what it left out; the same again when it is in the cache."""
    first, again = (read_folder(locate(str(path), cache, where="data.path"), where="data.path")[1] for _ in range(2))
    assert first == again
    return "\n".join(first)


def test_what_an_archive_holds_and_is_not_read_is_said(tmp_path: Path) -> None:
    junk = {"README.md": b"x", "a.heic": b"x", "._000.png": b"x", "@eaDir/000.png": b"x", "000.cls": b"1"}
    for archive in (tar_of(tmp_path / "a.tar", members() | junk), zip_of(tmp_path / "a.zip", members() | junk)):
        lines = said(archive, tmp_path / "cache")
        assert "2 files left out, neither pictures nor captions: README.md, 000.cls" in lines
        assert "of a kind that is not read here (save them as PNG): a.heic" in lines
        assert "2 files left out, hidden or a system's own" in lines
        assert read(archive, tmp_path / "cache") == EXPECTED


def test_other_splits_and_other_columns_with_pictures_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    two = table().append_column("mask", [[{"bytes": png(9), "path": None}] * 3])
    pyarrow.parquet.write_table(two, folder / "train-00000-of-00001.parquet")
    pyarrow.parquet.write_table(table(), folder / "test-00000-of-00001.parquet")
    lines = said(folder, tmp_path / "cache")
    assert "left out, other splits (name them by data.validation_path): test-00000-of-00001.parquet" in lines
    assert "left out, columns with pictures beside the first: mask" in lines
    assert read(folder, tmp_path / "cache") == EXPECTED
    saved(tmp_path / "all/train")
    saved(tmp_path / "all/test")
    (tmp_path / "all/dataset_dict.json").write_text("{}")
    assert "other splits (name them by data.validation_path): test" in said(tmp_path / "all", tmp_path / "cache")
    (folder / "train-00000-of-00001.parquet").rename(folder / "validation.parquet")
    assert "holds tables of several splits (test, validation); name one file" in refusal(folder, tmp_path / "cache")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (
            {"image": [{"bytes": None, "path": "a.png"}], "text": ["x"]},
            '"image" names a.png, but does not hold its bytes',
        ),
        ({"image": [{"bytes": png()}], "text": [["x", "y"]]}, 'has a list for a caption "text"; each must be a text'),
        ({"image": [{"bytes": png()}, {"bytes": png()}], "text": ["x", None]}, 'has null for a caption "text"'),
        ({"image": [{"bytes": png()}, None], "text": ["x", "y"]}, "row 1 of"),
    ],
)
def test_rows_of_tables_that_cannot_be_read_are_told_what_is_wrong(
    column: dict[str, list[object]], words: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table(column), file)
    assert words in refusal(file, tmp_path / "cache")
