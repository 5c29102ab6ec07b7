"""The training loss of a trial: the `objective` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveSpec:
    """What the denoising loss is made of while training (validation loss is always the plain one)."""

    snr_gamma: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """min-SNR weighting with this gamma, usually 5; None is off."""
    noise_offset: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of a constant added to each channel's noise."""
    caption_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of captions replaced by the empty one."""
