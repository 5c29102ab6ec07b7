"""What an adapter of any kind changes in a base's layers, by PEFT's own merging."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.full import Difference
from foundation.adapters.exports.layers import BaseLayer, BaseLayers, layers_of
from foundation.adapters.merge.pipeline import put
from foundation.errors import AdapterError

_NAME = "it"


def base_layers(pipe: Any) -> BaseLayers:
    """The layers of a pipeline that nothing was put on, in float32.

    The function raises AdapterError for a layer that is not there.
    """

    def layer(part: str, name: str) -> BaseLayer:
        try:
            module: Any = getattr(pipe, part).get_submodule(name)
        except AttributeError as error:
            raise AdapterError(f"the LoRA does not fit the base: it has no {part} with {name}") from error
        bias = module.bias
        return BaseLayer(module.weight.detach().float(), None if bias is None else bias.detach().float())

    return layer


@torch.no_grad()
def weight_differences(pipe: Any, adapter: SavedAdapter) -> dict[str, dict[str, Difference]]:
    """Put an adapter on a pipeline, which then has it, and tell what it adds to each layer, at strength 1.

    Raises:
        AdapterError: it does not fit, or has modules that were trained whole.
    """
    for each in adapter.parts.values():
        layers_of(each, "a file of differences")
    put(pipe, adapter, _NAME)
    found: dict[str, dict[str, Difference]] = {}
    for part, saved in adapter.parts.items():
        dtype = next(iter(saved.state.values())).dtype
        found[part] = {
            name: _difference(layer, dtype)
            for name, layer in getattr(pipe, part).named_modules()
            if isinstance(layer, BaseTunerLayer)
        }
    return found


def _difference(layer: Any, dtype: torch.dtype) -> Difference:
    base = layer.get_base_layer()
    weight, bias = base.weight.clone(), None if base.bias is None else base.bias.clone()
    try:
        layer.merge(safe_merge=True, adapter_names=[_NAME])
    except (ValueError, RuntimeError) as error:  # not finite; or a bias for a layer that has none
        raise AdapterError(f"the LoRA's differences cannot be computed: {error}") from error
    added = None if bias is None else base.bias - bias
    found = Difference((base.weight - weight).to(dtype), None if added is None or not added.any() else added.to(dtype))
    base.weight.copy_(weight)
    return found
