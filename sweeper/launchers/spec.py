"""Where workers run: the `launcher` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from foundation.config.installed import NameIn
from sweeper.launchers import LAUNCHERS

if TYPE_CHECKING:
    LauncherName = str
else:
    LauncherName = Annotated[str, NameIn(LAUNCHERS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class LauncherSpec:
    """Where workers run."""

    name: LauncherName = "local"
    """Who starts the workers; local: as processes on this machine."""
    devices: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    """Devices as torch names them (`cuda:0`), one worker each; auto takes every GPU, or the CPU. One that is not there,
    or fails, is said, and the others go on with its trials."""
    load_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 7200.0
    """A worker that is silent for so long while it loads, encodes the pictures or measures has hung: it is ended, and
    its trials go on from their last evaluation; null: it never counts as hung there."""
    first_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 1800.0
    """The same for the first steps of a trial, which may compile, and for a worker's first judgement."""
    hang_factor: Annotated[float, Field(ge=2, allow_inf_nan=False)] | None = 20.0
    """The same after them: silent for so many times its longest silence so far while it trains (ten steps) or judges
    (one denoising step of a batch), and for a minute at least, longer where the cores are shared by many; null: never.
    """
    settings: dict[str, Any] = field(default_factory=dict)
    """What a launcher of another package wants to know beside; local takes none."""
