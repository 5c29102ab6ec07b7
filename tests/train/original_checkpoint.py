"""Stable Diffusion under its original names, in one file as A1111 and kohya keep it: written from a pipeline.

The names are those of Stability's code (`ldm/modules/diffusionmodules/openaimodel.py` and `model.py`); diffusers reads
them, by tables of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


_OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn": "attn",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def save_original(pipeline: Any, file: Path) -> None:
    """Write all weights of a Stable Diffusion or SDXL pipeline into one file in the original layout."""
    tensors = {
        f"model.diffusion_model.{_unet_name(name, pipeline.unet)}": tensor
        for name, tensor in pipeline.unet.state_dict().items()
    }
    for name, tensor in pipeline.vae.state_dict().items():
        original, value = _vae_entry(name, tensor, len(pipeline.vae.config.block_out_channels))
        tensors[f"first_stage_model.{original}"] = value
    second = getattr(pipeline, "text_encoder_2", None)
    first = "conditioner.embedders.0" if second else "cond_stage_model"
    for name, tensor in pipeline.text_encoder.state_dict().items():
        tensors[f"{first}.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    for name, tensor in _open_clip(second.state_dict() if second else {}).items():
        tensors[f"conditioner.embedders.1.model.{name}"] = tensor
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, file)


def _unet_name(name: str, unet: Any) -> str:
    each = unet.config.layers_per_block + 1  # of a level: its layers, and what halves or doubles
    for own, original in _OUTSIDE.items():
        if name.startswith(f"{own}."):
            return name.replace(own, original, 1)
    side, level, kind, number, rest = _parts(name)
    if kind == "resnets":
        inner, _, leaf = rest.partition(".")
        rest = f"{_RESNET[inner]}.{leaf}"
    if side == "mid_block":
        return f"middle_block.{1 if kind == 'attentions' else 2 * number}.{rest}"
    if side == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{each * (level + 1)}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{each * level + number + 1}.{int(kind == 'attentions')}.{rest}"
    if kind == "upsamplers":
        place = 2 if "CrossAttn" in unet.config.up_block_types[level] else 1
        return f"output_blocks.{each * (level + 1) - 1}.{place}.{rest}"
    return f"output_blocks.{each * level + number}.{int(kind == 'attentions')}.{rest}"


def _vae_entry(name: str, tensor: Tensor, levels: int) -> tuple[str, Tensor]:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda found: f"up.{levels - 1 - int(found[1])}.block.{found[2]}", name
    )
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda found: f"up.{levels - 1 - int(found[1])}.upsample", name)
    if ".attentions.0." not in name:
        return name, tensor
    for own, original in {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}.items():
        name = name.replace(f"mid_block.attentions.0.{own}.", f"mid.attn_1.{original}.")
    is_product = tensor.ndim == 2
    return name, tensor[:, :, None, None] if is_product else tensor


def _open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP's tensors as OpenCLIP has them: query, key and value as one, the projection the other way round."""
    found = {}
    for name, tensor in state.items():
        name = name.removeprefix("text_model.")
        for own, original in _OPEN_CLIP.items():
            name = name.replace(own, original)
        if name == "text_projection.weight":
            found["text_projection"] = tensor.T
        elif (head := re.fullmatch(r"(.*attn)\.q_proj\.(weight|bias)", name)) is not None:
            own = name.replace("transformer.resblocks", "encoder.layers").replace("attn", "self_attn")
            own = next(each for each in state if each.endswith(own))
            fused = [state[own.replace("q_proj", f"{each}_proj")] for each in "qkv"]
            found[f"{head[1]}.in_proj_{head[2]}"] = torch.cat(fused)
        elif not re.search(r"attn\.[kv]_proj", name):
            found[name] = tensor
    return found


def _parts(name: str) -> tuple[str, int, str, int, str]:
    """down_blocks.0.resnets.1.conv1.weight as its side, level, kind, number and the rest; the middle has no level."""
    if name.startswith("mid_block."):
        _, kind, number, rest = name.split(".", 3)
        return "mid_block", 0, kind, int(number), rest
    side, level, kind, number, rest = name.split(".", 4)
    return side, int(level), kind, int(number), rest
