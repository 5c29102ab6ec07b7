"""What a safetensors file is that holds other things than an adapter, by the names of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from torch import Tensor

_ADAPTERS: Final = re.compile(
    r".*([._]lora[12]?[._]|lora_(down|up|A|B|mid|embedding)|hada_w|lokr_w|oft_blocks|oft_R|ia3_l|\.(on_input|diff|diff_b|w_norm)$).*"
)
"""Names that only adapters have."""
_BUNDLED: Final = "bundle_emb."
_EMBEDDINGS: Final = re.compile(r"(bundle_emb\.|string_to_param\.|emb_params$|clip_[lgh]$|t5xxl$|<.*>$).*")
_MAX_EMBEDDING_DIMENSIONS: Final = 2
_OTHERS: Final = (
    (
        re.compile(r"(control_model\.|controlnet|lllite_|.*zero_convs?\.|.*controlnet_).*"),
        "is a ControlNet and no LoRA; it cannot be judged or merged here",
    ),
    (re.compile(r"(image_proj|ip_adapter)\..*"), "is an IP-Adapter and no LoRA; it cannot be judged or merged here"),
    (
        re.compile(r"(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner|vae|text_encoders?)\..*"),
        "is a whole model and no LoRA; load it as a base (base.path=, or as a pipeline folder base=)",
    ),
    (
        re.compile(
            r"(down_blocks|up_blocks|mid_block|conv_in|transformer_blocks|single_transformer_blocks|double_blocks|joint_blocks"
            r"|input_blocks|output_blocks|(model\.)?diffusion_model)\..*"
        ),
        "holds the weights of a whole UNet or transformer and no LoRA; load it as a base (base.path=)",
    ),
    (re.compile(r"(encoder|decoder|quant_conv|post_quant_conv)\..*"), "is an autoencoder (VAE) and no LoRA"),
    (
        re.compile(r"(text_model|encoder\.layers|encoder\.block|shared|model\.layers|vision_model)\b.*"),
        "is a text encoder or CLIP and no LoRA",
    ),
)


def what_it_is(tensors: Mapping[str, Tensor], strange: Sequence[str]) -> str:
    """What a file is, and what to do, if it is no adapter or has embeddings beside one; empty for an adapter alone.

    `strange` are the names that no adapter has.
    """
    embeddings = [name for name in tensors if _EMBEDDINGS.fullmatch(name)]
    if any(_ADAPTERS.fullmatch(name) for name in tensors):
        if not embeddings:
            return ""
        return (
            f"is a LoRA with {len(embeddings)} of {len(tensors)} tensors of embeddings for words of its own, first "
            f"{embeddings[0]}; without these it is not what was trained: save it without the bundled embeddings"
        )
    if embeddings or _is_lone_embedding(tensors):
        return (
            f"is an embedding (textual inversion, first {next(iter(embeddings), next(iter(tensors)))}) and no LoRA; "
            "it cannot be judged or merged here"
        )
    for pattern, what in _OTHERS:
        if any(pattern.fullmatch(name) for name in tensors):
            return f"{what} ({len(tensors)} tensors, first {next(iter(tensors))})"
    if len(strange) == len(tensors):
        return f"is no LoRA: none of its {len(tensors)} tensors has such a name, first {strange[0]}"
    return ""


def _is_lone_embedding(tensors: Mapping[str, Tensor]) -> bool:
    """As diffusers' `save` writes one: a word, and its vectors."""
    (tensor, *others) = tensors.values()
    return not others and tensor.ndim <= _MAX_EMBEDDING_DIMENSIONS and "." not in next(iter(tensors))
