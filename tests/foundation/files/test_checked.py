"""A cache file is what was written, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from foundation.errors import DataError
from foundation.files.checked import load_checked, save_checked
from tests.foundation.files.test_durable import names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_checked(tmp_path / "a/cache.safetensors", {"x": torch.arange(6.0).reshape(2, 3).T, "none": torch.zeros(0, 4)})
    return tmp_path / "a/cache.safetensors"


def test_what_was_written_is_read_and_nothing_else_is_left(file: Path, tmp_path: Path) -> None:
    read = load_checked(file)
    assert torch.equal(read["x"], torch.tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]))
    assert read["none"].shape == (0, 4)
    assert names(tmp_path) == ["a", "a/cache.safetensors"]


def test_every_kind_of_number_can_be_written(tmp_path: Path) -> None:
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    written = {str(kind): torch.tensor([0, 1, 2]).to(kind) for kind in kinds} | {"scalar": torch.tensor(2.5)}
    save_checked(tmp_path / "x", written)
    assert all(torch.equal(tensor, written[name]) for name, tensor in load_checked(tmp_path / "x").items())


@pytest.mark.parametrize("at", [0, 9, 40, -1, -17])
def test_a_bit_that_flipped_is_noticed(at: int, file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"cache\.safetensors is damaged"):
        load_checked(file)


@pytest.mark.parametrize("length", [0, 4, 60, -1])
def test_a_file_that_was_cut_short_is_refused(length: int, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DataError, match="is damaged"):
        load_checked(file)


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checked(tmp_path / "nothing")
