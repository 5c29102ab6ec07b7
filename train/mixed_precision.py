"""What casts a pack's passes to half precision, and clips gradients."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.utils import PrecisionType

from foundation.errors import ConfigError
from train.spec import Precision


def accelerator_for(device: torch.device, precision: Precision) -> Accelerator:
    """accelerate's, on a device, in a precision.

    Raises:
        ConfigError: fp16 on the CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError(["train.precision fp16 needs a GPU, the device is the CPU; use train.precision=bf16 or fp32"])
    mixed = {"fp32": PrecisionType.NO, "bf16": PrecisionType.BF16, "fp16": PrecisionType.FP16}[precision]
    return Accelerator(mixed_precision=str(mixed), cpu=device.type == "cpu")
