"""SD3's and FLUX's layers as their authors' own code has them, and with it kohya's trainer, ComfyUI and Forge.

Query, key and value are one layer there, in FLUX's single blocks with the feed-forward's first layer. LoRAs that were
trained on them apart are one LoRA there, exactly: their downs lie one above the other, their ups along the diagonal
of a matrix of zeros, as kohya's `convert_flux_lora.py` writes them.

Sources: kohya-ss/sd-scripts networks/lora_flux.py, lora_sd3.py and convert_flux_lora.py; ComfyUI comfy/utils.py
`flux_to_diffusers`, `mmdit_to_diffusers`; diffusers 0.42 loaders/single_file_utils.py and lora_conversion_utils.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from foundation.errors import AdapterError
from train.exports.layers import Layer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer of diffusers' is in the original code."""

    layer: str
    """The layer there."""
    number: int = 0
    """Which one of `shares` it is."""
    shares: tuple[int, ...] = ()
    """Outputs of each layer that is in there, in widths of the input; empty: it is the whole layer."""


_QKV: Final = (1, 1, 1)
_QKV_AND_MLP: Final = (1, 1, 1, 4)


def _attention(names: Sequence[str], layer: str, shares: tuple[int, ...] = _QKV) -> dict[str, Place]:
    return {name: Place(layer, number, shares) for number, name in enumerate(names)}


_OWN: Final = ("attn.to_q", "attn.to_k", "attn.to_v")
_OF_TEXT: Final = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
_FLUX: Final[Mapping[str, Mapping[str, Place]]] = {
    "transformer_blocks": {
        **_attention(_OWN, "double_blocks.{}.img_attn.qkv"),
        **_attention(_OF_TEXT, "double_blocks.{}.txt_attn.qkv"),
        "attn.to_out.0": Place("double_blocks.{}.img_attn.proj"),
        "attn.to_add_out": Place("double_blocks.{}.txt_attn.proj"),
        "ff.net.0.proj": Place("double_blocks.{}.img_mlp.0"),
        "ff.net.2": Place("double_blocks.{}.img_mlp.2"),
        "ff_context.net.0.proj": Place("double_blocks.{}.txt_mlp.0"),
        "ff_context.net.2": Place("double_blocks.{}.txt_mlp.2"),
        "norm1.linear": Place("double_blocks.{}.img_mod.lin"),
        "norm1_context.linear": Place("double_blocks.{}.txt_mod.lin"),
    },
    "single_transformer_blocks": {
        **_attention((*_OWN, "proj_mlp"), "single_blocks.{}.linear1", _QKV_AND_MLP),
        "proj_out": Place("single_blocks.{}.linear2"),
        "norm.linear": Place("single_blocks.{}.modulation.lin"),
    },
    "": {
        "x_embedder": Place("img_in"),
        "context_embedder": Place("txt_in"),
        "time_text_embed.timestep_embedder.linear_1": Place("time_in.in_layer"),
        "time_text_embed.timestep_embedder.linear_2": Place("time_in.out_layer"),
        "time_text_embed.text_embedder.linear_1": Place("vector_in.in_layer"),
        "time_text_embed.text_embedder.linear_2": Place("vector_in.out_layer"),
        "time_text_embed.guidance_embedder.linear_1": Place("guidance_in.in_layer"),
        "time_text_embed.guidance_embedder.linear_2": Place("guidance_in.out_layer"),
        "norm_out.linear": Place("final_layer.adaLN_modulation.1"),
        "proj_out": Place("final_layer.linear"),
    },
}
_SD3: Final[Mapping[str, Mapping[str, Place]]] = {
    "transformer_blocks": {
        **_attention(_OWN, "joint_blocks.{}.x_block.attn.qkv"),
        **_attention([name.replace("attn", "attn2") for name in _OWN], "joint_blocks.{}.x_block.attn2.qkv"),
        **_attention(_OF_TEXT, "joint_blocks.{}.context_block.attn.qkv"),
        "attn.to_out.0": Place("joint_blocks.{}.x_block.attn.proj"),
        "attn2.to_out.0": Place("joint_blocks.{}.x_block.attn2.proj"),
        "attn.to_add_out": Place("joint_blocks.{}.context_block.attn.proj"),
        "ff.net.0.proj": Place("joint_blocks.{}.x_block.mlp.fc1"),
        "ff.net.2": Place("joint_blocks.{}.x_block.mlp.fc2"),
        "ff_context.net.0.proj": Place("joint_blocks.{}.context_block.mlp.fc1"),
        "ff_context.net.2": Place("joint_blocks.{}.context_block.mlp.fc2"),
        "norm1.linear": Place("joint_blocks.{}.x_block.adaLN_modulation.1"),
        "norm1_context.linear": Place("joint_blocks.{}.context_block.adaLN_modulation.1"),
    },
    "": {
        "pos_embed.proj": Place("x_embedder.proj"),
        "context_embedder": Place("context_embedder"),
        "time_text_embed.timestep_embedder.linear_1": Place("t_embedder.mlp.0"),
        "time_text_embed.timestep_embedder.linear_2": Place("t_embedder.mlp.2"),
        "time_text_embed.text_embedder.linear_1": Place("y_embedder.mlp.0"),
        "time_text_embed.text_embedder.linear_2": Place("y_embedder.mlp.2"),
        "norm_out.linear": Place("final_layer.adaLN_modulation.1"),
        "proj_out": Place("final_layer.linear"),
    },
}
_BLOCK: Final = re.compile(r"(single_transformer_blocks|transformer_blocks)\.(\d+)\.(.+)")
Places = Callable[[str], Place]
"""The place of a layer by diffusers' name of it; a KeyError where there is none."""


def flux_place(layer: str) -> Place:
    """Where a layer of diffusers' `FluxTransformer2DModel` is in github.com/black-forest-labs/flux."""
    return _place(_FLUX, layer)


def sd3_place(layer: str) -> Place:
    """Where a layer of diffusers' `SD3Transformer2DModel` is in github.com/Stability-AI/sd3-ref, mmdit.py."""
    return _place(_SD3, layer)


def _place(table: Mapping[str, Mapping[str, Place]], layer: str) -> Place:
    found = _BLOCK.fullmatch(layer)
    if found is None:
        return table[""][layer]
    place = table[found[1]][found[3]]
    return replace(place, layer=place.layer.format(found[2]))


def in_original(layers: Sequence[Layer], places: Places) -> list[Layer]:
    """LoRAs of diffusers' layers as such of the original's; of a fused layer that was trained in part the rest is zero.

    Raises:
        AdapterError: a layer has no place in the original.
    """
    grouped: dict[str, list[tuple[Place, Layer]]] = {}
    for layer in layers:
        try:
            place = places(layer.name)
        except KeyError as error:
            raise AdapterError(
                f"kohya's format has no name for {layer.name}; export formats diffusers, peft or merged instead"
            ) from error
        grouped.setdefault(place.layer, []).append((place, layer))
    return [
        _fused(name, members) if members[0][0].shares else _whole(name, members[0][1])
        for name, members in grouped.items()
    ]


def swaps_halves(name: str, weight: Tensor) -> bool:
    """Whether an original layer's outputs are shift and scale, where diffusers' are scale and shift.

    So it is of modulations without gates.
    """
    return name.endswith("adaLN_modulation.1") and len(weight) == 2 * weight.shape[1]


def _whole(name: str, layer: Layer) -> Layer:
    """A layer that is one there, too."""
    down, up = layer.tensors["lora_A"], layer.tensors["lora_B"]
    if swaps_halves(name, torch.empty(len(up), down.shape[1], device="meta")):
        up = torch.cat(up.chunk(2)[::-1])
    return replace(layer, name=name, tensors={"lora_A": down, "lora_B": up})


def _fused(name: str, given: Sequence[tuple[Place, Layer]]) -> Layer:
    """One LoRA of the sum of the ranks; what their scales differ by goes into the ups.

    Ranks are in the order of the outputs: where they are equal, kohya's trainer and diffusers take them apart by that.
    """
    members = sorted(given, key=lambda member: member[0].number)
    downs = [layer.tensors["lora_A"] for _, layer in members]
    scales = [layer.scale for _, layer in members]
    scale = scales[0] if len(set(scales)) == 1 else 1.0
    width, shares = downs[0].shape[1], members[0][0].shares
    up = downs[0].new_zeros(sum(shares) * width, sum(len(down) for down in downs))
    column = 0
    for place, layer in members:
        row = sum(shares[: place.number]) * width
        own: Tensor = layer.tensors["lora_B"]
        up[row : row + len(own), column : column + layer.rank] = own * (layer.scale / scale)
        column += layer.rank
    return Layer(name, {"lora_A": torch.cat(downs), "lora_B": up}, column, scale)
