"""Every adapter with every optimizer with every schedule, on the pocket base: two packed steps, saved, loaded again.

Each pair of two of them comes in at least one pack, unless it is refused. All triples (minutes): `MATRIX=whole`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from foundation.adapters.files import WEIGHTS_FILE
from foundation.bases.registry import load_base
from foundation.config.compose import compose, options
from foundation.data.dataset import Dataset
from foundation.errors import ConfigError
from sweeper.records.config import parse_part, trial_config
from train.caches import EncodedDataset, encode_dataset
from train.pack import Pack
from train.spec import BaseSpec, TrainingSpec, TrialSpec

ADAPTERS = [name for name in options("adapter") if not name.startswith("lora_")]  # those are lora at one rank
OPTIMIZERS, SCHEDULES = options("optimizer"), options("lr_scheduler")
TURNS = range(len(SCHEDULES)) if os.environ.get("MATRIX") == "whole" else range(1)
BASE = BaseSpec(name="pocket", path="pocket", resolution=64)


@pytest.fixture(scope="module")
def data(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> EncodedDataset:
    return encode_dataset(load_base(BASE, torch.device("cpu")), tiny_dataset, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def parts() -> dict[tuple[str, str], object]:
    names = {"adapter": ADAPTERS, "optimizer": OPTIMIZERS, "lr_scheduler": SCHEDULES}
    return {
        (group, name): parse_part(group, compose([f"{group}={name}"])[group])
        for group, some in names.items()
        for name in some
    }


def trials(adapter: str, turn: int, parts: dict[tuple[str, str], object]) -> list[TrialSpec]:
    """The adapter with each optimizer and, in turn, each schedule; refused ones give way to the next."""
    found = []
    for number, optimizer in enumerate(OPTIMIZERS):
        for further in range(len(SCHEDULES)):
            schedule = SCHEDULES[(ADAPTERS.index(adapter) + number + turn + further) % len(SCHEDULES)]
            chosen = {"adapter": adapter, "optimizer": optimizer, "lr_scheduler": schedule}
            spec = {group: parts[group, name] for group, name in chosen.items()}
            spec["train"] = TrainingSpec(steps=2, batch_size=1, seed=number)
            try:
                found.append(trial_config(spec))  # type: ignore[arg-type]
            except ConfigError:
                continue
            break
    assert len(found) == len(OPTIMIZERS)
    return found


def output(pack: Pack, data: EncodedDataset) -> Tensor:
    """What the denoiser says, as it acts, to one noisy picture."""
    noise = torch.randn(1, *data.validation.means.shape[1:], generator=torch.Generator().manual_seed(0))
    return pack.base.predict(noise, torch.tensor([500]), data.validation.embeddings[:1])


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_two_packed_steps_saved_and_loaded_again(
    adapter: str, turn: int, data: EncodedDataset, parts: dict[tuple[str, str], object], tmp_path: Path
) -> None:
    specs = trials(adapter, turn, parts)
    pack = Pack(load_base(BASE, torch.device("cpu")), data, num_slots=len(specs))
    slots = [pack.admit(spec) for spec in specs]
    for slot in slots:
        pack.save_adapter(slot, tmp_path / f"{slot}-0")
    reports = [*pack.step(), *pack.step(), *pack.read()]
    assert not [report.failure for report in reports if report.failure]
    assert all(pack.is_finished(slot) for slot in slots)
    with pack.acting([]):
        plain = output(pack, data)
    for slot in slots:
        pack.save_adapter(slot, tmp_path / f"{slot}-2")
        before, after = (load_file(tmp_path / f"{slot}-{step}" / WEIGHTS_FILE) for step in (0, 2))
        assert any(not torch.equal(before[name], after[name]) for name in after), specs[slot].optimizer.name
        with pack.acting([slot]):
            packed = output(pack, data)
        with pack.acting_file(tmp_path / f"{slot}-2"):
            loaded = output(pack, data)
        assert torch.allclose(packed, loaded, atol=2e-4 * float(plain.abs().max())), specs[slot].optimizer.name


def test_every_pair_comes_or_is_refused(parts: dict[tuple[str, str], object]) -> None:
    came = {(spec.optimizer.name, spec.lr_scheduler.name) for adapter in ADAPTERS for spec in trials(adapter, 0, parts)}
    for optimizer in OPTIMIZERS:
        for schedule in SCHEDULES:
            if (optimizer, schedule) not in came:
                with pytest.raises(ConfigError):
                    trial_config(
                        {
                            "optimizer": parts["optimizer", optimizer],  # type: ignore[dict-item]
                            "lr_scheduler": parts["lr_scheduler", schedule],  # type: ignore[dict-item]
                        }
                    )
