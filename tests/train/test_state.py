"""A trial's training state on disk: at every moment the old one or the new one, and never half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.adapters.files import WEIGHTS_FILE, read_parts
from foundation.bases.port import Base
from foundation.errors import AdapterError
from foundation.files.sums import SUMS
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, OptimizerSpec, TrainingSpec, TrialSpec

SPEC = TrialSpec(adapter=AdapterSpec(rank=2), optimizer=OptimizerSpec(), train=TrainingSpec(steps=9, batch_size=1))


@pytest.fixture
def pack(new_base: Callable[[], Base], tiny_data: EncodedDataset) -> Pack:
    pack = Pack(new_base(), tiny_data, num_slots=1)
    pack.admit(SPEC)
    return pack


def resumed_at(pack: Pack, state: Path) -> int:
    pack.release(0)
    pack.admit(SPEC, resume_from=state)
    return pack.steps_done(0)


def test_wherever_a_save_is_cut_off_the_state_before_is_there(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack.step()
    pack.save_state(0, tmp_path / "state")
    places: list[str] = []
    for place in ("fsync", "chmod", "replace"):
        pack.step()

        def killed(*_: Any, place: str = place) -> None:
            places.append(place)
            assert (tmp_path / "state" / "state.pt").is_file()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, place, killed)
            with pytest.raises(KeyboardInterrupt):
                pack.save_state(0, tmp_path / "state")
    assert places == ["fsync", "chmod", "replace"]
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["state.pt"]
    assert resumed_at(pack, tmp_path / "state") == 1


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_a_state_that_was_cut_short_is_refused_and_leaves_the_slot_free(keep: int, pack: Pack, tmp_path: Path) -> None:
    pack.save_state(0, tmp_path / "state")
    file = tmp_path / "state" / "state.pt"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(AdapterError, match=r"state\.pt is damaged"):
        resumed_at(pack, tmp_path / "state")
    assert pack.admit(SPEC) == 0


def test_a_state_of_which_a_bit_has_changed_is_refused_and_one_without_a_checksum_is_read(
    pack: Pack, tmp_path: Path
) -> None:
    pack.step()
    pack.save_state(0, tmp_path / "state")
    file = tmp_path / "state" / "state.pt"
    whole = file.read_bytes()
    state = torch.load(file, weights_only=True)
    weights = next(iter(state["adapter"].values())).contiguous().numpy().tobytes()
    place = whole.index(weights)
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(AdapterError, match=r"state\.pt is damaged \(its checksum differs\)"):
        resumed_at(pack, tmp_path / "state")
    torch.save(state, file)
    pack.admit(SPEC, resume_from=tmp_path / "state")
    assert pack.steps_done(0) == 1


def test_a_checkpoints_checksum_is_beside_it_and_a_damaged_one_is_not_put_on(pack: Pack, tmp_path: Path) -> None:
    pack.save_adapter(0, tmp_path / "lora")
    file = tmp_path / "lora" / WEIGHTS_FILE
    assert {path.name for path in file.parent.iterdir()} == {WEIGHTS_FILE, SUMS}
    read_parts(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(AdapterError, match=f"is damaged .*; take a whole copy .* delete {SUMS}"):
        read_parts(file)
