"""The devices that torch computes on: which are there, and what is asked of each in its own words.

All but MPS's memory goes through torch's device-neutral interfaces; a ROCm build calls its devices `cuda`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from foundation.errors import first_line

KINDS: Final = ("cuda", "mps", "xpu")
"""Kinds of devices beside the CPU, the one that is taken first before the others."""
CPU: Final = torch.device("cpu")


def found_devices() -> tuple[str, ...]:
    """All devices of the first kind that this machine and this build of torch have, by name; else the CPU."""
    for kind in KINDS:
        module = _module_of(kind)
        if module.is_available() and (count := module.device_count()):
            return (kind,) if kind == "mps" else tuple(f"{kind}:{number}" for number in range(count))
    return ("cpu",)


def best_device() -> torch.device:
    """The first of them, as torch calls the one that it computes on where nobody says which."""
    return torch.device(found_devices()[0].partition(":")[0])


def why_on_cpu() -> str:
    """Why a build of torch that is for another kind of device can use none; empty where it can, or is for none."""
    built_for = torch.accelerator.current_accelerator()
    if built_for is None or found_devices() != ("cpu",):
        return ""
    try:
        torch.zeros(1, device=built_for)
    except (RuntimeError, AssertionError) as error:
        return f"torch is built for {built_for.type}, and cannot use it here ({first_line(error)}); it takes the CPU"
    return f"torch is built for {built_for.type}, and finds no such device; it takes the CPU"


def kind_of(device: torch.device) -> str:
    """What devices have in common that hold as much and are as fast."""
    if device.type == "cpu":
        return device.type
    if device.type == "mps":
        return f"mps with {_module_of('mps').recommended_max_memory() / 2**30:.0f} GiB"
    properties = torch.get_device_module(device).get_device_properties(device)
    return f"{properties.name} with {properties.total_memory / 2**30:.0f} GiB"


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` and `peak_share` be of what comes from here on; MPS counts none."""
    if device.type not in ("cpu", "mps"):
        torch.accelerator.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """The most memory that tensors took on a device since `forget_peak`, in bytes; on MPS what they take now."""
    if device.type == "mps":
        return int(_module_of("mps").current_allocated_memory())
    return torch.accelerator.max_memory_allocated(device)


def peak_share(device: torch.device) -> float | None:
    """As `peak_memory`, with what torch keeps for later: the part of the device's memory; None of the CPU."""
    if device.type == "cpu":
        return None
    if device.type == "mps":
        return float(_module_of("mps").driver_allocated_memory() / total_memory(device))
    return torch.accelerator.max_memory_reserved(device) / total_memory(device)


def total_memory(device: torch.device) -> int:
    """All memory of a device, in bytes: of the machine for the CPU, what the system recommends for MPS."""
    if device.type == "cpu":
        import psutil

        return int(psutil.virtual_memory().total)
    if device.type == "mps":
        return int(_module_of("mps").recommended_max_memory())
    return torch.accelerator.get_memory_info(device)[1]


def free_unused(device: torch.device) -> None:
    """Give back what torch keeps of a device's memory for later."""
    if device.type != "cpu":
        torch.accelerator.empty_cache()


def random_state(device: torch.device) -> tuple[Callable[[], Tensor], Callable[[Tensor], None]]:
    """What reads, and what sets, the state of the generator that a device draws from where nobody names one."""
    if device.type not in KINDS:
        return torch.get_rng_state, torch.set_rng_state
    module: Any = torch.get_device_module(device)
    return partial(module.get_rng_state, device), partial(module.set_rng_state, device=device)


def _module_of(kind: str) -> Any:
    return torch.get_device_module(kind)
