"""OneTrainer: its config or preset, and its list of concepts, both JSON.

Source: Nerogar/OneTrainer, modules/util/config/TrainConfig.py with its migrations of older files, ConceptConfig.py,
optimizer_util.py, lr_scheduler_util.py and EMAModule.py.
"""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, TEXT_IS_TRAINED, architecture, family_row, path_of, refuse
from sweeper.trainers.course import (
    curve_settings,
    length_settings,
    rate_of,
    ratio_settings,
    side,
    text_rate_of,
    warmup_share,
)
from sweeper.trainers.onetrainer_data import DATA
from sweeper.trainers.onetrainer_fields import UNUSED
from sweeper.trainers.onetrainer_files import flatten, kind_of, write_files
from sweeper.trainers.onetrainer_loss import LOSS
from sweeper.trainers.onetrainer_network import NETWORK
from sweeper.trainers.optimizers import Known, optimizer_arguments, optimizer_settings
from sweeper.trainers.port import Ours, Row, Settings, Theirs, Trainer, choice, same

_MODELS: Final = {
    "STABLE_DIFFUSION_15": "sd1",
    "STABLE_DIFFUSION_20": "sd2",
    "STABLE_DIFFUSION_20_BASE": "sd2",
    "STABLE_DIFFUSION_21": "sd2",
    "STABLE_DIFFUSION_21_BASE": "sd2",
    "STABLE_DIFFUSION_XL_10_BASE": "sdxl",
    "STABLE_DIFFUSION_3": "sd3",
    "STABLE_DIFFUSION_35": "sd3",
    "FLUX_DEV_1": "flux",
    "QWEN": "qwen_image",
}
_BACK: Final = {
    "sd1": "STABLE_DIFFUSION_15",
    "sd2": "STABLE_DIFFUSION_21",
    "sdxl": "STABLE_DIFFUSION_XL_10_BASE",
    "sd3": "STABLE_DIFFUSION_35",
    "flux": "FLUX_DEV_1",
    "qwen_image": "QWEN",
}
_OPTIMIZERS: Final = {
    "ADAMW": Known(ours="adamw"),
    "ADAMW_8BIT": Known(ours="adamw8bit"),
    "LION": Known(ours="lion"),
    "LION_8BIT": Known(ours="lion8bit", defaults={"beta2": 0.999}),
    "PRODIGY": Known(ours="prodigy", defaults={"slice_p": 11}),
    "DADAPT_ADAM": Known(ours="dadapt_adam"),
    "ADAFACTOR": Known(ours="adafactor"),
    "CAME": Known(ours="came", defaults={"weight_decay": 0.01}),
    "SCHEDULE_FREE_ADAMW": Known(ours="schedulefree_adamw", defaults={"weight_decay": 0.01}),
    "SGD": Known(ours="sgd"),
}
_CURVES: Final = {
    "CONSTANT": "constant",
    "LINEAR": "linear",
    "COSINE": "cosine",
    "COSINE_WITH_HARD_RESTARTS": "cosine_with_restarts",
    "REX": "rex",
}
_PRECISIONS: Final = {"FLOAT_32": "fp32", "TFLOAT_32": "fp32", "FLOAT_16": "fp16", "BFLOAT_16": "bf16"}
_RATES: Final = ("learning_rate", "unet.learning_rate", "transformer.learning_rate", "prior.learning_rate")
_OLD_RATES: Final = ("unet_learning_rate", "text_encoder_learning_rate")
_PARTS: Final = ("unet", "transformer", "prior")


def _family(theirs: Theirs) -> str:
    method = theirs.text("training_method", default="FINE_TUNE")
    if method != "LORA":
        theirs.problems.append(f"training_method must be LORA: that alone is trained here, got {method}")
    model = theirs.text("model_type", default="STABLE_DIFFUSION_15")
    return _MODELS.get(model) or refuse(theirs, "model_type", model)


def _write_base(trial: Ours) -> dict[str, Any]:
    return {
        "training_method": "LORA",
        "model_type": _BACK.get(architecture(trial), architecture(trial).upper()),
        "base_model_name": path_of(trial),
    }


def _rates(theirs: Theirs) -> Settings:
    rate = theirs.number(*_RATES[1:], "unet_learning_rate") or theirs.number("learning_rate", default=3e-6)
    text_names = ("text_encoder.learning_rate", "text_encoder_learning_rate")
    text_rate = theirs.number(*text_names) or theirs.number("learning_rate", default=rate)
    for part in ("unet.train", "transformer.train", "train_unet"):
        if not theirs.flag(part, default=True) and not part.startswith(_PARTS[theirs.family not in FLOWS]):
            theirs.problems.append(f"{part} must be true: the denoiser is always trained here")
    is_on = theirs.flag("text_encoder.train", "train_text_encoder", default=True)
    trains_text = is_on and theirs.family in TEXT_IS_TRAINED
    if is_on and not trains_text:
        theirs.leave("the text encoders of this base are not trained here", "text_encoder.train", *text_names)
    if not trains_text:
        theirs.idle.update(set(text_names) & theirs.fields.keys() - theirs.left.keys())
    return ratio_settings(theirs, rate, text_rate, trains_text)


def _write_rates(trial: Ours) -> dict[str, Any]:
    written: dict[str, Any] = {"learning_rate": rate_of(trial), "text_encoder.train": trial.trains_text}
    if trial.trains_text:
        written["text_encoder.learning_rate"] = text_rate_of(trial)
        written["text_encoder.stop_training_after_unit"] = "NEVER"
    if architecture(trial) == "sdxl":
        written["text_encoder_2.train"] = trial.trains_text
        if trial.trains_text:
            written["text_encoder_2.learning_rate"] = text_rate_of(trial)
            written["text_encoder_2.stop_training_after_unit"] = "NEVER"
    return written


def _optimizer(theirs: Theirs) -> Settings:
    arguments = {
        name: name[10:] for name in theirs.fields if name.startswith("optimizer.") and name[10:] != "optimizer"
    }
    if "weight_decay" in theirs.fields:
        arguments = {"weight_decay": "weight_decay", **arguments}
    arguments.pop("optimizer.__version", None)
    return optimizer_settings(theirs, ("optimizer.optimizer", "optimizer"), _OPTIMIZERS, "ADAMW", arguments)


def _write_optimizer(trial: Ours) -> dict[str, Any]:
    name, arguments = optimizer_arguments(trial, _OPTIMIZERS, "ADAMW")
    betas = {f"beta{number}": beta for number, beta in enumerate(arguments.pop("betas", []), start=1)}
    written = {"optimizer": name, **arguments, **betas, "__version": 1}
    return {f"optimizer.{key}": value for key, value in written.items()}


def _curve(theirs: Theirs) -> Settings:
    why = "there is no such curve here; the rate is constant"
    curve = theirs.word("learning_rate_scheduler", allowed=_CURVES, default="constant", why=why)
    if curve == "rex":
        theirs.remarks.append("rex falls later there: its divisor has .9 where ours, as in the paper, has .5")
    if "learning_rate_warmup_steps" not in theirs.fields:
        theirs.remarks.append("lr_scheduler.warmup is 0: 200 steps by default there, of a number that is not known yet")
    is_all = theirs.number("learning_rate_warmup_steps") == 1
    share = 0.0 if is_all else warmup_share(theirs, 0, "learning_rate_warmup_steps")
    cycles = theirs.number("learning_rate_cycles", default=1)
    fields = {"num_cycles": max(1, round(cycles))} if curve == "cosine_with_restarts" else {}
    return curve_settings(curve, share, **fields)


def _write_curve(trial: Ours) -> dict[str, Any]:
    name = trial["lr_scheduler.name"]
    words = {**{ours: word for word, ours in _CURVES.items()}, "constant_with_warmup": "CONSTANT"}
    written: dict[str, Any] = {"learning_rate_scheduler": words.get(name, "CONSTANT")}
    written["learning_rate_warmup_steps"] = trial["lr_scheduler.warmup"] if name in words else 0
    if name == "cosine_with_restarts":
        written["learning_rate_cycles"] = trial["lr_scheduler.num_cycles"]
    return written


def _average(theirs: Theirs) -> Settings:
    """Its average is updated once in so many steps; ours at each, by as much altogether."""
    if theirs.text("ema", default="OFF").upper() == "OFF":
        theirs.idle.update({"ema_decay", "ema_update_step_interval"} & theirs.fields.keys())
        return {"train.ema_decay": None}
    decay = theirs.number("ema_decay", default=0.999)
    return {
        "train.ema_decay": float(f"{decay ** (1 / max(1, theirs.whole('ema_update_step_interval', default=5))):.12g}")
    }


def _write_average(trial: Ours) -> dict[str, Any]:
    decay = trial["train.ema_decay"]
    return {"ema": "OFF"} if decay is None else {"ema": "GPU", "ema_decay": decay, "ema_update_step_interval": 1}


def _clip(theirs: Theirs) -> Settings:
    return {"train.clip_norm": theirs.number("clip_grad_norm", default=1.0)}


def _checkpointing(theirs: Theirs) -> Settings:
    names = (*(f"{part}.gradient_checkpointing" for part in _PARTS), "gradient_checkpointing")
    word = theirs.text(*names, default="ON").lower()
    return {"train.activation_checkpointing": word not in ("off", "false", "0")}


ROWS: Final = (
    family_row(("training_method", "model_type"), "base_model_name", _family, _write_base),
    Row(
        theirs=("resolution",),
        ours=("base.resolution",),
        read=lambda theirs: {"base.resolution": side(theirs, 512, "resolution", several=True)},
        write=lambda trial: {"resolution": str(trial["data.resolution"] or trial["base.resolution"])},
        words="of several the largest; the side of a square of the same area",
    ),
    *NETWORK,
    Row(
        theirs=("epochs",),
        ours=("train.epochs",),
        read=lambda theirs: length_settings(0, theirs.number("epochs", default=100)),
        write=lambda trial: {"epochs": trial["train.epochs"]} if trial["train.epochs"] else {},
        words="a length in steps has no place there",
    ),
    Row(
        theirs=(
            *_RATES,
            *_OLD_RATES,
            *("text_encoder.learning_rate", "text_encoder.train", "train_text_encoder"),
            *("unet.train", "transformer.train", "train_unet"),
        ),
        ours=("optimizer.lr", "adapter.text_encoder", "optimizer.text_encoder_lr_ratio"),
        read=_rates,
        write=_write_rates,
        words="a part's own rate counts before learning_rate; the ratio is the text encoder's / the denoiser's",
    ),
    Row(
        theirs=("optimizer", "optimizer.", "weight_decay"),
        ours=("optimizer", "optimizer.*"),
        read=_optimizer,
        write=_write_optimizer,
        words="each argument is the field of its name, or one of optimizer.settings",
    ),
    Row(
        theirs=("learning_rate_scheduler", "learning_rate_warmup_steps", "learning_rate_cycles"),
        ours=("lr_scheduler", "lr_scheduler.warmup", "lr_scheduler.num_cycles"),
        read=_curve,
        write=_write_curve,
        words="a warm-up below 1 is a share of the steps; COSINE_WITH_HARD_RESTARTS is cosine_with_restarts",
    ),
    *LOSS,
    same("batch_size", "train.batch_size", "whole", 1),
    same("gradient_accumulation_steps", "train.gradient_accumulation", "whole", 1),
    Row(
        theirs=("clip_grad_norm",),
        ours=("train.clip_norm",),
        read=_clip,
        write=lambda trial: {"clip_grad_norm": trial["train.clip_norm"]},
    ),
    Row(
        theirs=("ema", "ema_decay", "ema_update_step_interval"),
        ours=("train.ema_decay",),
        read=_average,
        write=_write_average,
        words="decay to the power of 1 / ema_update_step_interval",
    ),
    choice("train_dtype", "train.precision", _PRECISIONS, "FLOAT_16", "no precision here; it is fp16"),
    choice("output_dtype", "train.save_precision", _PRECISIONS, "FLOAT_32", "no precision here; it is fp32"),
    Row(
        theirs=(*(f"{part}.gradient_checkpointing" for part in _PARTS), "gradient_checkpointing"),
        ours=("train.activation_checkpointing",),
        read=_checkpointing,
        write=lambda trial: {f"{_part(trial)}.gradient_checkpointing": trial["train.activation_checkpointing"]},
    ),
    *DATA,
)


def _part(trial: Ours) -> str:
    return "transformer" if architecture(trial) in FLOWS else "unet"


ONETRAINER: Final = Trainer(
    name="onetrainer",
    title="OneTrainer: a config or preset, and its concepts (JSON)",
    rows=ROWS,
    unused=UNUSED,
    kind_of=kind_of,
    flatten=flatten,
    write=write_files,
    remarks=(
        "no field of its seeds a training",
        "its length is in epochs: steps x batch_size x gradient_accumulation_steps / pictures",
    ),
)
