"""SD3's and FLUX's layers as their authors' own code has them, and with it kohya's trainer, ComfyUI and Forge.

Query, key and value are one layer there, in FLUX's single blocks with the feed-forward's first layer. LoRAs that were
trained on them apart are one LoRA there, exactly: their downs lie one above the other, their ups along the diagonal
of a matrix of zeros, as kohya's `convert_flux_lora.py` writes them.

Sources: kohya-ss/sd-scripts networks/lora_flux.py, lora_sd3.py and convert_flux_lora.py; ComfyUI comfy/utils.py
`flux_to_diffusers`, `mmdit_to_diffusers`; diffusers 0.42 loaders/single_file_utils.py and lora_conversion_utils.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foundation.adapters.exports.layers import Layer
from foundation.bases.original_layers import Place, Places, swaps_halves
from foundation.errors import AdapterError


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
        _fuse(name, members) if members[0][0].shares else _whole(name, members[0][1])
        for name, members in grouped.items()
    ]


def _whole(name: str, layer: Layer) -> Layer:
    """A layer that is one there, too."""
    down, up = layer.tensors["lora_A"], layer.tensors["lora_B"]
    if swaps_halves(name, len(up), down.shape[1]):
        up = torch.cat(up.chunk(2)[::-1])
    return replace(layer, name=name, tensors={"lora_A": down, "lora_B": up})


def _fuse(name: str, given: Sequence[tuple[Place, Layer]]) -> Layer:
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
