"""What each trainer saves, as the benchmark writes it, is read in its order and acts as what was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

from benchmarks.epochs import NAMINGS, Naming, _write, regret
from foundation.adapters.exports import read_adapter
from foundation.adapters.exports.full import Difference
from foundation.adapters.files import saved_by, take_off
from foundation.adapters.merge.difference import weight_differences
from foundation.bases.port import Base
from train.adapters import TrialAdapter


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda naming: naming.trainer)
def test_files_of_a_trainer_are_those_that_were_trained_in_their_order(
    naming: Naming, tiny_pipeline: Path, new_base: Callable[[], Base], tmp_path: Path
) -> None:
    adapter = TrialAdapter(new_base(), "a", naming.adapter(rank=2), seed=0, steps=2)
    for number, step in enumerate((100, 200, 1000), start=1):
        with torch.no_grad():
            for parameter in adapter.parameters[0]:
                parameter += 0.1
        adapter.save(tmp_path / "trained" / str(number))
        (tmp_path / "output").mkdir(exist_ok=True)
        _write(naming, tmp_path / "trained" / str(number), tmp_path / "output" / naming.name(step, number))
    found = saved_by([str(tmp_path / "output")])
    assert [each.epoch or (each.step or 0) for each in found] in ([1, 2, 3], [100, 200, 1000])
    pipe = DiffusionPipeline.from_pretrained(tiny_pipeline)
    for number, saved in enumerate(found, start=1):
        ours, theirs = (changes(pipe, path) for path in (tmp_path / "trained" / str(number), saved.path))
        assert ours.keys() == theirs.keys() and ours["unet"].keys() == theirs["unet"].keys()
        for layer, own in ours["unet"].items():
            torch.testing.assert_close(theirs["unet"][layer].weight, own.weight, rtol=1e-4, atol=1e-6)
        assert max(float(own.weight.abs().max()) for own in ours["unet"].values()) > 1e-4


def changes(pipe: DiffusionPipeline, path: Path) -> dict[str, dict[str, Difference]]:
    """What a file adds to each layer."""
    found = weight_differences(pipe, read_adapter(path))
    take_off(pipe)
    return found


def test_regret_is_the_share_of_the_best() -> None:
    assert regret([0.2, 0.5, 0.4], 1) == 0 and regret([0.2, 0.5, 0.4], 2) == pytest.approx(20)
