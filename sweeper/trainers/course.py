"""How long and at which rate other trainers train: steps and epochs, warm-up, learning-rate curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sweeper.trainers.port import Ours, Settings, Theirs, plain


def length_settings(steps: float, epochs: float) -> Settings:
    """A training of so many steps, or, where these are 0, of so many epochs."""
    if steps:
        return {"train.steps": max(1, math.ceil(steps)), "train.epochs": None}
    return {"train.steps": None, "train.epochs": plain(epochs)}


def warmup_share(theirs: Theirs, steps: float, *names: str) -> float:
    """The share of the steps over which the rate rises: below 1 it is one, from 1 on a number of steps.

    `steps` is the training's length, 0 where it is told in epochs.
    """
    value = theirs.number(*names)
    if value <= 0:
        return 0.0
    if value < 1:
        return value
    if not steps:
        theirs.leave(
            "how many steps these epochs are is not known yet; set lr_scheduler.warmup, a share of the steps", *names
        )
        return 0.0
    if value >= steps:
        theirs.leave(f"the training ends before, after {steps:g} steps; set lr_scheduler.warmup", *names)
        return 0.0
    return plain(value / steps)


def curve_settings(curve: str, warmup: float, **fields: Any) -> Settings:
    """A curve with its warm-up: a constant rate that rises first is one of its own."""
    if curve == "constant" and warmup:
        curve = "constant_with_warmup"
    if curve == "constant_with_warmup" and not warmup:
        curve = "constant"
    return {
        "lr_scheduler": curve,
        "lr_scheduler.warmup": float(warmup),
        **{f"lr_scheduler.{name}": value for name, value in fields.items()},
    }


def ratio_settings(theirs: Theirs, rate: float, text_rate: float, trains_text: bool) -> Settings:
    """The learning rate, whether the text encoder is trained, and its rate by the denoiser's."""
    if rate <= 0:
        theirs.problems.append(f"the learning rate must be above 0, got {rate:g}")
        rate = 1e-4
    settings: Settings = {"optimizer.lr": rate, "adapter.text_encoder": trains_text}
    if trains_text:
        settings["optimizer.text_encoder_lr_ratio"] = plain(text_rate / rate)
    return settings


def rate_of(ours: Ours) -> float:
    """The learning rate that a trial's optimizer has in fact."""
    images = ours["train.batch_size"] * ours["train.gradient_accumulation"]
    growth: Mapping[str, float] = {"none": 1.0, "sqrt": math.sqrt(images), "linear": images}
    return float(f"{ours['optimizer.lr'] * growth[ours['optimizer.lr_scaling']]:.12g}")


def text_rate_of(ours: Ours) -> float:
    """The same of the text encoder."""
    return float(f"{rate_of(ours) * ours['optimizer.text_encoder_lr_ratio']:.12g}")


def side(theirs: Theirs, default: int, *names: str, several: bool = False) -> int:
    """The side of a square of the area that a resolution says: `1024`, `1024x768`, `1024,768` or a list of such.

    It is a multiple of 16; `default` where none of the names is there. Of `several` resolutions, which commas part
    then, it is the largest.
    """
    value = theirs.get(*names)
    if value is None:
        return default
    text = str(value).strip("[]() ").lower()
    rows = [row.split("x") for row in text.split(",")] if several else [text.replace("x", ",").split(",")]
    sides = [[_side(part) for part in row] for row in rows]
    if not all(all(row) and len(row) <= 2 for row in sides):
        theirs.problems.append(f"{theirs.name(*names)} must be a side in pixels, as 1024 or 1024x1024, got {value!r}")
        return default
    largest = max(row[0] * row[-1] for row in sides)
    rounded = max(16, round(math.sqrt(largest) / 16) * 16)
    if len({size for row in sides for size in row}) > 1:
        theirs.remarks.append(f"base.resolution is {rounded}, one for all, and square, got {value}")
    return rounded


def _side(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if 16 <= found <= 16384 else 0.0
