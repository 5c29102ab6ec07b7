"""What must be set for a denoiser whose blocks leave the device."""

from __future__ import annotations

from foundation.bases.spec import IN_BITSANDBYTES, BaseSpec
from foundation.errors import ConfigError
from train.spec.training import TrainingSpec


def check_offload(base: BaseSpec, train: TrainingSpec) -> None:
    """Raise when the denoiser's blocks are to leave the device, and training would not find them, or keep them there.

    Raises:
        ConfigError: with all that is to be changed.
    """
    if base.offload != "none" and train.cuda_graphs:
        raise ConfigError([f"base.offload={base.offload} needs train.cuda_graphs=false: a recording names addresses"])
    if base.offload != "blocks":
        return
    problems = []
    if not train.activation_checkpointing:
        problems.append(
            "base.offload=blocks needs train.activation_checkpointing=true: else every block would stay on the device "
            "for its gradients"
        )
    if train.lasts:
        problems.append("base.offload=blocks needs train.compile=off: blocks move while a pass runs")
    if base.quantization in IN_BITSANDBYTES:
        problems.append(
            f"base.offload=blocks cannot move weights in base.quantization={base.quantization}, which bitsandbytes "
            "keeps; take model, or int8, which torchao keeps"
        )
    if problems:
        raise ConfigError(problems)
