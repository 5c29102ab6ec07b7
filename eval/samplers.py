"""The samplers that pictures can be drawn with in place of a pipeline's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eval.spec import Sampler
from foundation.errors import ConfigError


def check_sampler(pipe: Any, sampler: Sampler, where: str) -> None:
    """Raise when `pipe` cannot draw with it; `where` names the setting.

    Raises:
        ConfigError: its denoiser was trained on a flow, which is drawn with its own.
    """
    if sampler != "own" and not hasattr(pipe.scheduler, "alphas_cumprod"):
        raise ConfigError([f"{where} must be own for a {type(pipe).__name__}, which follows a flow, got {sampler}"])


@contextmanager
def drawing_with(pipe: Any, sampler: Sampler) -> Iterator[None]:
    """Let `pipe` draw with it within the block."""
    own = pipe.scheduler
    if sampler != "own":
        pipe.scheduler = _build(own.config, sampler)
    try:
        yield
    finally:
        pipe.scheduler = own


def _build(config: Any, sampler: Sampler) -> Any:
    """The sampler for the noise that a pipeline's own scheduler is configured for.

    Steps are counted from the end of the noise (`trailing`): with few of them anything else begins at a time whose
    pictures still show something, and what is drawn is grey (Lin et al. 2024, arXiv:2305.08891).
    """
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler  # late: a supervisor does without

    if sampler == "ddim":
        return DDIMScheduler.from_config(config, timestep_spacing="trailing")
    solver = {"algorithm_type": "dpmsolver++", "solver_order": 2}
    return DPMSolverMultistepScheduler.from_config(config, timestep_spacing="trailing", **solver)
