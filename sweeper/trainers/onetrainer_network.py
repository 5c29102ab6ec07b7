"""OneTrainer's adapters as ours."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, architecture
from sweeper.trainers.port import Ours, Row, Settings, Theirs, plain

_KINDS: Final = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr", "OFT_2": "oft"}
_BACK: Final = {**{ours: word for word, ours in _KINDS.items()}, "locon": "LORA"}
_FILTER: Final = ("layer_filter_preset", "lora_layer_preset")
_LAYERS: Final = ("layer_filter", "lora_layers", "layer_filter_regex", "lora_layers_regex")
_PRESETS: Final = {"attn-only": "attention", "attn-mlp": "attention+ff", "blocks": "all-linear"}
_OF_LOKR: Final = {
    "lokr_decompose_factor": ("adapter.factor", "whole", -1),
    "lokr_decompose_both": ("adapter.decompose_both", "flag", False),
    "lokr_use_tucker": ("adapter.tucker", "flag", False),
}
_OF_OFT: Final = {
    "oft_block_size": ("adapter.block_size", "whole", 32),
    "oft_block_share": ("adapter.block_share", "flag", False),
}


def _kind(theirs: Theirs) -> str:
    return str(_KINDS.get(theirs.text("peft_type", default="LORA").upper(), "lora"))


def _read_kind(theirs: Theirs) -> Settings:
    why = "there is no such kind here; a LoRA takes its place"
    kind = theirs.word("peft_type", allowed=_KINDS, default="lora", why=why)
    preset = theirs.text(*_FILTER, default="full").lower()
    whole = "all-linear" if theirs.family in FLOWS or kind == "oft" else "all"
    targets = _PRESETS.get(preset, whole)
    if preset not in (*_PRESETS, "full"):
        theirs.leave("choose layers by adapter.targets, a list or an expression; all are adapted", *_FILTER)
        theirs.leave("choose layers by adapter.targets, a list or an expression; all are adapted", *_LAYERS)
    else:
        theirs.idle.update(set(_LAYERS) & theirs.fields.keys())
    if targets == "attention+ff" and theirs.family not in FLOWS:
        theirs.remarks.append(
            "adapter.targets is attention+ff: attn-mlp has all of a transformer there, projections, too"
        )
    if targets in ("all", "all-linear"):
        theirs.remarks.append(f"adapter.targets is {targets}: what lies outside of the blocks may be adapted otherwise")
    return {"adapter": kind, "adapter.targets": targets}


def _write_kind(trial: Ours) -> dict[str, Any]:
    targets = trial["adapter.targets"]
    preset = next((word for word, each in _PRESETS.items() if each == targets), "full")
    return {"peft_type": _BACK.get(trial["adapter.name"], "LORA"), "layer_filter_preset": preset}


def _read_rank(theirs: Theirs) -> Settings:
    kind = _kind(theirs)
    if kind == "oft":
        theirs.idle.update({"lora_rank", "lora_alpha", "lokr_dim"} & theirs.fields.keys())
        return {}
    name, other = ("lokr_dim", "lora_rank") if kind == "lokr" else ("lora_rank", "lokr_dim")
    theirs.idle.update({other} & theirs.fields.keys())
    rank = min(1024, max(1, theirs.whole(name, default=16)))
    alpha = theirs.number("lora_alpha", default=1.0)
    return {"adapter.rank": rank, "adapter.alpha_ratio": plain((alpha or rank) / rank)}


def _write_rank(trial: Ours) -> dict[str, Any]:
    if trial["adapter.name"] == "oft":
        return {}
    name = "lokr_dim" if trial["adapter.name"] == "lokr" else "lora_rank"
    return {name: trial["adapter.rank"], "lora_alpha": plain(trial.alpha)}


def _of_kind(theirs: str, ours: str, method: str, default: Any, kinds: tuple[str, ...]) -> Row:
    """A field that means something for these kinds alone: `method` reads it, `default` is theirs."""

    def read(found: Theirs) -> Settings:
        if _kind(found) in kinds:
            return {ours: getattr(found, method)(theirs, default=default)}
        found.idle.update({theirs} & found.fields.keys())
        return {}

    def write(trial: Ours) -> dict[str, Any]:
        return {theirs: trial[ours]} if trial["adapter.name"] in kinds and trial[ours] != default else {}

    return Row(theirs=(theirs,), ours=(ours,), read=read, write=write, words=f"of {', '.join(kinds)}")


def _quantization(theirs: Theirs) -> Settings:
    part = "transformer" if theirs.family in FLOWS else "unet"
    names = (f"{part}.weight_dtype", "prior.weight_dtype" if part == "transformer" else "unet_weight_dtype")
    word = theirs.text(*names).upper()
    wanted = {"NFLOAT_4": "nf4", "INT_8": "int8"}.get(word)
    if wanted and _kind(theirs) != "lora":
        theirs.leave("a base in so few bits is for a LoRA here", *names)
        return {"base.quantization": None}
    if word.startswith(("FLOAT_8", "INT_W8", "GGUF", "FLOAT_W8")):
        theirs.leave("no such numbers here; base.quantization=int8 or nf4 saves as much", *names)
    elif not wanted:
        theirs.idle.update(set(names) & theirs.fields.keys())
    return {"base.quantization": wanted}


def _write_quantization(trial: Ours) -> dict[str, Any]:
    part = "transformer" if architecture(trial) in FLOWS else "unet"
    word = {"nf4": "NFLOAT_4", "int8": "INT_8"}.get(trial["base.quantization"] or "")
    return {f"{part}.weight_dtype": word} if word else {}


NETWORK: Final = (
    Row(
        theirs=("peft_type", *_FILTER, *_LAYERS),
        ours=("adapter", "adapter.targets"),
        read=_read_kind,
        write=_write_kind,
        words="attn-only, attn-mlp and blocks are attention, attention+ff and all-linear; full is all",
    ),
    Row(
        theirs=("lora_rank", "lora_alpha", "lokr_dim"),
        ours=("adapter.rank", "adapter.alpha_ratio"),
        read=_read_rank,
        write=_write_rank,
        words="alpha_ratio is alpha / rank",
    ),
    _of_kind("lora_decompose", "adapter.dora", "flag", False, ("lora",)),
    _of_kind("dropout_probability", "adapter.dropout", "number", 0.0, ("lora", "loha", "lokr", "oft")),
    *(_of_kind(name, *where, ("lokr",)) for name, where in _OF_LOKR.items()),
    *(_of_kind(name, *where, ("oft",)) for name, where in _OF_OFT.items()),
    Row(
        theirs=("transformer.weight_dtype", "unet.weight_dtype", "prior.weight_dtype", "unet_weight_dtype"),
        ours=("base.quantization",),
        read=_quantization,
        write=_write_quantization,
        words="NFLOAT_4 is nf4, INT_8 is int8; of wider numbers train.precision decides",
    ),
)
