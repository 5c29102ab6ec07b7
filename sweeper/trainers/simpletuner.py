"""SimpleTuner: config.json or config.env, its data backends, and its LyCORIS config.

Source: bghira/SimpleTuner, documentation/OPTIONS.md and DATALOADER.md, helpers/training/optimizer_param.py,
helpers/configuration (the names of environment variables), config/examples.
"""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import TEXT_IS_TRAINED, architecture, family_row, path_of, refuse
from sweeper.trainers.course import curve_settings, length_settings, rate_of, ratio_settings, text_rate_of, warmup_share
from sweeper.trainers.optimizers import Known, optimizer_arguments, optimizer_settings
from sweeper.trainers.port import Ours, Row, Settings, Theirs, Trainer, choice, same
from sweeper.trainers.simpletuner_data import DATA
from sweeper.trainers.simpletuner_fields import UNUSED
from sweeper.trainers.simpletuner_files import flatten, kind_of, write_files
from sweeper.trainers.simpletuner_loss import LOSS
from sweeper.trainers.simpletuner_network import NETWORK

_FAMILIES: Final = {
    "sd1x": "sd1",
    "sd2x": "sd2",
    "legacy": "sd1",
    "sdxl": "sdxl",
    "sd3": "sd3",
    "flux": "flux",
    "qwen_image": "qwen_image",
}
_BACK: Final = {"sd1": "sd1x", "sd2": "sd2x"}
_FLAGS: Final = {"flux": "flux", "stable_diffusion_3": "sd3", "stable_diffusion_legacy": "sd1"}
_OTHERS: Final = ("pixart_sigma", "kolors", "hunyuan_dit", "smoldit", "controlnet")
_ADAM: Final = {"eps": 1e-6, "weight_decay": 0.01}
_OPTIMI: Final = {"eps": 1e-6, "weight_decay": 0.0, "beta2": 0.99}
_OPTIMIZERS: Final = {
    "bnb-adamw8bit": Known(ours="adamw8bit", defaults=_ADAM),
    "bnb-adamw8bit-paged": Known(ours="adamw8bit", defaults={**_ADAM, "is_paged": True}),
    "bnb-adamw": Known(ours="adamw", defaults=_ADAM),
    "bnb-adamw-paged": Known(ours="adamw", defaults=_ADAM),
    "adamw_bf16": Known(ours="adamw", defaults=_ADAM, remark="adamw_bf16 trains weights of 16 bits; ours have 32"),
    "optimi-adamw": Known(ours="adamw", defaults=_OPTIMI),
    "optimi-lion": Known(ours="lion"),
    "bnb-lion": Known(ours="lion"),
    "bnb-lion8bit": Known(ours="lion8bit", defaults={"min_8bit_size": 4096}),
    "bnb-lion8bit-paged": Known(ours="lion8bit", defaults={"min_8bit_size": 4096, "is_paged": True}),
    "adamw_schedulefree": Known(ours="schedulefree_adamw", defaults={"weight_decay": 0.01}),
    "prodigy": Known(
        ours="prodigy",
        defaults={"beta2": 0.99},
        remark="its prodigy is ProdigyPlusScheduleFree; ours is Prodigy itself",
    ),
    "optimi-sgd": Known(ours="sgd"),
}
_CURVES: Final = {
    "constant": "constant",
    "constant_with_warmup": "constant_with_warmup",
    "polynomial": "polynomial",
    "linear": "linear",
    "cosine_with_restarts": "cosine_with_restarts",
}
_PRECISIONS: Final = {"no": "fp32", "bf16": "bf16", "fp16": "fp16"}
_ARGUMENTS: Final = "optimizer_config."


def _family(theirs: Theirs) -> str:
    kind = theirs.text("model_type", default="lora")
    if kind != "lora":
        theirs.problems.append(f"model_type must be lora: that alone is trained here, got {kind}")
    for flag in _OTHERS:
        if theirs.flag(flag):
            return refuse(theirs, flag, "true")
    word = theirs.text("model_family").lower()
    if word:
        return _FAMILIES.get(word) or refuse(theirs, "model_family", word)
    return next((family for flag, family in _FLAGS.items() if theirs.flag(flag)), "sdxl")


def _write_base(trial: Ours) -> dict[str, Any]:
    family = architecture(trial)
    return {
        "model_type": "lora",
        "model_family": _BACK.get(family, family),
        "pretrained_model_name_or_path": path_of(trial),
    }


def _length(theirs: Theirs) -> tuple[float, float]:
    """Steps and epochs; one of them is 0, and steps count first."""
    steps = theirs.number("max_train_steps")
    epochs = theirs.number("num_train_epochs")
    if not steps and not epochs:
        theirs.problems.append("max_train_steps or num_train_epochs must be above 0, got neither")
        return 1, 0
    if steps and epochs:
        theirs.leave("max_train_steps counts before it", "num_train_epochs")
    return (steps, 0) if steps else (0, epochs)


def _write_length(trial: Ours) -> dict[str, Any]:
    return {"max_train_steps": trial["train.steps"] or 0, "num_train_epochs": trial["train.epochs"] or 0}


def _rates(theirs: Theirs) -> Settings:
    rate = theirs.number("learning_rate", default=4e-7)
    is_on = theirs.flag("train_text_encoder")
    if is_on and theirs.family not in TEXT_IS_TRAINED:
        theirs.leave("the text encoders of this base are not trained here", "train_text_encoder")
    if not is_on:
        theirs.idle.update({"text_encoder_lr"} & theirs.fields.keys())
    text_rate = theirs.number("text_encoder_lr") or rate
    return ratio_settings(theirs, rate, text_rate, is_on and theirs.family in TEXT_IS_TRAINED)


def _write_rates(trial: Ours) -> dict[str, Any]:
    text = {"train_text_encoder": True, "text_encoder_lr": text_rate_of(trial)} if trial.trains_text else {}
    return {"learning_rate": rate_of(trial), **text}


def _optimizer(theirs: Theirs) -> Settings:
    arguments = {name: name.removeprefix(_ARGUMENTS) for name in theirs.fields if name.startswith(_ARGUMENTS)}
    if "optimizer" not in theirs.fields:
        theirs.problems.append("optimizer must be there, as SimpleTuner wants it")
    betas = {"optimizer_beta1": "beta1", "optimizer_beta2": "beta2"}
    return optimizer_settings(theirs, ("optimizer",), _OPTIMIZERS, "adamw_bf16", {**arguments, **betas})


def _write_optimizer(trial: Ours) -> dict[str, Any]:
    name, arguments = optimizer_arguments(trial, _OPTIMIZERS, "adamw_bf16")
    written: dict[str, Any] = {"optimizer": name}
    for number, beta in enumerate(arguments.pop("betas", [])[:2], start=1):
        written[f"optimizer_beta{number}"] = beta
    return {**written, **{f"{_ARGUMENTS}{key}": value for key, value in arguments.items()}}


def _curve(theirs: Theirs) -> Settings:
    why = "swings over and over there, as no curve here; the rate is constant"
    curve = theirs.word("lr_scheduler", allowed=_CURVES, default="constant", why=why)
    steps, _ = _length(theirs)
    share = 0.0
    if theirs.text("lr_scheduler").lower() in _CURVES and curve != "constant":
        share = warmup_share(theirs, steps, "lr_warmup_steps")
    elif theirs.number("lr_warmup_steps"):
        theirs.leave("this curve has no warm-up there, or is none here", "lr_warmup_steps")
    fields: dict[str, Any] = {}
    if curve == "cosine_with_restarts":
        fields["num_cycles"] = max(1, theirs.whole("lr_num_cycles", default=1))
    if curve == "polynomial":
        end = theirs.number("lr_end", default=4e-7) / (theirs.number("learning_rate", default=4e-7) or 1)
        fields |= {"power": theirs.number("lr_power", default=0.8) or 1.0, "end": float(f"{min(end, 0.999):.12g}")}
    return curve_settings(curve, share, **fields)


def _write_curve(trial: Ours) -> dict[str, Any]:
    name = trial["lr_scheduler.name"]
    written: dict[str, Any] = {"lr_scheduler": name if name in _CURVES else "constant"}
    if trial["lr_scheduler.warmup"] and name in _CURVES:
        steps = trial["train.steps"]
        written["lr_warmup_steps"] = (
            round(trial["lr_scheduler.warmup"] * steps) if steps else trial["lr_scheduler.warmup"]
        )
    if name == "polynomial":
        written |= {"lr_power": trial["lr_scheduler.power"], "lr_end": trial["lr_scheduler.end"] * rate_of(trial)}
    if name == "cosine_with_restarts":
        written["lr_num_cycles"] = trial["lr_scheduler.num_cycles"]
    return written


def _average(theirs: Theirs) -> Settings:
    if not theirs.flag("use_ema"):
        theirs.idle.update({"ema_decay", "ema_update_interval"} & theirs.fields.keys())
        return {"train.ema_decay": None}
    decay = theirs.number("ema_decay", default=0.995)
    return {"train.ema_decay": float(f"{decay ** (1 / max(1, theirs.whole('ema_update_interval', default=1))):.12g}")}


def _write_average(trial: Ours) -> dict[str, Any]:
    decay = trial["train.ema_decay"]
    return {"use_ema": False} if decay is None else {"use_ema": True, "ema_decay": decay}


def _seed(theirs: Theirs) -> Settings:
    seed = theirs.whole("seed", default=42)
    return {"train.seed": seed if 0 <= seed < 2**31 else 0}


ROWS: Final = (
    family_row(("model_type", "model_family", *_FLAGS), "pretrained_model_name_or_path", _family, _write_base),
    *NETWORK,
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
        words="the ratio is text_encoder_lr / learning_rate",
    ),
    Row(
        theirs=("optimizer", "optimizer_config", _ARGUMENTS, "optimizer_beta1", "optimizer_beta2"),
        ours=("optimizer", "optimizer.*"),
        read=_optimizer,
        write=_write_optimizer,
        words="each argument is the field of its name, or one of optimizer.settings",
    ),
    Row(
        theirs=("lr_scheduler", "lr_warmup_steps", "lr_num_cycles", "lr_power", "lr_end"),
        ours=("lr_scheduler", "lr_scheduler.*"),
        read=_curve,
        write=_write_curve,
        words="warm-up is a share of the steps, lr_end one of the rate; cosine and sine are no curves of ours",
    ),
    *LOSS,
    same("train_batch_size", "train.batch_size", "whole", 4),
    same("gradient_accumulation_steps", "train.gradient_accumulation", "whole", 1),
    same("max_grad_norm", "train.clip_norm", "number", 2.0),
    choice("mixed_precision", "train.precision", _PRECISIONS, "bf16", "no precision here; it is bf16"),
    same("gradient_checkpointing", "train.activation_checkpointing", "flag", False),
    Row(
        theirs=("use_ema", "ema_decay", "ema_update_interval"),
        ours=("train.ema_decay",),
        read=_average,
        write=_write_average,
        words="decay to the power of 1 / ema_update_interval",
    ),
    Row(
        theirs=("seed",),
        ours=("train.seed",),
        read=_seed,
        write=lambda trial: {"seed": trial["train.seed"]},
    ),
    *DATA,
)

SIMPLETUNER: Final = Trainer(
    name="simpletuner",
    title="SimpleTuner: config.json or config.env, its data backends and its LyCORIS config (JSON)",
    rows=ROWS,
    unused=UNUSED,
    kind_of=kind_of,
    flatten=flatten,
    write=write_files,
    remarks=("gradients are clipped one by one there, unless grad_clip_method is norm",),
)
