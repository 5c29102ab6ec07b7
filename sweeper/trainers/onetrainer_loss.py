"""OneTrainer's loss, its noise, and the times of its flows."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, architecture
from sweeper.trainers.port import Ours, Row, Settings, Theirs, same

_STRENGTHS: Final = {"mse_strength": 1.0, "mae_strength": 0.0, "log_cosh_strength": 0.0, "huber_strength": 0.0}
_WEIGHTS: Final = ("loss_weight_fn", "loss_weight_strength", "min_snr_gamma")
_FLOW: Final = (
    *("timestep_distribution", "noising_weight", "noising_bias"),
    *("timestep_shift", "dynamic_timestep_shifting"),
)


def _read_loss(theirs: Theirs) -> Settings:
    if any(theirs.number(name, default=usual) != usual for name, usual in _STRENGTHS.items()):
        theirs.leave("a sum of losses is none here; it is mse", *_STRENGTHS)
    return {"objective.loss": "mse"}


def _read_weights(theirs: Theirs) -> Settings:
    settings: Settings = {"objective.snr_gamma": None, "objective.debiased": False}
    word = theirs.text("loss_weight_fn", default="CONSTANT").upper()
    gamma = theirs.number("min_snr_gamma")
    if gamma and word == "CONSTANT":
        word = "MIN_SNR_GAMMA"
    if word == "CONSTANT":
        theirs.idle.update({"loss_weight_strength", "min_snr_gamma"} & theirs.fields.keys())
    elif theirs.family in FLOWS:
        theirs.leave("a flow has no signal-to-noise weights", *_WEIGHTS)
    elif word == "MIN_SNR_GAMMA":
        settings["objective.snr_gamma"] = gamma or theirs.number("loss_weight_strength", default=5.0)
    elif word == "DEBIASED_ESTIMATION":
        settings["objective.debiased"] = True
    else:
        theirs.leave("no such weights here; all timesteps count the same", *_WEIGHTS)
    return settings


def _write_weights(trial: Ours) -> dict[str, Any]:
    if trial["objective.snr_gamma"]:
        return {"loss_weight_fn": "MIN_SNR_GAMMA", "loss_weight_strength": trial["objective.snr_gamma"]}
    return {"loss_weight_fn": "DEBIASED_ESTIMATION"} if trial["objective.debiased"] else {}


def _read_flow(theirs: Theirs) -> Settings:
    word = theirs.text("timestep_distribution", default="UNIFORM").upper()
    if theirs.family not in FLOWS:
        if word == "UNIFORM":
            theirs.idle.update(set(_FLOW) & theirs.fields.keys())
        else:
            theirs.leave("timesteps of a base that follows no flow are drawn evenly here", *_FLOW)
        return {}
    shift = None if theirs.flag("dynamic_timestep_shifting") else theirs.number("timestep_shift", default=1.0)
    if word == "LOGIT_NORMAL":
        return {
            "objective.flow_density": "logit_normal",
            "objective.flow_logit_mean": theirs.number("noising_bias"),
            "objective.flow_logit_std": theirs.number("noising_weight") + 1.0,
            "objective.flow_shift": shift,
        }
    if word != "UNIFORM":
        theirs.leave("no such way of drawing times here; they are drawn evenly", "timestep_distribution")
    return {"objective.flow_density": "uniform", "objective.flow_shift": shift}


def _write_flow(trial: Ours) -> dict[str, Any]:
    if architecture(trial) not in FLOWS:
        return {}
    shift = trial["objective.flow_shift"]
    moved = {"dynamic_timestep_shifting": True} if shift is None else {"timestep_shift": shift}
    if trial["objective.flow_density"] == "uniform":
        return {"timestep_distribution": "UNIFORM", **moved}
    weight = trial["objective.flow_logit_std"] - 1.0
    bias = trial["objective.flow_logit_mean"]
    return {"timestep_distribution": "LOGIT_NORMAL", "noising_weight": weight, "noising_bias": bias, **moved}


def _read_guidance(theirs: Theirs) -> Settings:
    names = ("transformer.guidance_scale", "prior.guidance_scale")
    return {"base.train_guidance": theirs.number(*names, default=1.0)} if theirs.family == "flux" else {}


LOSS: Final = (
    Row(
        theirs=tuple(_STRENGTHS),
        ours=("objective.loss",),
        read=_read_loss,
        words="mse alone; its Huber loss is another function",
    ),
    Row(
        theirs=_WEIGHTS,
        ours=("objective.snr_gamma", "objective.debiased"),
        read=_read_weights,
        write=_write_weights,
        words="MIN_SNR_GAMMA with its strength, or DEBIASED_ESTIMATION",
    ),
    same("offset_noise_weight", "objective.noise_offset", "number", 0.0),
    same("perturbation_noise_weight", "objective.input_perturbation", "number", 0.0),
    same("rescale_noise_scheduler_to_zero_terminal_snr", "objective.zero_terminal_snr", "flag", False),
    Row(
        theirs=_FLOW,
        ours=(
            *("objective.flow_density", "objective.flow_logit_mean"),
            *("objective.flow_logit_std", "objective.flow_shift"),
        ),
        read=_read_flow,
        write=_write_flow,
        words="of a flow: noising_bias is the mean, noising_weight + 1 the standard deviation",
    ),
    Row(
        theirs=("transformer.guidance_scale", "prior.guidance_scale"),
        ours=("base.train_guidance",),
        read=_read_guidance,
        write=lambda trial: (
            {"transformer.guidance_scale": trial["base.train_guidance"]} if trial.family == "flux" else {}
        ),
        words="of FLUX",
    ),
)
