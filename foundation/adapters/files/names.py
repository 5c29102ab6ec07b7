"""What a tensor's name in an adapter's file says: which component, which layer, which tensor of it.

Read are kohya's names (`lora_unet_down_blocks_0_….lora_down.weight`), LyCORIS's (`….hada_w1_a`), diffusers' of all
times (`unet.….processor.to_q_lora.down.weight`, `….lora_linear_layer.up.weight`, `….lora_A.weight`), PEFT's
(`base_model.model.…`, `….lora_A.default.weight`), and those of OneTrainer, ComfyUI and ai-toolkit (`diffusion_model.…`,
`clip_l.…`). Layers become those of diffusers and transformers; the layers of the original FLUX and SD3 stay, see
`foundation.bases.original_layers`.

Sources: diffusers 0.42 loaders/lora_conversion_utils.py; ComfyUI comfy/lora.py; kohya-ss/sd-scripts networks/*.py;
Nerogar/OneTrainer modules/util/convert/lora.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from foundation.bases.stability_layers import from_stability

DENOISER: Final = "denoiser"
"""Component of a name that does not say whether it is a UNet's or a transformer's."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a tensor's name says."""

    component: str
    """One of `COMPONENTS` or `DENOISER`."""
    layer: str
    tensor: str
    """As PEFT or LyCORIS calls it: lora_A, lora_B, lora_magnitude_vector, alpha, hada_w1_a …"""


_NAMED_ADAPTER: Final = r"(?:\.(?!weight$|bias$)[^.]+)?"
"""PEFT's name of the adapter: default, and what people choose."""
_TENSORS: Final = tuple(
    (re.compile(rf"(?P<layer>.+?){pattern}"), tensor)
    for pattern, tensor in (
        (rf"\.lora_(?P<side>[AB]){_NAMED_ADAPTER}(?:\.weight)?", ""),
        (rf"\.lora_B{_NAMED_ADAPTER}\.bias", "lora_B.bias"),
        (r"\.lora_(?P<side>down|up)\.weight", ""),
        (r"\.lora_mid\.weight", "lora_mid"),
        (r"(?:\.lora|_lora|\.lora_linear_layer)\.(?P<side>down|up)\.weight", ""),
        (r"(?P<numbered>_lora[12])\.(?P<side>down|up)\.weight", ""),
        (rf"\.lora_embedding_(?P<side>[AB]){_NAMED_ADAPTER}", "embedding"),
        (rf"\.lora_magnitude_vector{_NAMED_ADAPTER}(?:\.weight)?", "lora_magnitude_vector"),
        (r"(?:\.|_lora\.|\.lora\.)(?:alpha|network_alpha)", "alpha"),
        (rf"\.(?P<own>hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)){_NAMED_ADAPTER}", ""),
        (rf"\.(?P<own>ia3_l|oft_R){_NAMED_ADAPTER}(?:\.weight)?", ""),
        (r"\.(?P<own>dora_scale|oft_blocks|rescale|on_input|diff|diff_b|w_norm|b_norm)", ""),
        (r"\.(?P<own>weight|bias)", ""),
    )
)
_SIDES: Final = {"down": "lora_A", "up": "lora_B", "A": "lora_A", "B": "lora_B"}
_PREFIXES: Final = tuple(
    (re.compile(pattern), component)
    for pattern, component in (
        (r"(?:base_model\.model\.)?(?:model\.)?diffusion_model\.", DENOISER),
        (r"(?:base_model\.model\.)?(?:lora_|oft_)?unet[._]", DENOISER),
        (r"lora_transformer[._]", "transformer"),
        (r"(?:base_model\.model\.)?transformer\.", "transformer"),
        (r"(?:base_model\.model\.)?text_encoder_2\.", "text_encoder_2"),
        (r"(?:base_model\.model\.)?text_encoder_3\.", "text_encoder_3"),
        (r"(?:base_model\.model\.)?text_encoder\.", "text_encoder"),
        (r"lora_te1?[._]", "text_encoder"),
        (r"lora_te2[._]", "text_encoder_2"),
        (r"lora_te3[._]", "text_encoder_3"),
        (r"(?:text_encoders\.)?clip_[lh]\.(?:transformer\.)?", "text_encoder"),
        (r"cond_stage_model\.transformer\.", "text_encoder"),
        (r"(?:text_encoders\.)?clip_g\.(?:transformer\.)?", "text_encoder_2"),
        (r"(?:text_encoders\.)?t5(?:xxl)?\.(?:transformer\.)?", "text_encoder_3"),
        (r"lycoris_", ""),
        (r"base_model\.model\.", ""),
        (r"", ""),
    )
)
"""What stands before a layer, and whose it is then; nothing where only the layer can tell."""
_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
    add_embedding add_k_proj add_q_proj add_v_proj conv_in conv_norm_out conv_out conv_shortcut down_blocks linear_1
    linear_2 mid_block proj_in proj_mlp proj_out time_emb_proj time_embedding to_add_out to_k to_out to_q to_v
    transformer_blocks up_blocks
    input_blocks middle_block output_blocks time_embed label_emb in_layers out_layers emb_layers skip_connection
    single_transformer_blocks context_embedder x_embedder pos_embed time_text_embed timestep_embedder text_embedder
    guidance_embedder ff_context norm1_context norm2_context norm_out norm_q norm_k norm_added_q norm_added_k
    double_blocks single_blocks img_attn txt_attn img_mod txt_mod img_mlp txt_mlp img_in txt_in txt_norm time_in
    vector_in guidance_in in_layer out_layer final_layer adaLN_modulation
    joint_blocks x_block context_block t_embedder y_embedder
    text_model self_attn q_proj k_proj v_proj out_proj text_projection token_embedding position_embedding
    embed_tokens wi_0 wi_1 layer_norm final_layer_norm layer_norm1 layer_norm2
    language_model gate_proj up_proj down_proj o_proj
    """,
    )
)
"""Names of modules that have an underscore of their own."""
_LONGEST: Final = max(word.count("_") for word in _WORDS) + 1
_OF_UNETS: Final = re.compile(r"(down_blocks|mid_block|up_blocks|conv_in|conv_out|time_embedding|add_embedding)\b.*")
_OF_TRANSFORMERS: Final = re.compile(
    r"(single_transformer_blocks|transformer_blocks|double_blocks|single_blocks|joint_blocks|x_embedder|img_in|txt_in"
    r"|context_embedder|pos_embed|time_text_embed|norm_out|proj_out|time_in|vector_in|guidance_in|final_layer"
    r"|[ty]_embedder)\b.*"
)
_OF_TEXT: Final = re.compile(r"(text_model\.)?(encoder\.(layers|block)|embeddings|text_projection|shared)\b.*")
_ATTENTION: Final = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
"""CLIP's projections as diffusers called them once."""
_TEXT_MODEL: Final = "text_model."
"""Files name CLIP's layers from here on."""
_WITHOUT_TEXT_MODEL: Final = "text_encoder"
"""The component whose modules have it no more since transformers 5, a `CLIPTextModel`; SDXL's second one is none."""


def parse_name(name: str) -> Named | None:
    """What a tensor's name says; None where it is no name that adapters have."""
    for pattern, own in _TENSORS:
        if (found := pattern.fullmatch(name)) is None:
            continue
        groups = found.groupdict()
        tensor = own or groups.get("own") or _SIDES[groups["side"]]
        if own == "embedding":
            tensor = f"lora_embedding_{groups['side']}"
        located = _component_and_layer(groups["layer"] + (groups.get("numbered") or ""))
        return None if located is None else Named(*located, tensor)
    return None


def _component_and_layer(path: str) -> tuple[str, str] | None:
    """The component and the layer of a path, by what it begins with."""
    begun = ((found, component) for pattern, component in _PREFIXES if (found := pattern.match(path)) is not None)
    found, component = next(begun)  # the last pattern fits everything
    layer = path[found.end() :]
    if not layer:
        return None
    if "." not in layer:
        layer = with_dots(layer)
    if component in ("", DENOISER):
        layer = from_stability(layer)
        component = _owner(layer) or component
    if not component:
        return None
    return component, _of_text(layer, component) if component.startswith("text_encoder") else _of_denoiser(layer)


def _owner(layer: str) -> str:
    if _OF_TEXT.fullmatch(layer):
        return "text_encoder"
    if _OF_UNETS.fullmatch(layer):
        return "unet"
    return "transformer" if _OF_TRANSFORMERS.fullmatch(layer) else ""


def with_dots(flat: str) -> str:
    """A layer's path from one whose dots are underscores, by the words that have underscores of their own."""
    pieces, path = flat.split("_"), []
    while pieces:
        lengths = range(min(_LONGEST, len(pieces)), 1, -1)
        taken = next((length for length in lengths if "_".join(pieces[:length]) in _WORDS), 1)
        path.append("_".join(pieces[:taken]))
        pieces = pieces[taken:]
    return ".".join(path)


def _of_denoiser(layer: str) -> str:
    """A layer as diffusers names it today; an output that is no list, in FLUX.2's single blocks, stays one."""
    if ".processor." in layer and not layer.startswith(("double_blocks", "single_blocks")):
        layer = layer.replace(".processor.", ".")
    is_list = layer.endswith(".to_out") and not layer.startswith("single_transformer_blocks.")
    return f"{layer}.0" if is_list else layer


def _of_text(layer: str, component: str) -> str:
    """A layer as the text encoder names it in memory."""
    head, _, last = layer.rpartition(".")
    if head.endswith("self_attn"):
        layer = f"{head}.{_ATTENTION.get(last, last)}"
    return layer.removeprefix(_TEXT_MODEL) if component == _WITHOUT_TEXT_MODEL else layer
