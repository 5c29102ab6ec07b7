"""Every file of a folder is a picture, a text, or left out for a reason; links are read once and loops end."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.data.left_out import LeftOut, by_reason, load_left_out, save_left_out
from foundation.data.survey import OTHER, SYSTEM, UNREAD_KIND, survey


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def reasons(folder: Path) -> dict[str, tuple[str, ...]]:
    return {each.reason: each.names for each in survey(folder).left_out}


JUNK = [
    "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg",
    ".@__thumb/a.png",
    ".thumbnails/a.png",
    "Thumbs.db",
    "__MACOSX/._a.png",
    "._a.png",
    ".DS_Store",
    "#recycle/a.png",
    "$RECYCLE.BIN/a.png",
    ".ipynb_checkpoints/a-checkpoint.png",
    ".hidden/below/a.png",
    "below/@EADIR/a.jpg",
    "desktop.ini",
]


@pytest.mark.parametrize("name", JUNK)
def test_what_systems_leave_is_left_out_and_named(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.txt", name)
    found = survey(tmp_path)
    assert (found.images, found.texts) == (("a.png",), ("a.txt",))
    assert found.left_out == (LeftOut(SYSTEM, (name,)),)


def test_other_kinds_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.PNG", "b.jPeG", "A.TXT", "film.mp4", "b.heic", "README.md", "c.npz", "d")
    found = survey(tmp_path)
    assert (found.images, found.texts) == (("a.PNG", "b.jPeG"), ("A.TXT",))
    assert reasons(tmp_path) == {OTHER: ("README.md", "c.npz", "d"), UNREAD_KIND: ("b.heic", "film.mp4")}


def test_links_to_files_and_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "b.png", "b.txt", "deep/c.png")
    touch(tmp_path / "set", "a.png", "sub/d.png")
    for name, target in {
        "0": "../elsewhere",
        "1": "../elsewhere",
        "2": "sub",
        "3.png": "a.png",
        "4.png": "gone",
    }.items():
        (tmp_path / "set" / name).symlink_to(tmp_path / "set" / target)
    found = survey(tmp_path / "set")
    assert found.images == ("0/b.png", "0/deep/c.png", "a.png", "sub/d.png")
    assert reasons(tmp_path / "set") == {
        "links to what is read already": ("1", "2", "3.png"),
        "links that lead nowhere": ("4.png",),
    }


@pytest.mark.parametrize("target", [".", "..", "loop", "sub"])
def test_loops_of_links_end(target: str, tmp_path: Path) -> None:
    touch(tmp_path / "set", "a.png", "sub/b.png")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set" / target)
    (tmp_path / "set/sub/up").symlink_to(tmp_path / "set")
    assert survey(tmp_path / "set").images == ("a.png", "sub/b.png")
    assert sum(len(each.names) for each in survey(tmp_path / "set").left_out) == 2


def test_folders_that_are_another_thing_are_left_out_for_that(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "val/b.png", "val/b.txt")
    found = survey(tmp_path, {(tmp_path / "val").resolve(): "of data.validation_path"})
    assert found.images == ("a.png",)
    assert found.left_out == (LeftOut("of data.validation_path", ("val/b.png", "val/b.txt")),)


def test_what_a_source_did_not_bring_along_is_remembered(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    save_left_out(tmp_path, ())
    assert load_left_out(tmp_path) == () and not list(tmp_path.glob(".*"))
    save_left_out(tmp_path, by_reason([(OTHER, "x.doc"), (SYSTEM, "y"), (OTHER, "z")], used={"z"}))
    assert load_left_out(tmp_path) == survey(tmp_path).left_out == (LeftOut(OTHER, ("x.doc",)), LeftOut(SYSTEM, ("y",)))


def test_a_line_counts_and_names_the_first() -> None:
    assert str(LeftOut("broken", ("a",))) == "1 file left out, broken: a"
    assert str(LeftOut("broken", ("a", "b", "c", "d"))) == "4 files left out, broken: a, b, c …"
