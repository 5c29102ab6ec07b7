"""Which adapters may be trained over a quantised base."""

from __future__ import annotations

from collections.abc import Iterable

from foundation.bases.spec import IN_BITSANDBYTES, IN_TORCHAO, BaseSpec
from foundation.errors import ConfigError
from train.spec.adapter import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS


def check_quantized(base: BaseSpec, adapters: Iterable[AdapterSpec]) -> None:
    """Raise when the base is to be quantised by bitsandbytes, and one of the adapters is of a kind that cannot be so.

    Raises:
        ConfigError: in one line for all of them.
    """
    kinds = dict.fromkeys(adapter.name for adapter in adapters)
    wrong = [name for name in kinds if not ADAPTER_KINDS[name].packed]
    if base.quantization in IN_BITSANDBYTES and wrong:
        able = ", ".join(name for name, kind in ADAPTER_KINDS.items() if kind.packed)
        raise ConfigError(
            [
                f"base.quantization={base.quantization} is for adapters of the kinds {able}, got {', '.join(wrong)}; "
                f"leave these out, or take base.quantization={' or '.join(IN_TORCHAO)}"
            ]
        )
