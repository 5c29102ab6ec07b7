"""The winner's file for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from foundation.errors import AdapterError
from sweeper.winner import WEIGHTS, Winner
from train.exports import about_of, kohya_web_uis, read_adapter, write_format


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOver:
    """Which files of the winner there are, and who takes them."""

    in_diffusers: bool = True
    """Whether diffusers loads the checkpoint's own file."""
    kohya: str = ""
    """The name of the file in kohya's format; empty where there is none."""
    reason: str = ""
    """Why there is none."""
    kind: str = "LORA"
    """PEFT's type, or DORA: not every program acts out every kind."""
    web_uis: str = "A1111, Forge"
    """Who of A1111's line reads the kohya file; empty for none."""


def hand_over(winner: Winner, folder: Path) -> HandedOver:
    """Write the winner's kohya file into a folder where its checkpoint's file is already.

    What no such file can hold, or cannot be read, leaves the winner as it is: the reason goes on the card.
    """
    try:
        adapter = read_adapter(folder / WEIGHTS)
    except AdapterError as error:
        return HandedOver(reason=str(error).replace(f"{folder}/", ""))
    config: Mapping[str, Any] = yaml.safe_load(winner.config) or {}
    in_diffusers = adapter.kinds == {"LORA"}
    kind = "DORA" if adapter.has_dora else min(adapter.kinds)
    about = about_of(config, title=winner.study, steps=winner.step)
    try:
        file = write_format("kohya", adapter, folder, about)
    except AdapterError as error:
        return HandedOver(in_diffusers=in_diffusers, kind=kind, reason=str(error))
    return HandedOver(in_diffusers=in_diffusers, kind=kind, kohya=file.name, web_uis=kohya_web_uis(adapter, about))
