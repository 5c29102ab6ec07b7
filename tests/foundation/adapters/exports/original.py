"""What programs with SD3's or FLUX's original code do with a kohya file, told in diffusers' names.

The file's formula is taken on the layers of the original; diffusers' own converter of whole checkpoints, which only
moves weights about, then says which of its layers they are. FLUX's width is written into diffusers' functions, so for a
narrow FLUX they are compiled anew with its width in the place of 3072.
"""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.loaders import lora_conversion_utils, single_file_utils
from torch import Tensor, nn

from tests.foundation.adapters.exports import lycoris

NARROW = 16
"""Width of the FLUX of `tests.train.tiny_families`."""


class Changes(dict[str, Tensor]):
    """A checkpoint of what a file adds to the weights; what it does not name is zero."""

    def pop(self, name: str, *default: Any) -> Tensor:  # type: ignore[override]
        return super().pop(name, torch.zeros(7 * NARROW))  # as long as a bias that is split

    def __missing__(self, name: str) -> Tensor:
        return torch.zeros(NARROW)


def put_into(transformer: nn.Module, family: str, state: Mapping[str, Tensor], layers: set[str]) -> None:
    """Change a diffusers transformer's weights as a kohya file says, which must be those of `layers`."""
    converted = in_diffusers(family, state)
    updates = {name.removesuffix(".weight"): update for name, update in converted.items() if update.any()}
    assert updates.keys() == layers
    for name, update in updates.items():
        transformer.get_submodule(name).weight.data += update


def in_diffusers(family: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file under the original's names adds, by diffusers' own names."""
    changed = changes(state, original_names(family))
    if family == "chroma":  # its converter counts these layers, too, which no file changes
        changed["distilled_guidance_layer.layers.0.in_layer.weight"] = torch.zeros(1)
    converted: dict[str, Tensor] = CONVERTERS[family](changed)
    return converted


def changes(state: Mapping[str, Tensor], names: list[str]) -> Changes:
    """What is added to each layer of the original."""
    grouped: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        layer, _, what = key.partition(".")
        grouped[layer][what] = tensor
    by_key = {f"lora_unet_{name.replace('.', '_')}": name for name in names}
    changed = Changes()
    for key, tensors in grouped.items():
        changed[f"{by_key[key]}.weight"] = tensors["diff"] if "diff" in tensors else lycoris.update(tensors)
        if "diff_b" in tensors:
            changed[f"{by_key[key]}.bias"] = tensors["diff_b"]
    return changed


def original_names(family: str) -> list[str]:
    """Layers of two blocks of each kind: black-forest-labs/flux modules/layers.py; Stability-AI/sd3-ref mmdit.py."""
    layers = {
        "flux": [
            *(f"double_blocks.{{}}.{side}_{part}" for side in ("img", "txt") for part in FLUX_STREAM),
            *(f"single_blocks.{{}}.{part}" for part in ("linear1", "linear2", "modulation.lin")),
        ],
        "chroma": [
            *(
                f"double_blocks.{{}}.{side}_{part}"
                for side in ("img", "txt")
                for part in FLUX_STREAM
                if part != "mod.lin"
            ),
            *(f"single_blocks.{{}}.{part}" for part in ("linear1", "linear2")),
        ],
        "flux2": [
            *(f"double_blocks.{{}}.{side}_{part}" for side in ("img", "txt") for part in FLUX_STREAM[:-1]),
            *(f"single_blocks.{{}}.{part}" for part in ("linear1", "linear2")),
        ],
        "sd3": [f"joint_blocks.{{}}.{side}.{part}" for side in ("x_block", "context_block") for part in SD3_STREAM],
    }[family]
    return [name.format(block) for name in layers for block in (0, 1)]


FLUX_STREAM = ("attn.qkv", "attn.proj", "mlp.0", "mlp.2", "mod.lin")
SD3_STREAM = ("attn.qkv", "attn.proj", "attn2.qkv", "attn2.proj", "mlp.fc1", "mlp.fc2", "adaLN_modulation.1")


def narrow(function: Callable[..., Any], text: str) -> Callable[..., Any]:
    """A function of diffusers' with 3072 and 12288 in `text` written for a width of 16."""
    source = inspect.getsource(function)
    assert source.count(text) == 1
    other = text.replace("12288", str(4 * NARROW)).replace("3072", str(NARROW))
    scope = dict(vars(sys.modules[function.__module__]))
    exec(source.replace(text, other), scope)
    made: Callable[..., Any] = scope[function.__name__]
    return made


CONVERTERS = {
    "sd3": single_file_utils.convert_sd3_transformer_checkpoint_to_diffusers,
    "chroma": narrow(single_file_utils.convert_chroma_transformer_checkpoint_to_diffusers, "inner_dim = 3072"),
    "flux2": single_file_utils.convert_flux2_transformer_checkpoint_to_diffusers,
    "flux": narrow(single_file_utils.convert_flux_transformer_checkpoint_to_diffusers, "inner_dim = 3072"),
}
narrow_flux_lora = narrow(lora_conversion_utils._convert_kohya_flux_lora_to_diffusers, "dims=[3072, 3072, 3072, 12288]")
"""diffusers' own reader of kohya's FLUX files."""
