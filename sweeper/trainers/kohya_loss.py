"""kohya's loss, its noise, and the times of its flows."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, architecture, gamma_row
from sweeper.trainers.port import Ours, Row, Settings, Theirs, choice, same

_LOSSES: Final = {"l2": "mse", "huber": "huber", "smooth_l1": "smooth_l1"}
_SCHEDULES: Final = {"constant": "constant", "exponential": "exponential", "snr": "snr"}
_MULTIRES: Final = ("multires_noise_iterations", "multires_noise_discount")
_FLOW: Final = (
    *("timestep_sampling", "sigmoid_scale", "discrete_flow_shift", "training_shift"),
    *("weighting_scheme", "logit_mean", "logit_std"),
)


def _read_noise(theirs: Theirs) -> Settings:
    """The window chooses one of its two noises by a field that the scripts do not read."""
    chosen = theirs.text("noise_offset_type", default="Original").lower() if "LoRA_type" in theirs.fields else ""
    if chosen == "multires":
        theirs.leave("noise_offset_type is Multires", *(("noise_offset",) if theirs.number("noise_offset") else ()))
    if chosen == "original":
        theirs.leave("noise_offset_type is Original", *(_MULTIRES if theirs.number(_MULTIRES[0]) else ()))
    iterations = 0 if chosen == "original" else theirs.whole(_MULTIRES[0])
    return {
        "objective.noise_offset": 0.0 if chosen == "multires" else theirs.number("noise_offset"),
        "objective.multires_iterations": iterations,
        "objective.multires_discount": (theirs.number(_MULTIRES[1]) or 0.3) if iterations else 0.3,
    }


def _write_noise(trial: Ours) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if trial["objective.noise_offset"]:
        written["noise_offset"] = trial["objective.noise_offset"]
    if trial["objective.multires_iterations"]:
        values = trial["objective.multires_iterations"], trial["objective.multires_discount"]
        written |= dict(zip(_MULTIRES, values, strict=True))
    return written


def _read_flow(theirs: Theirs) -> Settings:
    """FLUX's `sigma` and SD3 draw by weighting_scheme and move by the scheduler's shift; the others say it all."""
    if theirs.family not in FLOWS:
        theirs.leave("this base follows no flow", *_FLOW)
        return {}
    how = theirs.text("timestep_sampling", default="sigma").lower()
    scheme = theirs.text("weighting_scheme", default="uniform" if theirs.family == "flux" else "logit_normal")
    shift = theirs.number("discrete_flow_shift", "training_shift", default=3.0 if theirs.family == "flux" else 1.0)
    std = theirs.number("sigmoid_scale", default=1.0)
    if how == "sigma":
        if scheme.lower() == "logit_normal":
            mean, std = theirs.number("logit_mean"), theirs.number("logit_std", default=1.0)
            return {**_logit_normal(mean, std), "objective.flow_shift": shift}
        if scheme.lower() not in ("none", "uniform"):
            theirs.leave("no such weighting here; times are drawn evenly", "weighting_scheme")
        return {"objective.flow_density": "uniform", "objective.flow_shift": shift}
    if how == "uniform":
        return {"objective.flow_density": "uniform", "objective.flow_shift": 1.0}
    if how not in ("sigmoid", "shift", "flux_shift"):
        theirs.leave("no such way of drawing times here; they are logit-normal", "timestep_sampling")
    moved = {"shift": shift, "flux_shift": None}.get(how, 1.0)
    return {**_logit_normal(0.0, std), "objective.flow_shift": moved}


def _logit_normal(mean: float, std: float) -> Settings:
    return {
        "objective.flow_density": "logit_normal",
        "objective.flow_logit_mean": mean,
        "objective.flow_logit_std": std,
    }


def _write_flow(trial: Ours) -> dict[str, Any]:
    if architecture(trial) not in FLOWS:
        return {}
    shift, std = trial["objective.flow_shift"], trial["objective.flow_logit_std"]
    if trial["objective.flow_density"] == "uniform":
        if shift == 1:
            return {"timestep_sampling": "uniform"}
        return {"timestep_sampling": "sigma", "weighting_scheme": "none", "discrete_flow_shift": shift or 1.0}
    if trial["objective.flow_logit_mean"]:
        found = {"weighting_scheme": "logit_normal", "logit_mean": trial["objective.flow_logit_mean"], "logit_std": std}
        return {"timestep_sampling": "sigma", **found, "discrete_flow_shift": shift or 1.0}
    if shift is None:
        return {"timestep_sampling": "flux_shift", "sigmoid_scale": std}
    if shift == 1:
        return {"timestep_sampling": "sigmoid", "sigmoid_scale": std}
    return {"timestep_sampling": "shift", "sigmoid_scale": std, "discrete_flow_shift": shift}


def _read_debiased(theirs: Theirs) -> Settings:
    is_on = theirs.flag("debiased_estimation_loss")
    if is_on and (theirs.family in FLOWS or theirs.number("min_snr_gamma")):
        theirs.leave("not for flows, nor beside min_snr_gamma", "debiased_estimation_loss")
        is_on = False
    return {"objective.debiased": is_on}


def _read_guidance(theirs: Theirs) -> Settings:
    return {"base.train_guidance": theirs.number("guidance_scale", default=3.5)} if theirs.family == "flux" else {}


LOSS: Final = (
    choice("loss_type", "objective.loss", _LOSSES, "l2", "no such loss here; it is mse"),
    same("huber_c", "objective.huber_c", "number", 0.1),
    choice("huber_schedule", "objective.huber_schedule", _SCHEDULES, "snr", "no such schedule here; it is snr"),
    Row(
        theirs=("noise_offset", "noise_offset_type", *_MULTIRES),
        ours=("objective.noise_offset", "objective.multires_iterations", "objective.multires_discount"),
        read=_read_noise,
        write=_write_noise,
        words="of a preset of the window the one that noise_offset_type names",
    ),
    same("ip_noise_gamma", "objective.input_perturbation", "number", 0.0),
    gamma_row("min_snr_gamma", words="0 is off"),
    Row(
        theirs=("debiased_estimation_loss",),
        ours=("objective.debiased",),
        read=_read_debiased,
        write=lambda trial: {"debiased_estimation_loss": True} if trial["objective.debiased"] else {},
    ),
    same("zero_terminal_snr", "objective.zero_terminal_snr", "flag", False),
    Row(
        theirs=_FLOW,
        ours=(
            *("objective.flow_density", "objective.flow_logit_mean"),
            *("objective.flow_logit_std", "objective.flow_shift"),
        ),
        read=_read_flow,
        write=_write_flow,
        words="how times are drawn, and how far they are moved towards noise",
    ),
    Row(
        theirs=("guidance_scale",),
        ours=("base.train_guidance",),
        read=_read_guidance,
        write=lambda trial: {"guidance_scale": trial["base.train_guidance"]} if trial.family == "flux" else {},
        words="of FLUX",
    ),
)
