"""Archives of pictures unpack into the cache; hostile ones are refused in one line and leave nothing."""

from __future__ import annotations

import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from foundation.data.left_out import LEFT_OUT_FILE
from foundation.data.survey import OTHER, SYSTEM
from foundation.errors import DataError
from foundation.files.archives import ArchiveLimits, unpack

SMALL = ArchiveLimits(files=8, total_bytes=1 << 22, file_bytes=1 << 20, ratio=50, free_bytes=1 << 16)


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def tar_of(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def tar_with(**fields: object) -> Callable[[Path], Path]:
    """Makes a tar with a good picture and one member with these fields."""

    def make(folder: Path) -> Path:
        path = tar_of(folder / "a.tar", {"good.png": png()})
        with tarfile.open(path, "a") as tar:
            info = tarfile.TarInfo("bad.png")
            for name, value in fields.items():
                setattr(info, name, value)
            tar.addfile(info, io.BytesIO(b"x" * info.size))
        return path

    return make


def zip_link(folder: Path) -> Path:
    path = zip_of(folder / "a.zip", {"good.png": png()})
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo("bad.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    return path


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "tar, absolute": (tar_with(name="/bad.png"), "/bad.png is an absolute path"),
    "tar, out": (tar_with(name="below/../../bad.png"), "below/../../bad.png leads out of the archive"),
    "tar, folder out": (tar_with(name="../below", type=tarfile.DIRTYPE), "../below leads out of the archive"),
    "tar, symlink": (tar_with(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "bad.png is a link"),
    "tar, hard link": (tar_with(type=tarfile.LNKTYPE, linkname="good.png"), "bad.png is a link"),
    "tar, device": (tar_with(type=tarfile.CHRTYPE), "bad.png is no plain file"),
    "tar, pipe": (tar_with(type=tarfile.FIFOTYPE), "bad.png is no plain file"),
    "tar, large file": (tar_with(size=(1 << 20) + 1), "bad.png is larger than 1 MiB"),
    "tar, many": (
        lambda folder: tar_of(folder / "a.tar", {f"{i}.txt": b"" for i in range(9)}),
        "it holds more than 8 files",
    ),
    "tar, large": (
        lambda folder: tar_of(folder / "a.tar", {f"{i}.png": bytes(1 << 20) for i in range(5)}),
        "it unpacks to more than 4 MiB",
    ),
    "tar, bomb": (lambda folder: tar_of(folder / "a.tar.gz", {"a.png": bytes(1 << 20)}, "w:gz"), "it unpacks to more"),
    "tar, bomb that would be skipped": (
        lambda folder: tar_of(folder / "a.tgz", {"a.bin": bytes(1 << 20)}, "w:gz"),
        "it unpacks to more",
    ),
    "tar, bomb in a name": (
        lambda folder: tar_of(folder / "a.tar.xz", {"x" * (1 << 20) + ".png": png()}, "w:xz"),
        "it unpacks to more",
    ),
    "zip, absolute": (lambda folder: zip_of(folder / "a.zip", {"g.png": png(), "/b.png": png()}), "/b.png is an abs"),
    "zip, drive": (lambda folder: zip_of(folder / "a.zip", {"C:\\b.png": png()}), "is an absolute path"),
    "zip, out": (lambda folder: zip_of(folder / "a.zip", {"g.png": png(), "..\\b.png": png()}), "leads out of the"),
    "zip, deep": (
        lambda folder: zip_of(folder / "a.zip", {"g.png": png(), "d/" * 500 + "b.png": png()}),
        "it holds folders more than 64 deep",
    ),
    "zip, symlink": (zip_link, "bad.png is a link"),
    "zip, many": (
        lambda folder: zip_of(folder / "a.zip", {f"{i}.txt": b"" for i in range(9)}),
        "it holds more than 8 files",
    ),
    "zip, bomb": (lambda folder: zip_of(folder / "a.zip", {"a.png": bytes(1 << 20)}), "it unpacks to more than"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    make, words = HOSTILE[kind]
    (tmp_path / "in").mkdir()
    archive, cache = make(tmp_path / "in"), tmp_path / "cache"
    with pytest.raises(DataError) as caught:
        unpack([archive], cache, "data.path", SMALL)
    said = str(caught.value)
    assert said.startswith(f"data.path: {archive} is refused, nothing of it was unpacked: ")
    assert words in said and "\n" not in said
    assert list(cache.iterdir()) == []
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [archive.name]


def test_a_size_that_a_zip_lies_about_is_counted_as_it_comes_out(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"a.png": bytes(1 << 20)})
    data = archive.read_bytes()
    lie = (16).to_bytes(4, "little")
    archive.write_bytes(data.replace((1 << 20).to_bytes(4, "little"), lie))
    with pytest.raises(DataError, match="cannot be unpacked|is refused"):
        unpack([archive], tmp_path / "cache", "data.path", SMALL)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.tar.gz"])
@pytest.mark.parametrize("keep", [0, 7, 300])
def test_a_damaged_archive_is_named_and_leaves_nothing(name: str, keep: int, tmp_path: Path) -> None:
    members = {"a.png": png(), "b.png": bytes(range(256)) * 8}
    archive = (
        zip_of(tmp_path / name, members)
        if name == "a.zip"
        else tar_of(tmp_path / name, members, "w:gz" if name.endswith("gz") else "w")
    )
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        unpack([archive], tmp_path / "cache", "data.path")
    assert str(caught.value).startswith(f"data.path: {archive} cannot be unpacked: ")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "A.TGZ"])
def test_pictures_and_captions_are_unpacked_and_nothing_else(name: str, tmp_path: Path) -> None:
    members = {
        "./set/a.png": png(1),
        "set/a.txt": b"a cup",
        "metadata.jsonl": b"{}",
        "run.py": b"1/0",
        "set/._a.png": b"note",
        "__MACOSX/a.png": b"note",
    }
    kinds = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}
    path = tmp_path / name
    archive = (
        zip_of(path, members) if name == "a.zip" else tar_of(path, members, kinds.get(name.lower().split(".")[-1], "w"))
    )
    folder = unpack([archive], tmp_path / "cache", "data.path")
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    noted = json.loads(found.pop(LEFT_OUT_FILE))
    assert found == {"set/a.png": png(1), "set/a.txt": b"a cup", "metadata.jsonl": b"{}"}
    assert noted == {OTHER: ["run.py"], SYSTEM: ["set/._a.png", "__MACOSX/a.png"]}


def test_it_is_unpacked_once_by_what_it_holds_whatever_its_name(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", {"a.png": png(1)})
    folder = unpack([archive], tmp_path / "cache", "data.path")
    (folder / "mark").touch()
    archive.rename(tmp_path / "b.tar")
    assert (unpack([tmp_path / "b.tar"], tmp_path / "cache", "data.path") / "mark").exists()
    tar_of(tmp_path / "b.tar", {"a.png": png(2)})
    assert not (unpack([tmp_path / "b.tar"], tmp_path / "cache", "data.path") / "mark").exists()


def test_shards_with_the_same_names_do_not_meet(tmp_path: Path) -> None:
    shards = [tar_of(tmp_path / f"{i:03}.tar", {"0.png": png(i), "0.txt": f"{i}".encode()}) for i in range(3)]
    folder = unpack(shards, tmp_path / "cache", "data.path")
    assert [file.read_text() for file in sorted(folder.rglob("*.txt"))] == ["0", "1", "2"]
