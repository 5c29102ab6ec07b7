"""What remains different when a trial of ours is written as another trainer's config and read again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from eval.spec import EvalSpec
from foundation.bases.families import FAMILIES
from foundation.config.parse import parse
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS, parse_part
from sweeper.trainers.documents import parse_document
from sweeper.trainers.experiment import parts_of
from sweeper.trainers.port import Ours, Trainer
from sweeper.trainers.reading import Reading, read
from train.spec import AdapterSpec, BaseSpec, DataSpec, LrSchedulerSpec, ObjectiveSpec, OptimizerSpec, TrainingSpec
from train.spec.adapter_kinds import ADAPTER_KINDS
from train.spec.lr_scheduler import CURVES

_GROUPS: Final = {**TRIAL_GROUPS, "base": BaseSpec, "data": DataSpec, "eval": EvalSpec}
_HOW: Final = ("attention", "activation_checkpointing", "compile", "cuda_graphs", "compile_rank")
"""Fields of a training that change no number of it, but for roundings."""
_PICTURES: Final = ("path", "regularization_path", "repeats", "crop", "flip", "buckets", "mask", "mask_path")
_NO_PATH: Final = "a folder to be named"
_NONE: Final = "the library's default"


def trial_of(config: Mapping[str, Any]) -> Ours:
    """Return a trial's config, as a study or `sweeper train` keeps it, complete and checked.

    Raises:
        ConfigError: a line for each value that is none of its field.
    """
    groups = {**config, **(config.get("trial") or {})}
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, kind in _GROUPS.items():
        values = groups.get(name) or {}
        try:
            spec = parse_part(name, values) if name in TRIAL_GROUPS else parse(kind, values, where=name)
            found[name] = dataclasses.asdict(spec)  # type: ignore[call-overload]
        except ConfigError as error:
            if name != "eval":  # `sweeper train` has none
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Ours({"eval": {"class_word": ""}, **found})


def write(trainer: Trainer, trial: Ours, title: str) -> dict[str, str]:
    """Return a trial as the files of another trainer's config, by name."""
    written: dict[str, Any] = {}
    for row in trainer.rows:
        written.update(row.write(trial))
    return trainer.write(written, title)


def read_again(trainer: Trainer, files: Mapping[str, str]) -> Reading:
    """Read what was written."""
    return read(trainer, trainer.flatten([(name, parse_document(name, text.encode())) for name, text in files.items()]))


def differences(trial: Ours, again: Reading) -> Iterator[str]:
    """Yield a line for each setting of the trial that is another one when its written config is read again."""
    settings = {**again.settings, "data.path": again.settings.get("data.path") or _NO_PATH}
    ours, theirs = _essence(trial), _essence(trial_of(parts_of(settings)))
    for path in dict.fromkeys((*ours, *theirs)):
        one, other = ours.get(path, _NONE), theirs.get(path, _NONE)
        if not _same(one, other):
            yield f"{path}: {_words(one)} here, {_words(other)} there"


def _essence(trial: Ours) -> dict[str, Any]:
    """What counts of a trial, by path: fields without effect left out, those with a stand-in filled in."""
    parts = {name: parse_part(name, trial.config[name]) for name in TRIAL_GROUPS}
    adapter, optimizer, train = parts["adapter"], parts["optimizer"], parts["train"]
    curve, objective = parts["lr_scheduler"], parts["objective"]
    assert isinstance(adapter, AdapterSpec) and isinstance(optimizer, OptimizerSpec)
    assert (
        isinstance(train, TrainingSpec) and isinstance(curve, LrSchedulerSpec) and isinstance(objective, ObjectiveSpec)
    )
    return {
        **_of_base(trial, adapter),
        **_of_adapter(adapter),
        **_of_optimizer(optimizer, train, adapter.text_encoder),
        "lr_scheduler.name": curve.name,
        "lr_scheduler.warmup": curve.warmup,
        **{f"lr_scheduler.{name}": getattr(curve, name) for name in CURVES[curve.name].fields},
        **_of_objective(objective, trial),
        **{f"train.{name}": value for name, value in dataclasses.asdict(train).items() if name not in _HOW},
        **_of_pictures(trial),
    }


def _of_base(trial: Ours, adapter: AdapterSpec) -> dict[str, Any]:
    found = {f"base.{name}": trial[f"base.{name}"] for name in ("family", "path")}
    if trial.family == "flux":
        found["base.train_guidance"] = trial["base.train_guidance"]
    found["base.quantization"] = trial["base.quantization"]
    return found


def _of_adapter(adapter: AdapterSpec) -> dict[str, Any]:
    fields = ADAPTER_KINDS[adapter.name].fields
    found = {f"adapter.{name}": getattr(adapter, name) for name in sorted(fields)}
    if {"rank", "conv_rank"} <= fields and (adapter.name == "locon" or adapter.targets == "all"):
        found["adapter.conv_rank"] = adapter.conv_rank or adapter.rank
        found["adapter.conv_alpha_ratio"] = adapter.conv_alpha_ratio or adapter.alpha_ratio
    else:
        found.pop("adapter.conv_rank", None)
        found.pop("adapter.conv_alpha_ratio", None)
    if "text_encoder_rank" in fields:
        found["adapter.text_encoder_rank"] = (
            (adapter.text_encoder_rank or adapter.rank) if adapter.text_encoder else None
        )
    return found


def _of_optimizer(optimizer: OptimizerSpec, train: TrainingSpec, trains_text: bool) -> dict[str, Any]:
    all_arguments = optimizer.arguments(train.images_per_step)
    arguments = {name: value for name, value in all_arguments.items() if name not in optimizer.kind.given}
    found = {"optimizer.name": optimizer.name, **{f"optimizer.{name}": value for name, value in arguments.items()}}
    if trains_text:
        found["optimizer.text_encoder_lr_ratio"] = optimizer.text_encoder_lr_ratio
    return found


def _of_objective(objective: ObjectiveSpec, trial: Ours) -> dict[str, Any]:
    found = dataclasses.asdict(objective)
    follows_flow = FAMILIES[trial.family].noise == "flow" if trial.family in FAMILIES else False
    idle = {
        ("huber_c", "huber_schedule"): objective.loss == "mse",
        ("multires_discount",): not objective.multires_iterations,
        ("flow_density", "flow_shift"): not follows_flow,
        ("flow_logit_mean", "flow_logit_std"): not follows_flow or objective.flow_density == "uniform",
        ("prior_weight",): not trial["data.regularization_path"],
        ("keep_tags",): not objective.shuffle_tags and not objective.tag_dropout,
        ("unmasked_weight",): trial["data.mask"] == "none",
    }
    left_out = {name for names, is_idle in idle.items() if is_idle for name in names}
    return {f"objective.{name}": value for name, value in found.items() if name not in left_out}


def _of_pictures(trial: Ours) -> dict[str, Any]:
    buckets = ("bucket_min", "bucket_max", "bucket_step") if trial["data.buckets"] else ()
    found = {f"data.{name}": trial[f"data.{name}"] for name in (*_PICTURES, *buckets)}
    found["data.path"] = found["data.path"] or _NO_PATH
    return {**found, "data.resolution": trial["data.resolution"] or trial["base.resolution"]}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return math.isclose(one, other, rel_tol=1e-9) if numbers else bool(one == other)


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return (
        {None: "none", True: "on", False: "off"}.get(value, str(value)) if value in (None, True, False) else str(value)
    )
