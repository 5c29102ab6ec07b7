"""What a file's header says of an adapter, beside its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from foundation.errors import ConfigError

_TRAINING: Final = {
    "ss_learning_rate": ("optimizer", "lr"),
    "ss_optimizer": ("optimizer", "name"),
    "ss_lr_scheduler": ("lr_scheduler", "name"),
    "ss_max_train_steps": ("train", "steps"),
    "ss_batch_size_per_device": ("train", "batch_size"),
    "ss_gradient_accumulation_steps": ("train", "gradient_accumulation"),
    "ss_max_grad_norm": ("train", "clip_norm"),
    "ss_mixed_precision": ("train", "precision"),
    "ss_seed": ("train", "seed"),
    "ss_noise_offset": ("objective", "noise_offset"),
    "ss_min_snr_gamma": ("objective", "snr_gamma"),
    "ss_caption_dropout_rate": ("objective", "caption_dropout"),
    "ss_network_dropout": ("adapter", "dropout"),
}
"""kohya's word for a field of the config: kohya-ss/sd-scripts train_network.py, where `metadata` is filled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a file's header says; everything may be unknown but the title."""

    title: str = "LoRA"
    """What people call it; also `ss_output_name`, by which A1111 lists it."""
    base: str = ""
    """The base's name."""
    family: str = ""
    """Its `base.family`; empty where that is not known."""
    trigger: str = ""
    """Phrase that calls up what was learnt; empty for none."""
    resolution: int | None = None
    """Side of the training pictures, pixels."""
    date: str = ""
    """When it was exported, ISO 8601; empty leaves it out, so that equal adapters give equal files."""
    steps: int | None = None
    """Training steps that are behind it."""
    training: Mapping[str, str] | None = None
    """More of kohya's `ss_…` entries."""
    more: Mapping[str, str] | None = None
    """Entries of others, by their whole names."""


def file_title(title: str) -> str:
    """The title, which files are called by.

    Raises:
        ConfigError: it is no file's name.
    """
    if not title.strip(". ") or {"/", "\\", "\0"} & set(title):
        raise ConfigError([f"title must be a file's name, without slashes, got {title!r}"])
    return title


def about_of(config: Mapping[str, Any], title: str, steps: int | None = None, date: str = "") -> About:
    """What a trial's config tells (also `sweeper train`'s, which has the trial in a group of its own)."""
    groups = {**config, **(config.get("trial") or {})}

    def field_of(group: str, field: str) -> Any:
        return (groups.get(group) or {}).get(field)

    training = {word: field_of(*where) for word, where in _TRAINING.items()}
    return About(
        title=title,
        base=str(field_of("base", "name") or ""),
        family="" if field_of("base", "family") == "auto" else str(field_of("base", "family") or ""),
        trigger=str(field_of("data", "trigger") or ""),
        resolution=field_of("base", "resolution"),
        date=date,
        steps=steps if steps is not None else field_of("train", "steps"),
        training={word: str(value) for word, value in training.items() if value is not None},
    )
