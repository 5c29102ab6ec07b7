"""What each trainer saves, as the benchmark writes it, is read in its order and acts as what was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from benchmarks.epochs import NAMINGS, Naming, _write, regret
from foundation.adapters.files import put_on, saved_by, take_off
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
        (tmp_path / "trained" / str(number)).mkdir(parents=True)
        adapter.save(tmp_path / "trained" / str(number))
        (tmp_path / "output").mkdir(exist_ok=True)
        _write(naming, tmp_path / "trained" / str(number), tmp_path / "output" / naming.name(step, number))
    found = saved_by([str(tmp_path / "output")])
    assert [each.epoch or (each.step or 0) for each in found] in ([1, 2, 3], [100, 200, 1000])
    pipe = DiffusionPipeline.from_pretrained(tiny_pipeline)
    plain = drawn_by(pipe, None)
    for number, saved in enumerate(found, start=1):
        ours, theirs = (drawn_by(pipe, path) for path in (tmp_path / "trained" / str(number), saved.path))
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)
        assert float((ours - plain).abs().max()) > 1e-3


@torch.no_grad()
def drawn_by(pipe: DiffusionPipeline, path: Path | None) -> Tensor:
    """What the denoiser makes of the same noise with a file, whoever wrote it."""
    if path is not None:
        put_on(pipe, path, "it")
    unet, generator = pipe.unet, torch.Generator().manual_seed(0)
    side, width = unet.config.sample_size, unet.config.cross_attention_dim
    noise = torch.randn(1, unet.config.in_channels, side, side, generator=generator)
    found: Tensor = unet(noise, 500, torch.randn(1, 4, width, generator=generator)).sample
    take_off(pipe)
    return found


def test_regret_is_the_share_of_the_best() -> None:
    assert regret([0.2, 0.5, 0.4], 1) == 0 and regret([0.2, 0.5, 0.4], 2) == pytest.approx(20)
