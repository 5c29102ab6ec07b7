"""Checksums beside files: any damage is named, and coreutils reads them, too."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from foundation.files.sums import SUMS, damage, damage_of, is_as_sealed, seal, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "weights").write_bytes(bytes(range(256)))
    (tmp_path / "sub/a grüner name").write_text("text")
    write_sums(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils is not there to compare with")
def test_sha256sum_finds_the_same(folder: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    (folder / "weights").write_bytes(bytes(255))
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1


def test_what_is_whole_or_was_added_later_or_has_no_checksums_is_no_damage(folder: Path) -> None:
    (folder / "notes").write_text("a person's")
    assert damage(folder) == damage_of(folder / "weights") == damage_of(folder / "notes") == ""
    (folder / SUMS).unlink()
    (folder / "weights").write_bytes(b"")
    assert damage(folder) == damage_of(folder / "weights") == damage(folder / "nothing") == ""


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda file: file.write_bytes(bytes([1]) + bytes(range(1, 256))), "is damaged (its checksum differs from"),
        (lambda file: file.write_bytes(bytes(range(255))), "is damaged"),
        (lambda file: file.unlink(), "is gone"),
        (lambda file: (file.unlink(), file.mkdir()), "cannot be read (Is a directory)"),
    ],
)
def test_damage_of_a_file_is_named(harm: Callable[[Path], object], words: str, folder: Path) -> None:
    harm(folder / "weights")
    assert damage(folder).startswith(f"{folder / 'weights'} {words}")
    assert damage(folder) == damage_of(folder / "weights")
    assert damage_of(folder / "sub/a grüner name") == ""


@pytest.mark.parametrize("content", [b"", b"\0" * 80, b"no checksum\n", b"\xff\xfe"])
def test_damage_of_the_checksums_themselves_is_named(content: bytes, folder: Path) -> None:
    (folder / SUMS).write_bytes(content)
    assert damage(folder) == damage_of(folder / "weights") == f"{folder / SUMS} is damaged"


def test_a_sealed_archive_is_read_by_torch_and_any_changed_bit_before_its_end_is_noticed() -> None:
    buffer = io.BytesIO()
    torch.save({"weights": torch.arange(8.0)}, buffer)
    plain = buffer.getvalue()
    whole = seal(plain)
    assert is_as_sealed(whole) and is_as_sealed(plain)
    assert torch.equal(torch.load(io.BytesIO(whole), weights_only=True)["weights"], torch.arange(8.0))
    places = random.Random(0).sample(range(len(plain) - 22), 200)  # behind it stands where the seal is
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        assert not is_as_sealed(bytes(broken)), place
