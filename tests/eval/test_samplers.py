"""Another sampler draws what diffusers draws with it, and leaves the pipeline as it was."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

from eval.samplers import check_sampler, drawing_with
from eval.sampling import sample
from eval.spec import Drawing, Sampler
from foundation.bases.registry import load_plain
from foundation.bases.spec import BaseSpec
from foundation.errors import ConfigError


@pytest.fixture(scope="module")
def pipe(pipeline_folder: Path) -> Any:
    return load_plain(BaseSpec(name="tiny", path=str(pipeline_folder), resolution=16))


def trained_noise(pipe: Any) -> dict[str, Any]:
    """What a scheduler must know of the base's training."""
    config = pipe.scheduler.config
    known = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
    return {name: config[name] for name in known}


@pytest.mark.parametrize("sampler", ["ddim", "dpm++"])
def test_it_draws_as_diffusers_does_with_that_scheduler(pipe: Any, sampler: Sampler) -> None:
    drawing = Drawing(steps=4, guidance_scale=4.0, batch_rows=8, sampler=sampler)
    (drawn,) = sample(pipe, ["a red cup"], [5], drawing)
    own = pipe.scheduler
    noise = trained_noise(pipe)
    pipe.scheduler = {
        "ddim": lambda: DDIMScheduler(**noise, clip_sample=False, timestep_spacing="trailing"),
        "dpm++": lambda: DPMSolverMultistepScheduler(**noise, timestep_spacing="trailing"),
    }[sampler]()
    try:
        generator = torch.Generator().manual_seed(5)
        theirs = pipe("a red cup", generator=generator, num_inference_steps=4, guidance_scale=4.0).images[0]
        (first, *_) = pipe.scheduler.timesteps
    finally:
        pipe.scheduler = own
    assert np.abs(np.asarray(drawn, dtype=int) - np.asarray(theirs, dtype=int)).max() <= 1
    assert first == noise["num_train_timesteps"] - 1  # the end of the noise


def test_the_pipelines_own_comes_back_whatever_happens(pipe: Any) -> None:
    own = pipe.scheduler
    with drawing_with(pipe, "own"):
        assert pipe.scheduler is own
    with pytest.raises(ZeroDivisionError), drawing_with(pipe, "dpm++"):
        assert isinstance(pipe.scheduler, DPMSolverMultistepScheduler)
        raise ZeroDivisionError
    assert pipe.scheduler is own


def test_a_flow_has_its_own_alone(pipe: Any) -> None:
    flow = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler())
    check_sampler(flow, "own", "here")
    check_sampler(pipe, "dpm++", "here")
    with pytest.raises(ConfigError, match="here must be own"):
        check_sampler(flow, "ddim", "here")
