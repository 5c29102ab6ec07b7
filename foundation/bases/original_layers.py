"""SD3's and FLUX's layers as their authors' own code has them: where each of diffusers' layers is there, and back.

Query, key and value are one layer there, in FLUX's single blocks with the feed-forward's first layer.

Sources: black-forest-labs/flux modules/layers.py; Stability-AI/sd3-ref mmdit.py; ComfyUI comfy/utils.py
`flux_to_diffusers`, `mmdit_to_diffusers`; diffusers 0.42 loaders/single_file_utils.py and lora_conversion_utils.py;
XLabs-AI/x-flux src/flux/modules/layers.py; Nerogar/OneTrainer modules/util/convert/lora.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final


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
_FLUX2: Final[Mapping[str, Mapping[str, Place]]] = {
    "transformer_blocks": {
        **{name: place for name, place in _FLUX["transformer_blocks"].items() if name.startswith("attn.")},
        "ff.linear_in": Place("double_blocks.{}.img_mlp.0"),
        "ff.linear_out": Place("double_blocks.{}.img_mlp.2"),
        "ff_context.linear_in": Place("double_blocks.{}.txt_mlp.0"),
        "ff_context.linear_out": Place("double_blocks.{}.txt_mlp.2"),
    },
    "single_transformer_blocks": {
        "attn.to_qkv_mlp_proj": Place("single_blocks.{}.linear1"),
        "attn.to_out": Place("single_blocks.{}.linear2"),
    },
    "": {},
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


def flux2_place(layer: str) -> Place:
    """Where a layer of diffusers' `Flux2Transformer2DModel` is in github.com/black-forest-labs/flux2."""
    return _place(_FLUX2, layer)


def sd3_place(layer: str) -> Place:
    """Where a layer of diffusers' `SD3Transformer2DModel` is in github.com/Stability-AI/sd3-ref, mmdit.py."""
    return _place(_SD3, layer)


def _place(table: Mapping[str, Mapping[str, Place]], layer: str) -> Place:
    found = _BLOCK.fullmatch(layer)
    if found is None:
        return table[""][layer]
    place = table[found[1]][found[3]]
    return replace(place, layer=place.layer.format(found[2]))


@dataclass(frozen=True, slots=True)
class Members:
    """What of diffusers' a layer of the original is."""

    layers: tuple[str, ...]
    """Diffusers' layers, in the order of the outputs."""
    numbers: tuple[int, ...]
    """Which of `shares` each of them is."""
    shares: tuple[int, ...]
    """As a `Place` has them; empty where it is one whole layer."""


_ORIGINAL_BLOCK: Final = re.compile(r"(double_blocks|single_blocks|joint_blocks)\.(\d+)\.(.+)")
_XLABS: Final[Mapping[str, str]] = {
    "double_blocks.{}.processor.qkv_lora1": "double_blocks.{}.img_attn.qkv",
    "double_blocks.{}.processor.qkv_lora2": "double_blocks.{}.txt_attn.qkv",
    "double_blocks.{}.processor.proj_lora1": "double_blocks.{}.img_attn.proj",
    "double_blocks.{}.processor.proj_lora2": "double_blocks.{}.txt_attn.proj",
    "single_blocks.{}.processor.proj": "single_blocks.{}.linear2",
    "img_in.proj": "img_in",
}
"""Other names of the same layers: XLabs' with what stands before its numbers, and OneTrainer's last one."""
_XLABS_QKV: Final = "single_blocks.{}.processor.qkv"
"""Query, key and value of a single block, without what else is in its layer."""


def swaps_halves(layer: str, outputs: int, inputs: int) -> bool:
    """Whether an original layer's outputs are shift and scale, where diffusers' are scale and shift.

    So it is of modulations without gates.
    """
    return layer.endswith("adaLN_modulation.1") and outputs == 2 * inputs


def is_original(layer: str) -> bool:
    """Whether a layer's name is one of blocks of FLUX's or SD3's own code."""
    return _ORIGINAL_BLOCK.fullmatch(layer) is not None


def diffusers_layers(layer: str) -> Members | None:
    """What of diffusers' a layer of the original is; None where it has none of that name."""
    found = _ORIGINAL_BLOCK.fullmatch(layer)
    template = layer if found is None else f"{found[1]}.{{}}.{found[3]}"
    block = "" if found is None else found[2]
    if template == _XLABS_QKV:
        layers = tuple(f"single_transformer_blocks.{block}.{name}" for name in _OWN)
        return Members(layers, (0, 1, 2), _QKV)
    template = _XLABS.get(template, template)
    if (members := _ORIGINALS.get(template)) is not None:
        return replace(members, layers=tuple(name.format(block) for name in members.layers))
    whole, _, number = template.rpartition(".")  # OneTrainer's names of the shares: linear1.0 …
    if (members := _ORIGINALS.get(whole)) is None or not members.shares or not number.isdecimal():
        return None
    if int(number) not in members.numbers:
        return None
    return Members((members.layers[members.numbers.index(int(number))].format(block),), (0,), ())


def _backwards() -> dict[str, Members]:
    grouped: dict[str, list[tuple[int, str, tuple[int, ...]]]] = {}
    for table in (_FLUX, _SD3):
        for blocks, places in table.items():
            for layer, place in places.items():
                name = f"{blocks}.{{}}.{layer}" if blocks else layer
                entry = (place.number, name, place.shares)
                if entry not in grouped.setdefault(place.layer, []):
                    grouped[place.layer].append(entry)
    return {
        original: Members(tuple(name for _, name, _ in each), tuple(number for number, _, _ in each), each[0][2])
        for original, each in ((original, sorted(entries)) for original, entries in grouped.items())
    }


_ORIGINALS: Final = _backwards()
