"""kohya's sd-scripts: its training TOML and dataset TOML, and the presets of the window kohya_ss over it.

Sources: kohya-ss/sd-scripts, docs/train_network.md, docs/train_network_advanced.md, docs/config_README-en.md, and the
arguments in library/train_util.py; bmaltais/kohya_ss, kohya_gui/lora_gui.py, for what its own fields become.
"""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import TEXT_IS_TRAINED, architecture, family_row, guess, path_of, refuse
from sweeper.trainers.course import (
    curve_settings,
    length_settings,
    rate_of,
    ratio_settings,
    text_rate_of,
    warmup_share,
)
from sweeper.trainers.kohya_data import DATA
from sweeper.trainers.kohya_fields import UNUSED
from sweeper.trainers.kohya_files import flatten, kind_of, write_files
from sweeper.trainers.kohya_loss import LOSS
from sweeper.trainers.kohya_network import NETWORK
from sweeper.trainers.optimizers import Known, optimizer_arguments, optimizer_settings
from sweeper.trainers.port import Ours, Row, Settings, Theirs, Trainer, choice, plain, same

_OPTIMIZERS: Final = {
    "AdamW8bit": Known(ours="adamw8bit"),
    "PagedAdamW8bit": Known(ours="adamw8bit", defaults={"is_paged": True}),
    "AdamW": Known(ours="adamw"),
    "Lion": Known(ours="lion"),
    "Lion8bit": Known(ours="lion8bit"),
    "PagedLion8bit": Known(ours="lion8bit", defaults={"is_paged": True}),
    "Prodigy": Known(ours="prodigy"),
    "DAdaptAdam": Known(ours="dadapt_adam"),
    "DAdaptation": Known(ours="dadapt_adam"),
    "AdaFactor": Known(ours="adafactor"),
    "CAME": Known(ours="came"),
    "AdamWScheduleFree": Known(ours="schedulefree_adamw"),
    "SGDNesterov": Known(ours="sgd", defaults={"momentum": 0.9, "nesterov": True}),
}
_CURVES: Final = {
    "constant": "constant",
    "constant_with_warmup": "constant_with_warmup",
    "cosine": "cosine",
    "cosine_with_restarts": "cosine_with_restarts",
    "linear": "linear",
    "polynomial": "polynomial",
    "warmup_stable_decay": "warmup_stable_decay",
}
_PRECISIONS: Final = {"no": "fp32", "fp16": "fp16", "bf16": "bf16", "float": "fp32", "fp32": "fp32"}
_SAVED: Final = {"float": "fp32", "fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "no": "fp32"}
_FAMILY: Final = ("v2", "sdxl", "flux1_checkbox", "sd3_checkbox", "LoRA_type", "network_module")
_STEPS: Final = ("max_train_steps", "max_train_epochs", "epoch")
_BY_PERCENT: Final = "lr_warmup"
"""The window's warm-up, in percent of the steps; the scripts' own is `lr_warmup_steps`."""


def _family(theirs: Theirs) -> str:
    path = theirs.text("pretrained_model_name_or_path")
    kind = f"{theirs.text('LoRA_type')} {theirs.text('network_module')}".lower()
    for mark in ("lumina", "anima", "hunyuan", "leco"):
        if mark in kind or mark in path.lower():
            return refuse(theirs, "pretrained_model_name_or_path", path or kind)
    if "flux" in kind or theirs.flag("flux1_checkbox"):
        return "flux"
    if theirs.flag("sd3_checkbox") or "sd3" in kind:
        return "sd3"
    if theirs.flag("sdxl"):
        return "sdxl"
    return "sd2" if theirs.flag("v2") else guess(path)


def _write_base(trial: Ours) -> dict[str, Any]:
    flags = {"v2": True} if architecture(trial) == "sd2" else {}
    return {"pretrained_model_name_or_path": path_of(trial), **flags}


def _length(theirs: Theirs) -> tuple[float, float]:
    """Steps and epochs; one of them is 0. Epochs count before steps, but for the window's, whose steps do."""
    epochs = theirs.number("max_train_epochs")
    if epochs:
        theirs.leave("max_train_epochs counts before it", "max_train_steps", "epoch")
        return 0, epochs
    steps = theirs.number("max_train_steps")
    if steps or "epoch" not in theirs.fields:
        theirs.leave("max_train_steps counts before it", "epoch")
        return steps or 1600, 0
    return 0, theirs.number("epoch")


def _write_length(trial: Ours) -> dict[str, Any]:
    steps, epochs = trial["train.steps"], trial["train.epochs"]
    return {"max_train_steps": steps} if steps is not None else {"max_train_epochs": epochs}


def _rates(theirs: Theirs) -> Settings:
    rate = theirs.number("unet_lr") or theirs.number("learning_rate", default=2e-6)
    said = theirs.get("text_encoder_lr1", "text_encoder_lr")
    text_rate = theirs.number("learning_rate", default=rate)
    if isinstance(said, list):
        if len(set(map(str, said))) > 1:
            theirs.remarks.append(f"the text encoders have one rate here, the first of {said}")
        theirs.fields["text_encoder_lr"] = said = said[0] if said else rate
    if said is not None:
        text_rate = theirs.number("text_encoder_lr1", "text_encoder_lr")
    if theirs.flag("network_train_text_encoder_only"):
        theirs.problems.append("network_train_text_encoder_only must be false: the denoiser is always trained here")
    trains_text = text_rate > 0 and not theirs.flag("network_train_unet_only")
    is_cached = theirs.flag("cache_text_encoder_outputs", "sdxl_cache_text_encoder_outputs")
    if trains_text and (theirs.family not in TEXT_IS_TRAINED or (is_cached and theirs.family != "sd1")):
        trains_text = False
        theirs.leave("the text encoder of this base is not trained", "text_encoder_lr", "text_encoder_lr1")
    return ratio_settings(theirs, rate, text_rate, trains_text)


def _write_rates(trial: Ours) -> dict[str, Any]:
    written: dict[str, Any] = {"learning_rate": rate_of(trial), "unet_lr": rate_of(trial)}
    if trial["adapter.text_encoder"]:
        return {**written, "text_encoder_lr": text_rate_of(trial)}
    return {**written, "network_train_unet_only": True}


def _optimizer(theirs: Theirs) -> Settings:
    arguments = {name: name.removeprefix("optimizer_args.") for name in theirs.fields if name[:15] == "optimizer_args."}
    if theirs.text("optimizer_type", "optimizer").lower() == "adafactor":
        for name in ("relative_step", "scale_parameter"):
            if f"optimizer_args.{name}" not in theirs.fields:
                theirs.remarks.append(f"adafactor has {name}=False here, and True there by default")
    return optimizer_settings(theirs, ("optimizer_type", "optimizer"), _OPTIMIZERS, "AdamW", arguments)


def _write_optimizer(trial: Ours) -> dict[str, Any]:
    name, arguments = optimizer_arguments(trial, _OPTIMIZERS, "AdamW")
    if name == "AdaFactor":
        arguments |= {"relative_step": False, "scale_parameter": False, "warmup_init": False}
    return {"optimizer_type": name, **{f"optimizer_args.{key}": value for key, value in arguments.items()}}


def _curve(theirs: Theirs) -> Settings:
    why = "there is no such curve here; the rate is constant"
    curve = theirs.word("lr_scheduler", allowed=_CURVES, default="constant", why=why)
    steps, _ = _length(theirs)
    percent = theirs.number(_BY_PERCENT)
    names = ("lr_warmup_steps",) if theirs.number("lr_warmup_steps") else (_BY_PERCENT,)
    share = percent / 100 if names == (_BY_PERCENT,) else warmup_share(theirs, steps, *names)
    if curve == "constant" and share:
        theirs.leave("a constant rate has no warm-up there either", *names)
        share = 0.0
    fields: dict[str, Any] = {}
    if curve == "cosine_with_restarts":
        fields["num_cycles"] = max(1, theirs.whole("lr_scheduler_num_cycles", default=1))
    if curve == "polynomial":
        fields |= {"power": theirs.number("lr_scheduler_power", default=1.0) or 1.0, "end": 0.0}
    if curve == "warmup_stable_decay":
        fields["decay"] = warmup_share(theirs, steps, "lr_decay_steps") or 0.2
    return curve_settings(curve, plain(share), **fields)


def _write_curve(trial: Ours) -> dict[str, Any]:
    name = trial["lr_scheduler.name"]
    written: dict[str, Any] = {"lr_scheduler": name if name in _CURVES else "constant"}
    if trial["lr_scheduler.warmup"] and name in _CURVES:
        written["lr_warmup_steps"] = trial["lr_scheduler.warmup"]
    if name == "cosine_with_restarts":
        written["lr_scheduler_num_cycles"] = trial["lr_scheduler.num_cycles"]
    if name == "polynomial":
        written["lr_scheduler_power"] = trial["lr_scheduler.power"]
    if name == "warmup_stable_decay":
        written["lr_decay_steps"] = trial["lr_scheduler.decay"]
    return written


def _seed(theirs: Theirs) -> Settings:
    seed = theirs.whole("seed")
    if not 0 <= seed < 2**31:
        theirs.leave("seeds are from 0 to 2^31 here; it is 0", "seed")
        seed = 0
    return {"train.seed": seed}


def _clip(theirs: Theirs) -> Settings:
    norm = theirs.number("max_grad_norm", default=1.0)
    if norm == 0:  # a norm that no gradient has
        return {"train.clip_norm": 1e9}
    return {"train.clip_norm": norm}


ROWS: Final = (
    family_row(_FAMILY, "pretrained_model_name_or_path", _family, _write_base),
    *NETWORK,
    Row(
        theirs=_STEPS,
        ours=("train.steps", "train.epochs"),
        read=lambda theirs: length_settings(*_length(theirs)),
        write=_write_length,
        words="max_train_epochs counts before max_train_steps, and that before the window's epoch",
    ),
    Row(
        theirs=(
            "learning_rate",
            "unet_lr",
            "text_encoder_lr",
            "text_encoder_lr1",
            "network_train_unet_only",
            "network_train_text_encoder_only",
        ),
        ours=("optimizer.lr", "adapter.text_encoder", "optimizer.text_encoder_lr_ratio"),
        read=_rates,
        write=_write_rates,
        words="unet_lr counts before learning_rate; the ratio is text_encoder_lr / unet_lr",
    ),
    Row(
        theirs=("optimizer_type", "optimizer", "optimizer_args", "optimizer_args."),
        ours=("optimizer", "optimizer.*"),
        read=_optimizer,
        write=_write_optimizer,
        words="each argument is the field of its name, or one of optimizer.settings",
    ),
    Row(
        theirs=(
            *("lr_scheduler", "lr_warmup_steps", _BY_PERCENT),
            *("lr_scheduler_num_cycles", "lr_scheduler_power", "lr_decay_steps"),
        ),
        ours=("lr_scheduler", "lr_scheduler.*"),
        read=_curve,
        write=_write_curve,
        words="warm-up is a share of the steps; the window's lr_warmup is in percent of them",
    ),
    *LOSS,
    same("gradient_accumulation_steps", "train.gradient_accumulation", "whole", 1),
    Row(
        theirs=("max_grad_norm",),
        ours=("train.clip_norm",),
        read=_clip,
        write=lambda trial: {"max_grad_norm": 0 if trial["train.clip_norm"] >= 1e9 else trial["train.clip_norm"]},
        words="0 is a norm that no gradient has",
    ),
    Row(
        theirs=("seed",),
        ours=("train.seed",),
        read=_seed,
        write=lambda trial: {"seed": trial["train.seed"]},
    ),
    choice("mixed_precision", "train.precision", _PRECISIONS, "no", "no precision here; it is fp32"),
    choice("save_precision", "train.save_precision", _SAVED, "float", "no precision here; it is fp32"),
    same("gradient_checkpointing", "train.activation_checkpointing", "flag", False),
    *DATA,
)

KOHYA: Final = Trainer(
    name="kohya",
    title="kohya's sd-scripts: training and dataset TOML, and presets of the window kohya_ss (JSON)",
    rows=ROWS,
    unused=UNUSED,
    kind_of=kind_of,
    flatten=flatten,
    write=write_files,
    remarks=("network_dropout drops what the down matrix gives; here it drops the adapter's input",),
)
