"""Ostris' ai-toolkit: its job, YAML or JSON.

Source: ostris/ai-toolkit, toolkit/config_modules.py, optimizer.py, scheduler.py, and config/examples.
"""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.ai_toolkit_data import DATA
from sweeper.trainers.ai_toolkit_fields import UNUSED
from sweeper.trainers.ai_toolkit_files import flatten, kind_of, write_files
from sweeper.trainers.ai_toolkit_network import NETWORK
from sweeper.trainers.bases import FLOWS, TEXT_IS_TRAINED, architecture, family_row, path_of, refuse
from sweeper.trainers.course import curve_settings, length_settings, rate_of, ratio_settings, text_rate_of, warmup_share
from sweeper.trainers.optimizers import Known, optimizer_arguments, optimizer_settings
from sweeper.trainers.port import Ours, Row, Settings, Theirs, Trainer, choice, plain, same

_ARCHITECTURES: Final = {
    "sd1": "sd1",
    "sd15": "sd1",
    "sd2": "sd2",
    "sdxl": "sdxl",
    "sd3": "sd3",
    "flux": "flux",
    "qwen_image": "qwen_image",
}
_FLAGS: Final = {"is_flux": "flux", "is_v3": "sd3", "is_xl": "sdxl", "is_v2": "sd2"}
_OTHERS: Final = ("is_pixart", "is_auraflow", "is_lumina2", "is_vega", "is_ssd", "is_flux2")
_ADAM: Final = {"eps": 1e-6}
"""What it gives all Adams."""
_OPTIMIZERS: Final = {
    "adamw8bit": Known(ours="adamw8bit", defaults=_ADAM),
    "adamw": Known(ours="adamw", defaults=_ADAM),
    "adam8bit": Known(ours="adamw8bit", defaults={**_ADAM, "weight_decay": 0.0}),
    "adam": Known(ours="adamw", defaults={**_ADAM, "weight_decay": 0.0}),
    "adamw8": Known(ours="adamw8bit", defaults={**_ADAM, "weight_decay": 0.0}, remark="adamw8 is 8-bit in its own way"),
    "lion": Known(ours="lion"),
    "lion8bit": Known(ours="lion8bit"),
    "prodigy": Known(ours="prodigy", defaults=_ADAM),
    "prodigy8bit": Known(ours="prodigy", defaults=_ADAM, remark="prodigy8bit keeps its state in 8 bits; ours does not"),
    "dadaptation": Known(ours="dadapt_adam", defaults=_ADAM),
    "adafactor": Known(ours="adafactor"),
}
_CURVES: Final = {
    "none": "constant",
    "constant": "constant",
    "constant_with_warmup": "constant_with_warmup",
    "cosine": "cosine",
    "cosine_with_restarts": "cosine_with_restarts",
}
_PRECISIONS: Final = {
    "bf16": "bf16",
    "bfloat16": "bf16",
    "fp16": "fp16",
    "float16": "fp16",
    "fp32": "fp32",
    "float32": "fp32",
    "float": "fp32",
}
_ACCUMULATION: Final = ("train.gradient_accumulation", "train.gradient_accumulation_steps")
_PARAMS: Final = "train.lr_scheduler_params."
_ARGUMENTS: Final = "train.optimizer_params."


def _family(theirs: Theirs) -> str:
    kind = theirs.text("type", default="sd_trainer")
    if kind not in ("sd_trainer", "ui_trainer", "diffusion_trainer"):
        theirs.problems.append(f"type must be sd_trainer: pictures alone are learned from here, got {kind}")
    word = theirs.text("model.arch").lower()
    if word and word not in _ARCHITECTURES:
        return refuse(theirs, "model.arch", word)
    for flag in _OTHERS:
        if theirs.flag(f"model.{flag}"):
            return refuse(theirs, f"model.{flag}", "true")
    flags = [family for flag, family in _FLAGS.items() if theirs.flag(f"model.{flag}")]
    return _ARCHITECTURES[word] if word else flags[0] if flags else "sd1"


def _write_base(trial: Ours) -> dict[str, Any]:
    return {"type": "sd_trainer", "model.name_or_path": path_of(trial), "model.arch": architecture(trial)}


def _accumulation(theirs: Theirs) -> int:
    return max(1, theirs.whole(_ACCUMULATION[0], default=1), theirs.whole(_ACCUMULATION[1], default=1))


def _steps(theirs: Theirs) -> float:
    """Optimizer steps; its older way of accumulating counts each pass as one."""
    passes = max(1, theirs.whole(_ACCUMULATION[1], default=1))
    return plain(theirs.number("train.steps", default=1000) / passes)


def _rates(theirs: Theirs) -> Settings:
    rate = theirs.number("train.unet_lr") or theirs.number("train.lr", default=1e-6)
    text_rate = theirs.number("train.text_encoder_lr") or theirs.number("train.lr", default=rate)
    if not theirs.flag("train.train_unet", default=True):
        theirs.problems.append("train.train_unet must be true: the denoiser is always trained here")
    is_on = theirs.flag("train.train_text_encoder")
    if is_on and theirs.family not in TEXT_IS_TRAINED:
        theirs.leave("the text encoders of this base are not trained here", "train.train_text_encoder")
    if not is_on:
        theirs.idle.update({"train.text_encoder_lr"} & theirs.fields.keys())
    return ratio_settings(theirs, rate, text_rate, is_on and theirs.family in TEXT_IS_TRAINED)


def _write_rates(trial: Ours) -> dict[str, Any]:
    text = {"train.text_encoder_lr": text_rate_of(trial)} if trial.trains_text else {}
    return {"train.lr": rate_of(trial), "train.train_unet": True, "train.train_text_encoder": trial.trains_text, **text}


def _optimizer(theirs: Theirs) -> Settings:
    arguments = {name: name.removeprefix(_ARGUMENTS) for name in theirs.fields if name.startswith(_ARGUMENTS)}
    return optimizer_settings(theirs, ("train.optimizer",), _OPTIMIZERS, "adamw", arguments)


def _write_optimizer(trial: Ours) -> dict[str, Any]:
    name, arguments = optimizer_arguments(trial, _OPTIMIZERS, "adamw")
    if "eps" in _OPTIMIZERS.get(name, Known(ours="")).defaults:
        arguments.pop("eps", None)  # it is given already, and would be a second of its name
    return {"train.optimizer": name, **{f"{_ARGUMENTS}{key}": value for key, value in arguments.items()}}


def _curve(theirs: Theirs) -> Settings:
    why = "there is no such curve here, or another of its name; the rate is constant"
    curve = theirs.word("train.lr_scheduler", allowed=_CURVES, default="constant", why=why)
    names = (f"{_PARAMS}num_warmup_steps",)
    share = 0.0
    if curve in ("cosine", "constant_with_warmup"):
        share = warmup_share(theirs, _steps(theirs), *names)
    elif theirs.number(*names):
        theirs.leave("this curve has no warm-up there", *names)
    fields = {}
    if curve == "cosine_with_restarts":
        period = theirs.number(f"{_PARAMS}T_0", f"{_PARAMS}total_iters") or _steps(theirs)
        fields["num_cycles"] = max(1, round(_steps(theirs) / period))
    return curve_settings(curve, share, **fields)


def _write_curve(trial: Ours) -> dict[str, Any]:
    name, steps = trial["lr_scheduler.name"], trial["train.steps"]
    if name not in _CURVES or steps is None:
        return {"train.lr_scheduler": "constant"}
    written: dict[str, Any] = {"train.lr_scheduler": name}
    if name in ("cosine", "constant_with_warmup"):
        written[f"{_PARAMS}num_warmup_steps"] = round(trial["lr_scheduler.warmup"] * steps)
    if name == "cosine_with_restarts":
        written[f"{_PARAMS}T_0"] = round(steps / trial["lr_scheduler.num_cycles"])
    return written


def _average(theirs: Theirs) -> Settings:
    if not theirs.flag("train.ema_config.use_ema"):
        theirs.idle.update({"train.ema_config.ema_decay"} & theirs.fields.keys())
        return {"train.ema_decay": None}
    return {"train.ema_decay": theirs.number("train.ema_config.ema_decay", default=0.999)}


def _write_average(trial: Ours) -> dict[str, Any]:
    decay = trial["train.ema_decay"]
    on = {"train.ema_config.use_ema": decay is not None}
    return on if decay is None else {**on, "train.ema_config.ema_decay": decay}


def _gamma(theirs: Theirs) -> Settings:
    names = ("train.min_snr_gamma", "train.snr_gamma")
    if theirs.family in FLOWS and theirs.number(*names):
        theirs.leave("a flow has no signal-to-noise weights", *names)
        return {"objective.snr_gamma": None}
    if theirs.number("train.snr_gamma"):
        theirs.leave("weighs all timesteps by their SNR, which ours does not", "train.snr_gamma")
    return {"objective.snr_gamma": theirs.number("train.min_snr_gamma") or None}


def _times(theirs: Theirs) -> Settings:
    """`sigmoid` draws its times; `linear` draws evenly; the others move even ones by the resolution."""
    word = theirs.text("train.timestep_type", default="sigmoid").lower()
    if theirs.family not in FLOWS:
        theirs.idle.update({"train.timestep_type"} & theirs.fields.keys())
        return {}
    if word == "sigmoid":
        own = {"density": "logit_normal", "logit_mean": 0.0, "logit_std": 1.0, "shift": 1.0}
        return {f"objective.flow_{name}": value for name, value in own.items()}
    if word not in ("linear", "shift", "flux_shift"):
        theirs.leave("no such way of drawing times here; they are drawn evenly", "train.timestep_type")
    is_moved = word in ("shift", "flux_shift")
    return {"objective.flow_density": "uniform", "objective.flow_shift": None if is_moved else 1.0}


def _write_times(trial: Ours) -> dict[str, Any]:
    if architecture(trial) not in FLOWS:
        return {}
    if trial["objective.flow_density"] == "logit_normal":
        return {"train.timestep_type": "sigmoid"}
    return {"train.timestep_type": "shift" if trial["objective.flow_shift"] is None else "linear"}


ROWS: Final = (
    family_row(
        ("type", "model.arch", *(f"model.{flag}" for flag in _FLAGS)), "model.name_or_path", _family, _write_base
    ),
    *NETWORK,
    Row(
        theirs=("train.steps",),
        ours=("train.steps",),
        read=lambda theirs: length_settings(_steps(theirs), 0),
        write=lambda trial: {"train.steps": trial["train.steps"]} if trial["train.steps"] else {},
        words="a length in epochs has no place there; gradient_accumulation_steps, the older way, counts each pass",
    ),
    Row(
        theirs=("train.lr", "train.unet_lr", "train.text_encoder_lr", "train.train_unet", "train.train_text_encoder"),
        ours=("optimizer.lr", "adapter.text_encoder", "optimizer.text_encoder_lr_ratio"),
        read=_rates,
        write=_write_rates,
        words="unet_lr counts before lr; the ratio is text_encoder_lr / unet_lr",
    ),
    Row(
        theirs=("train.optimizer", "train.optimizer_params", _ARGUMENTS),
        ours=("optimizer", "optimizer.*"),
        read=_optimizer,
        write=_write_optimizer,
        words="each parameter is the field of its name, or one of optimizer.settings; Adams have eps 1e-6 there",
    ),
    Row(
        theirs=(
            *("train.lr_scheduler", "train.lr_scheduler_params"),
            *(f"{_PARAMS}{name}" for name in ("num_warmup_steps", "T_0", "total_iters")),
        ),
        ours=("lr_scheduler", "lr_scheduler.warmup", "lr_scheduler.num_cycles"),
        read=_curve,
        write=_write_curve,
        words="warm-up is a share of the steps; restarts are the steps / T_0",
    ),
    same("train.batch_size", "train.batch_size", "whole", 1),
    Row(
        theirs=_ACCUMULATION,
        ours=("train.gradient_accumulation",),
        read=lambda theirs: {"train.gradient_accumulation": _accumulation(theirs)},
        write=lambda trial: {_ACCUMULATION[0]: trial["train.gradient_accumulation"]},
    ),
    same("train.max_grad_norm", "train.clip_norm", "number", 1.0),
    choice("train.dtype", "train.precision", _PRECISIONS, "fp32", "no precision here; it is fp32"),
    choice("save.dtype", "train.save_precision", _PRECISIONS, "float16", "no precision here; it is fp16"),
    same("train.gradient_checkpointing", "train.activation_checkpointing", "flag", True),
    Row(
        theirs=("train.ema_config.use_ema", "train.ema_config.ema_decay"),
        ours=("train.ema_decay",),
        read=_average,
        write=_write_average,
    ),
    Row(
        theirs=("train.min_snr_gamma", "train.snr_gamma"),
        ours=("objective.snr_gamma",),
        read=_gamma,
        write=lambda trial: (
            {"train.min_snr_gamma": trial["objective.snr_gamma"]} if trial["objective.snr_gamma"] else {}
        ),
    ),
    same("train.noise_offset", "objective.noise_offset", "number", 0.0),
    Row(
        theirs=("train.timestep_type",),
        ours=(
            *("objective.flow_density", "objective.flow_logit_mean"),
            *("objective.flow_logit_std", "objective.flow_shift"),
        ),
        read=_times,
        write=_write_times,
        words="of a flow: sigmoid is logit_normal, linear is uniform, shift and flux_shift are uniform and moved",
    ),
    same("train.reg_weight", "objective.prior_weight", "number", 1.0),
    *DATA,
)

AI_TOOLKIT: Final = Trainer(
    name="ai-toolkit",
    title="ai-toolkit: a job (YAML or JSON)",
    rows=ROWS,
    unused=UNUSED,
    kind_of=kind_of,
    flatten=flatten,
    write=write_files,
    remarks=("no field of its seeds a training", "`[trigger]` in captions becomes the trigger there, and not here"),
)
