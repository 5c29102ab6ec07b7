"""The example scripts of diffusers: the command that starts one, as a shell script.

Source: huggingface/diffusers, examples/text_to_image/train_text_to_image_lora.py and _sdxl.py, and
examples/dreambooth/train_dreambooth_lora_sd3.py, _flux.py and _qwen_image.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from sweeper.trainers.bases import FLOWS, TEXT_IS_TRAINED, architecture, family_row, guess, path_of
from sweeper.trainers.course import (
    curve_settings,
    length_settings,
    rate_of,
    ratio_settings,
    text_rate_of,
    warmup_share,
)
from sweeper.trainers.diffusers_data import DATA
from sweeper.trainers.diffusers_fields import UNUSED
from sweeper.trainers.documents import SCRIPT
from sweeper.trainers.optimizers import Known, optimizer_arguments, optimizer_settings
from sweeper.trainers.port import Document, Fields, Ours, Row, Settings, Theirs, Trainer, choice, plain, same

_SCRIPTS: Final = {
    "sd1": "train_text_to_image_lora.py",
    "sd2": "train_text_to_image_lora.py",
    "sdxl": "train_text_to_image_lora_sdxl.py",
    "sd3": "train_dreambooth_lora_sd3.py",
    "flux": "train_dreambooth_lora_flux.py",
    "qwen_image": "train_dreambooth_lora_qwen_image.py",
}
_CURVES: Final = {
    name: name
    for name in ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial")
}
_OPTIMIZERS: Final = {
    "adamw8bit": Known(ours="adamw8bit"),
    "adamw": Known(ours="adamw"),
    "prodigy": Known(ours="prodigy", defaults={"use_bias_correction": True, "safeguard_warmup": True}),
}
_ARGUMENTS: Final = {
    "adam_beta1": "beta1",
    "adam_beta2": "beta2",
    "adam_weight_decay": "weight_decay",
    "adam_epsilon": "eps",
    "prodigy_beta3": "beta3",
    "prodigy_use_bias_correction": "use_bias_correction",
    "prodigy_safeguard_warmup": "safeguard_warmup",
}
_PRECISIONS: Final = {"no": "fp32", "fp16": "fp16", "bf16": "bf16"}
_COMMON: Final = (
    *("pretrained_model_name_or_path", "seed", "resolution", "center_crop", "random_flip", "train_batch_size"),
    *("num_train_epochs", "max_train_steps", "gradient_accumulation_steps", "gradient_checkpointing", "rank"),
    *("learning_rate", "lr_scheduler", "lr_warmup_steps", "use_8bit_adam", "adam_beta1", "adam_beta2"),
    *("adam_weight_decay", "adam_epsilon", "max_grad_norm", "mixed_precision", "dataset_name", "caption_column"),
)
_OF_TEXT_TO_IMAGE: Final = ("train_data_dir", "snr_gamma", "noise_offset")
_OF_DREAMBOOTH: Final = (
    *("optimizer", "prodigy_beta3", "prodigy_use_bias_correction", "prodigy_safeguard_warmup", "lora_alpha"),
    *("lora_dropout", "lora_layers", "lr_num_cycles", "lr_power", "weighting_scheme", "logit_mean", "logit_std"),
    *("guidance_scale", "repeats", "with_prior_preservation", "class_data_dir", "prior_loss_weight"),
)
_FLOW: Final = ("weighting_scheme", "logit_mean", "logit_std")


def _family(theirs: Theirs) -> str:
    script, path = theirs.text(SCRIPT), theirs.text("pretrained_model_name_or_path")
    if "lora" not in script:
        theirs.problems.append(f"the script must train a LoRA, train_…_lora….py, got {script}")
    marks = {"flux": "flux", "sd3": "sd3", "qwen": "qwen_image", "sdxl": "sdxl"}
    return next((family for mark, family in marks.items() if mark in script), guess(path))


def _length(theirs: Theirs) -> tuple[float, float]:
    steps, epochs = theirs.number("max_train_steps"), theirs.number("num_train_epochs")
    if steps and epochs:
        theirs.leave("max_train_steps counts before it", "num_train_epochs")
    return (steps, 0) if steps else (0, epochs or (100 if theirs.family not in FLOWS else 1))


def _write_length(trial: Ours) -> dict[str, Any]:
    if trial["train.steps"] is not None:
        return {"max_train_steps": trial["train.steps"]}
    return {"num_train_epochs": trial["train.epochs"]}


def _rank(theirs: Theirs) -> Settings:
    rank = max(1, theirs.whole("rank", default=4))
    alpha = theirs.number("lora_alpha", default=rank)
    return {"adapter": "lora", "adapter.rank": rank, "adapter.alpha_ratio": plain(alpha / rank)}


def _write_rank(trial: Ours) -> dict[str, Any]:
    if trial["adapter.name"] in ("ia3", "oft"):
        return {}
    alpha = {} if trial["adapter.alpha_ratio"] == 1 else {"lora_alpha": plain(trial.alpha)}
    return {"rank": trial["adapter.rank"], **alpha}


def _layers(theirs: Theirs) -> Settings:
    names = [name.strip() for name in theirs.text("lora_layers").split(",") if name.strip()]
    return {"adapter.targets": names or "attention"}


def _write_layers(trial: Ours) -> dict[str, Any]:
    targets = trial["adapter.targets"]
    return {} if isinstance(targets, str) else {"lora_layers": ",".join(targets)}


def _rates(theirs: Theirs) -> Settings:
    rate = theirs.number("learning_rate", default=1e-4)
    is_on = theirs.flag("train_text_encoder")
    if is_on and theirs.family not in TEXT_IS_TRAINED:
        theirs.leave("the text encoders of this base are not trained here", "train_text_encoder")
    text_rate = theirs.number("text_encoder_lr", default=rate)
    return ratio_settings(theirs, rate, text_rate, is_on and theirs.family in TEXT_IS_TRAINED)


def _write_rates(trial: Ours) -> dict[str, Any]:
    text = {"train_text_encoder": True, "text_encoder_lr": text_rate_of(trial)} if trial.trains_text else {}
    return {"learning_rate": rate_of(trial), **text}


def _optimizer(theirs: Theirs) -> Settings:
    if theirs.flag("use_8bit_adam") and theirs.text("optimizer", default="adamw").lower() == "adamw":
        theirs.fields["optimizer"] = "adamw8bit"
    known = {name: argument for name, argument in _ARGUMENTS.items() if name in theirs.fields}
    return optimizer_settings(theirs, ("optimizer",), _OPTIMIZERS, "adamw", known)


def _write_optimizer(trial: Ours) -> dict[str, Any]:
    name, arguments = optimizer_arguments(trial, _OPTIMIZERS, "adamw")
    for number, beta in enumerate(arguments.pop("betas", []), start=1):
        arguments[f"beta{number}"] = beta
    back = {argument: name for name, argument in _ARGUMENTS.items()}
    own = {"optimizer": "prodigy"} if name == "prodigy" else {"use_8bit_adam": True} if name == "adamw8bit" else {}
    return {**own, **{back[key]: value for key, value in arguments.items() if key in back}}


def _curve(theirs: Theirs) -> Settings:
    why = "there is no such curve here; the rate is constant"
    curve = theirs.word("lr_scheduler", allowed=_CURVES, default="constant", why=why)
    steps, _ = _length(theirs)
    if curve == "constant":
        theirs.idle.update({"lr_warmup_steps"} & theirs.fields.keys())
        return curve_settings("constant", 0.0)
    if "lr_warmup_steps" not in theirs.fields:
        theirs.fields["lr_warmup_steps"] = 500
        theirs.remarks.append("lr_warmup_steps is 500, the script's default")
    fields: dict[str, Any] = {}
    if curve == "cosine_with_restarts":
        fields["num_cycles"] = max(1, theirs.whole("lr_num_cycles", default=1))
    if curve == "polynomial":
        fields |= {"power": theirs.number("lr_power", default=1.0) or 1.0, "end": 0.0}
    return curve_settings(curve, warmup_share(theirs, steps, "lr_warmup_steps"), **fields)


def _write_curve(trial: Ours) -> dict[str, Any]:
    name, steps = trial["lr_scheduler.name"], trial["train.steps"]
    if name not in _CURVES:
        return {"lr_scheduler": "constant"}
    written: dict[str, Any] = {"lr_scheduler": name, "lr_warmup_steps": 0}
    if steps:
        written["lr_warmup_steps"] = round(trial["lr_scheduler.warmup"] * steps)
    if name == "cosine_with_restarts":
        written["lr_num_cycles"] = trial["lr_scheduler.num_cycles"]
    if name == "polynomial":
        written["lr_power"] = trial["lr_scheduler.power"]
    return written


def _flow(theirs: Theirs) -> Settings:
    if theirs.family not in FLOWS:
        theirs.idle.update(set(_FLOW) & theirs.fields.keys())
        return {}
    word = theirs.text("weighting_scheme", default="none" if theirs.family == "flux" else "logit_normal")
    if word == "logit_normal":
        return {
            "objective.flow_density": "logit_normal",
            "objective.flow_logit_mean": theirs.number("logit_mean"),
            "objective.flow_logit_std": theirs.number("logit_std", default=1.0),
        }
    if word != "none":
        theirs.leave("no such weighting here; times are drawn evenly", "weighting_scheme")
    return {"objective.flow_density": "uniform"}


def _write_flow(trial: Ours) -> dict[str, Any]:
    if architecture(trial) not in FLOWS:
        return {}
    if trial["objective.flow_density"] == "uniform":
        return {"weighting_scheme": "none"}
    values = ("logit_normal", trial["objective.flow_logit_mean"], trial["objective.flow_logit_std"])
    return dict(zip(_FLOW, values, strict=True))


ROWS: Final = (
    family_row(
        (SCRIPT,),
        "pretrained_model_name_or_path",
        _family,
        lambda trial: {
            SCRIPT: _SCRIPTS.get(architecture(trial), _SCRIPTS["sd1"]),
            "pretrained_model_name_or_path": path_of(trial),
        },
    ),
    Row(
        theirs=("rank", "lora_alpha"),
        ours=("adapter", "adapter.rank", "adapter.alpha_ratio"),
        read=_rank,
        write=_write_rank,
        words="alpha is the rank where nothing is said",
    ),
    Row(
        theirs=("lora_layers",),
        ours=("adapter.targets",),
        read=_layers,
        write=_write_layers,
        words="attention, or a list",
    ),
    Row(
        theirs=("lora_dropout",),
        ours=("adapter.dropout",),
        read=lambda theirs: {"adapter.dropout": theirs.number("lora_dropout")},
        write=lambda trial: {"lora_dropout": trial["adapter.dropout"]} if trial["adapter.dropout"] else {},
    ),
    Row(
        theirs=("max_train_steps", "num_train_epochs"),
        ours=("train.steps", "train.epochs"),
        read=lambda theirs: length_settings(*_length(theirs)),
        write=_write_length,
        words="steps count before epochs",
    ),
    Row(
        theirs=("learning_rate", "train_text_encoder", "text_encoder_lr"),
        ours=("optimizer.lr", "adapter.text_encoder", "optimizer.text_encoder_lr_ratio"),
        read=_rates,
        write=_write_rates,
    ),
    Row(
        theirs=("optimizer", "use_8bit_adam", *_ARGUMENTS),
        ours=("optimizer", "optimizer.*"),
        read=_optimizer,
        write=_write_optimizer,
    ),
    Row(
        theirs=("lr_scheduler", "lr_warmup_steps", "lr_num_cycles", "lr_power"),
        ours=("lr_scheduler", "lr_scheduler.*"),
        read=_curve,
        write=_write_curve,
        words="warm-up is a share of the steps",
    ),
    same("train_batch_size", "train.batch_size", "whole", 4),
    same("gradient_accumulation_steps", "train.gradient_accumulation", "whole", 1),
    same("max_grad_norm", "train.clip_norm", "number", 1.0),
    choice("mixed_precision", "train.precision", _PRECISIONS, "no", "no precision here; it is fp32"),
    same("gradient_checkpointing", "train.activation_checkpointing", "flag", False),
    same("seed", "train.seed", "whole", 0),
    same("noise_offset", "objective.noise_offset", "number", 0.0),
    same("snr_gamma", "objective.snr_gamma", "number", 0.0, off=0.0),
    Row(
        theirs=_FLOW,
        ours=("objective.flow_density", "objective.flow_logit_mean", "objective.flow_logit_std"),
        read=_flow,
        write=_write_flow,
        words="of a flow",
    ),
    Row(
        theirs=("guidance_scale",),
        ours=("base.train_guidance",),
        read=lambda theirs: (
            {"base.train_guidance": theirs.number("guidance_scale", default=3.5)} if theirs.family == "flux" else {}
        ),
        write=lambda trial: {"guidance_scale": trial["base.train_guidance"]} if trial.family == "flux" else {},
        words="of FLUX",
    ),
    *DATA,
)


def _kind_of(value: Any) -> str:
    return "a command of diffusers' scripts" if isinstance(value, Mapping) and SCRIPT in value else ""


def _flatten(documents: list[Document]) -> Fields:
    return {name: value for _, document in documents for name, value in document.items()}


def _write(written: dict[str, Any], title: str) -> dict[str, str]:
    """Return a shell script with the arguments that its script knows; it would refuse any other."""
    script = written.pop(SCRIPT)
    known = {*_COMMON, *(_OF_DREAMBOOTH if "dreambooth" in script else _OF_TEXT_TO_IMAGE)}
    known |= {"train_text_encoder"} if script == _SCRIPTS["sdxl"] else set()
    lines = [f"accelerate launch {script}", f"--output_dir={shlex.quote(title)}"]
    for name, value in written.items():
        if name not in known or value is False or value is None:
            continue
        lines.append(f"--{name}" if value is True else f"--{name}={shlex.quote(str(value))}")
    command = " \\\n  ".join(lines)
    return {f"{title}.sh": f"#!/bin/sh\n{command}\n"}


DIFFUSERS: Final = Trainer(
    name="diffusers",
    title="diffusers' example scripts: the command that starts one (.sh)",
    rows=ROWS,
    unused=UNUSED,
    kind_of=_kind_of,
    flatten=_flatten,
    write=_write,
    remarks=("the scripts of text_to_image and of dreambooth know other arguments; written are those of the one",),
)
