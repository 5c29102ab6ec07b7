"""Which adapters may be trained over a quantised base."""

from __future__ import annotations

from collections.abc import Iterable

from foundation.bases.spec import BaseSpec
from foundation.errors import ConfigError
from train.spec.adapter import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS


def check_quantized(base: BaseSpec, adapters: Iterable[AdapterSpec]) -> None:
    """Raise when the base is to be quantised, and one of the adapters is of a kind that needs whole weights.

    Raises:
        ConfigError: in one line for all of them.
    """
    kinds = dict.fromkeys(adapter.name for adapter in adapters)
    wrong = [name for name in kinds if not ADAPTER_KINDS[name].quantized]
    if base.quantization is not None and wrong:
        able = ", ".join(name for name, kind in ADAPTER_KINDS.items() if kind.quantized)
        raise ConfigError(
            [
                f"base.quantization={base.quantization} is for adapters of the kinds {able}, got {', '.join(wrong)}; "
                "leave these out, or leave base.quantization null"
            ]
        )
