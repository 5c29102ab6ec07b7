"""The winner's file for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.adapters.exports import about_of, read_adapter, readers_of, takes_base, write_format
from foundation.adapters.exports.programs import PROGRAMS
from foundation.errors import AdapterError, UserError
from foundation.files.documents import as_mapping, parse_yaml
from sweeper.results.bases import layers_of_base
from sweeper.results.file_names import WEIGHTS
from sweeper.results.winner import Winner


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOver:
    """Which files of the winner there are, and who takes them."""

    in_diffusers: bool = True
    """Whether diffusers loads the checkpoint's own file."""
    kohya: str = ""
    """The name of the file in kohya's format; empty where there is none."""
    reason: str = ""
    """Why there is none."""
    read_by: tuple[str, ...] = PROGRAMS
    """The programs that read the kohya file."""
    unread: str = ""
    """Which do not, and why; empty where all do."""


def hand_over(winner: Winner, folder: Path) -> HandedOver:
    """Write the winner's kohya file into a folder where its checkpoint's file is already.

    What no such file can hold, or cannot be read, leaves the winner as it is: the reason goes on the card.
    """
    try:
        adapter = read_adapter(folder / WEIGHTS)
    except AdapterError as error:
        return HandedOver(reason=str(error).replace(f"{folder}/", ""))
    config: Mapping[str, Any] = as_mapping(parse_yaml(winner.config, "the config") or {}, "the config")
    in_diffusers = adapter.kinds == {"LORA"}
    about = about_of(config, title=winner.study, steps=winner.step)
    try:
        base = layers_of_base(adapter, config) if takes_base("kohya", adapter) else None
        file = write_format("kohya", adapter, folder, about, base)
    except UserError as error:
        return HandedOver(in_diffusers=in_diffusers, reason=str(error))
    who = readers_of("kohya", adapter, about)
    return HandedOver(in_diffusers=in_diffusers, kohya=file.name, read_by=who.read, unread=who.unread_words)
