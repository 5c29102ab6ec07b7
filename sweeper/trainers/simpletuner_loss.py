"""SimpleTuner's loss, its noise, and the times of its flows."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, architecture, gamma_row
from sweeper.trainers.port import Ours, Row, Settings, Theirs, choice, same

_LOSSES: Final = {"l2": "mse", "huber": "huber", "smooth_l1": "smooth_l1"}
_SCHEDULES: Final = {"snr": "snr", "exponential": "exponential", "constant": "constant"}
_FLOW: Final = (
    *("flow_sigmoid_scale", "flow_use_uniform_schedule", "flow_use_beta_schedule"),
    *("flow_schedule_shift", "flow_schedule_auto_shift"),
)
_GUIDANCE: Final = ("flux_guidance_value", "flux_guidance_mode")


def _noise(theirs: Theirs) -> Settings:
    if not theirs.flag("offset_noise", default=theirs.number("noise_offset") > 0):
        theirs.idle.update({"noise_offset"} & theirs.fields.keys())
        return {"objective.noise_offset": 0.0}
    return {"objective.noise_offset": theirs.number("noise_offset", default=0.1)}


def _read_flow(theirs: Theirs) -> Settings:
    if theirs.family not in FLOWS:
        theirs.idle.update(set(_FLOW) & theirs.fields.keys())
        return {}
    shift = theirs.number("flow_schedule_shift", default=3.0) or 1.0
    moved = None if theirs.flag("flow_schedule_auto_shift") else shift
    if theirs.flag("flow_use_beta_schedule"):
        theirs.leave("no such way of drawing times here; they are logit-normal", "flow_use_beta_schedule")
    if theirs.flag("flow_use_uniform_schedule"):
        return {"objective.flow_density": "uniform", "objective.flow_shift": moved}
    return {
        "objective.flow_density": "logit_normal",
        "objective.flow_logit_mean": 0.0,
        "objective.flow_logit_std": theirs.number("flow_sigmoid_scale", default=1.0),
        "objective.flow_shift": moved,
    }


def _write_flow(trial: Ours) -> dict[str, Any]:
    if architecture(trial) not in FLOWS:
        return {}
    shift = trial["objective.flow_shift"]
    moved = {"flow_schedule_auto_shift": True} if shift is None else {"flow_schedule_shift": shift}
    if trial["objective.flow_density"] == "uniform":
        return {"flow_use_uniform_schedule": True, **moved}
    return {"flow_sigmoid_scale": trial["objective.flow_logit_std"], **moved}


def _guidance(theirs: Theirs) -> Settings:
    if theirs.family != "flux":
        theirs.idle.update(set(_GUIDANCE) & theirs.fields.keys())
        return {}
    if theirs.text("flux_guidance_mode", default="constant") != "constant":
        theirs.leave("one guidance for all steps here", "flux_guidance_mode")
    return {"base.train_guidance": theirs.number("flux_guidance_value", default=1.0)}


LOSS: Final = (
    choice("loss_type", "objective.loss", _LOSSES, "l2", "no such loss here; it is mse"),
    same("huber_c", "objective.huber_c", "number", 0.1),
    choice("huber_schedule", "objective.huber_schedule", _SCHEDULES, "snr", "no such schedule here; it is snr"),
    gamma_row("snr_gamma"),
    Row(
        theirs=("offset_noise", "noise_offset"),
        ours=("objective.noise_offset",),
        read=_noise,
        write=lambda trial: (
            {"offset_noise": True, "noise_offset": trial["objective.noise_offset"]}
            if trial["objective.noise_offset"]
            else {}
        ),
    ),
    same("input_perturbation", "objective.input_perturbation", "number", 0.0),
    same("rescale_betas_zero_snr", "objective.zero_terminal_snr", "flag", False),
    Row(
        theirs=_FLOW,
        ours=(
            *("objective.flow_density", "objective.flow_logit_mean"),
            *("objective.flow_logit_std", "objective.flow_shift"),
        ),
        read=_read_flow,
        write=_write_flow,
        words="of a flow: logit_normal with flow_sigmoid_scale, or uniform; the shift is 3 where nothing is said",
    ),
    Row(
        theirs=_GUIDANCE,
        ours=("base.train_guidance",),
        read=_guidance,
        write=lambda trial: {_GUIDANCE[0]: trial["base.train_guidance"]} if trial.family == "flux" else {},
        words="of FLUX",
    ),
    same("caption_dropout_probability", "objective.caption_dropout", "number", 0.0),
)
