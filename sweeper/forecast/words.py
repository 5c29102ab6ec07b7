"""What a study will take, in words, before anything of it is loaded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch

from foundation.bases.loading import family_of
from foundation.bases.unloaded import architecture_of
from foundation.console import columns
from foundation.devices import total_memory
from sweeper.forecast.at_most import forecast_words, num_trainings
from sweeper.forecast.largest import largest_trial
from sweeper.forecast.memory import COUNTS, Memory, memory_of
from sweeper.launchers.local import devices_of
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.config import Config
from sweeper.records.history import costs_in_all
from sweeper.records.paths import trainings_of
from sweeper.search.space import Plan
from train.capacity import MEMORY_LIMIT
from train.spec import TrialSpec

_SIDE: Final = 1024
_HOUR: Final = 3600.0
_PIXEL: Final = 3
"""Bytes, before a picture is packed."""


def lines_at_start(request: Plan, config: Config) -> list[str]:
    """What a study says of memory when it begins; `config` is that of its workers.

    Raises:
        UserError: the shapes of the base are not to be had.
    """
    device = device_of(config)
    return [fits_line(config, memory_on(config, *largest_trial(request), device), total_memory(device), str(device))]


def device_of(config: Config) -> torch.device:
    """The first of this machine's."""
    spec = config.launcher if config.launcher.name == "local" else LauncherSpec()
    return torch.device(devices_of(spec)[0][0])


def memory_on(config: Config, trial: TrialSpec, kept: float, device: torch.device) -> Memory:
    """What a study's largest trial, whose optimizer keeps `kept` bytes for a number, takes of a device's memory.

    Raises:
        BaseModelError: the shapes of the base are not to be had.
    """
    return memory_of(config, trial, kept, family_of(config.base), architecture_of(config.base), device.type)


def forecast_lines(config: Config, trial: TrialSpec, memory: Memory, device: torch.device) -> Iterator[str]:
    """All that is known beforehand of a study whose largest trial is `trial`, on a device of this machine."""
    yield (
        f"the largest trial: {trial.adapter.name} of rank {trial.adapter.rank} on {_words(trial)}, batches of "
        f"{trial.train.batch_size}, {config.base.name} at {config.base.resolution}² in {config.train.precision}"
    )
    parts = ", ".join(f"{part} {_gb(size)}" for part, size in memory.base.weights.items())
    yield f"weights: {_gb(memory.weights)} ({parts})"
    total = total_memory(device)
    yield from memory_table(memory, total)
    yield fits_line(config, memory, total, str(device))
    yield forecast_words(config)
    yield _time_line(config, memory, device)
    yield _disk_line(config, memory)


def memory_table(memory: Memory, total: int) -> list[str]:
    """Peak memory by the number of trials that train at once, on a device with `total` bytes."""
    rows = []
    for count in COUNTS:
        peaks = (memory.training_peak(count), memory.judging_peak(count))
        rows.append([str(count), *map(_gb, peaks), "yes" if max(peaks) <= MEMORY_LIMIT * total else "no"])
    return columns(("trials at once", "training", "judging", "fits"), rows, right=range(3))


def fits_line(config: Config, memory: Memory, total: int, device: str) -> str:
    """What fits a device with `total` bytes, and what to set where something does not."""
    most = config.study.most_on(1) if config.study.slots == "auto" else config.study.slots
    slots = memory.slots_in(total, most)
    where = f"{device} has {_gb(total)}"
    if not slots:
        return (
            f"memory: {where}: not one trial fits; try train.activation_checkpointing=true, train.precision=bf16, a "
            "smaller train.batch_size, or base.quantization"
        )
    said = f"memory: {where}: {slots} of up to {most} trials at once fit, with {_gb(memory.training_peak(slots))}"
    rows = memory.rows_in(total, slots)
    if rows == memory.batch_rows:
        return said
    if not rows:
        return f"{said}; pictures are too large to be judged there at all"
    return f"{said}; judging wants eval.batch_rows={rows} (it is {memory.batch_rows})"


def _time_line(config: Config, memory: Memory, device: torch.device) -> str:
    """By what was measured in this study, or what the device must compute at least."""
    trainings, steps = num_trainings(config.study), config.train.num_steps
    costs = [costs_in_all(folder) for folder in trainings_of(Path(config.study.folder) / config.study.name).values()]
    measured = [each for each in costs if each.training.seconds > 0]
    if measured:
        seconds = sum(each.training.seconds + each.judging.seconds for each in measured) / len(measured)
        hours = trainings * seconds / _HOUR
        return f"time: {hours:.1f} device hours for {trainings} trainings, by the {len(measured)} of this study so far"
    flops = memory.training.flops * steps * config.train.gradient_accumulation * trainings
    rate = _products_per_second(device, config.train.precision)
    return (
        f"time: {flops / rate / _HOUR:.2g} device hours for {trainings} trainings, or more, if none ends early: so "
        f"long {device} multiplies for them, at {rate / 1e12:.3g} TFLOP/s, measured now; judging comes to it"
    )


def _products_per_second(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a product of two large matrices."""
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    side = _SIDE if device.type == "cpu" else 8 * _SIDE
    a = torch.ones(side, side, device=device, dtype=dtype)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        float((a @ a)[0, 0])  # waits for the device
        taken.append(time.perf_counter() - began)
    return 2 * side**3 / min(taken)


def _disk_line(config: Config, memory: Memory) -> str:
    trainings = num_trainings(config.study)
    saved = memory.training.adapter if config.train.save_precision == "fp32" else memory.training.adapter // 2
    evaluations = trainings * -(-config.train.num_steps // config.eval.every)
    pictures = evaluations * config.eval.usual.prompts * config.eval.usual.seeds * _PIXEL * config.base.resolution**2
    return (
        f"disk: at most {_gb(trainings * 2 * saved + pictures)}: pictures, and two adapters of {_gb(saved)} a trial; "
        f"while one runs {_gb(memory.training.adapter + memory.training.state)} more"
    )


def _words(trial: TrialSpec) -> str:
    targets = trial.adapter.targets
    layers = targets if isinstance(targets, str) else ", ".join(targets)
    return f"{layers} and the text encoder" if trial.adapter.text_encoder else layers


def _gb(size: float) -> str:
    """Of 10⁹ bytes."""
    return f"{size / 1e9:.3g} GB"
