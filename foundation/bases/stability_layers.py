"""Stable Diffusion's UNet as CompVis's and Stability's own code names its layers, and back to diffusers' names.

Sources: ComfyUI comfy/utils.py `unet_to_diffusers`; kohya-ss/sd-scripts library/sdxl_model_util.py.
"""

from __future__ import annotations

import re
from typing import Final

_RESNETS: Final = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_SINGLE: Final = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_PER_BLOCK: Final = 3
"""Layers of a block in Stability's UNet of SDXL: two, and one that resamples (down) or a third (up)."""
_MIDDLE: Final = {("resnets", 0): 0, ("attentions", 0): 1, ("resnets", 1): 2}
_LAYER: Final = re.compile(
    r"(down|mid|up)_blocks?(?:\.(\d+))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
)


def as_stability(layer: str) -> str:
    """A layer of SDXL's UNet as Stability's own code, and so kohya's, names it."""
    found = _LAYER.fullmatch(layer)
    if found is None:
        return _SINGLE.get(layer, layer)
    side, block, kind, number, rest = found[1], int(found[2] or 0), found[3], int(found[4]), found[5]
    if kind == "downsamplers":
        return f"input_blocks.{_PER_BLOCK * (block + 1)}.0.op"
    if kind == "upsamplers":  # it follows a resnet and an attention
        return f"output_blocks.{_PER_BLOCK * block + 2}.2.conv"
    rest = _RESNETS.get(rest, rest) if kind == "resnets" else rest
    if side == "mid":
        return f"middle_block.{_MIDDLE[kind, number]}.{rest}"
    place = int(kind == "attentions")
    if side == "down":
        return f"input_blocks.{1 + _PER_BLOCK * block + number}.{place}.{rest}"
    return f"output_blocks.{_PER_BLOCK * block + number}.{place}.{rest}"


_RESNETS_BACK: Final = {theirs: ours for ours, theirs in _RESNETS.items()}
_SINGLE_BACK: Final = {theirs: ours for ours, theirs in _SINGLE.items()}
_MIDDLE_BACK: Final = {number: place for place, number in _MIDDLE.items()}
_THEIRS: Final = re.compile(r"(input_blocks|output_blocks)\.(\d+)\.(\d)\.(.+)|middle_block\.(\d)\.(.+)")


def from_stability(layer: str) -> str:
    """A layer as diffusers names it, from such a name of a UNet with two layers a block; other names stay."""
    if layer in _SINGLE_BACK:
        return _SINGLE_BACK[layer]
    found = _THEIRS.fullmatch(layer)
    if found is None:
        return layer
    if found[5] is not None:
        if int(found[5]) not in _MIDDLE_BACK:
            return layer
        kind, number = _MIDDLE_BACK[int(found[5])]
        return f"mid_block.{kind}.{number}.{_inner(kind, found[6])}"
    side, number, place, rest = found[1], int(found[2]), int(found[3]), found[4]
    if side == "input_blocks":
        block, inner = divmod(number - 1, _PER_BLOCK)
        if rest == "op":
            return f"down_blocks.{block}.downsamplers.0.conv"
        name = f"down_blocks.{block}"
    else:
        block, inner = divmod(number, _PER_BLOCK)
        if place > 0 and rest == "conv":  # after a resnet, and an attention where there is one
            return f"up_blocks.{block}.upsamplers.0.conv"
        name = f"up_blocks.{block}"
    kind = "attentions" if place else "resnets"
    return f"{name}.{kind}.{inner}.{_inner(kind, rest)}"


def _inner(kind: str, rest: str) -> str:
    return _RESNETS_BACK.get(rest, rest) if kind == "resnets" else rest
