"""kohya's networks, its own and LyCORIS', as adapters of ours."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, architecture
from sweeper.trainers.port import Ours, Row, Settings, Theirs, plain

ARGS: Final = "network_args."
_TYPES: Final = {
    "standard": "lora",
    "flux1": "lora",
    "kohya locon": "locon",
    "lycoris/locon": "locon",
    "lycoris/loha": "loha",
    "lycoris/lokr": "lokr",
    "lycoris/ia3": "ia3",
}
"""By what the window of kohya_ss calls them."""
_ALGORITHMS: Final = {"lora": "locon", "locon": "locon", "loha": "loha", "lokr": "lokr", "ia3": "ia3"}
"""By what LyCORIS calls them."""
_PRESETS: Final = {
    "full": "all",
    "full-lin": "all-linear",
    "attn-mlp": "attention+ff",
    "attn-only": "attention",
    "unet-transformer-only": "attention+ff",
}
"""LyCORIS' presets by what is adapted here."""
_BACK: Final = {"all": "full", "all-linear": "full-lin", "attention+ff": "attn-mlp", "attention": "attn-only"}
_NAMES: Final = ("LoRA_type", "network_module", f"{ARGS}algo", "LyCORIS_preset", f"{ARGS}preset")
_CONV: Final = ("conv_dim", f"{ARGS}conv_dim", "conv_alpha", f"{ARGS}conv_alpha")
_LARGEST: Final = 1024
"""Ranks end here; LyCORIS says with a higher one that a factor is not decomposed."""


def _kind(theirs: Theirs) -> tuple[str, str]:
    """Which kind of adapter it is, and which of LyCORIS' presets; "" for kohya's own networks."""
    preset = theirs.text(f"{ARGS}preset", "LyCORIS_preset", default="full").lower()
    said = theirs.text("LoRA_type").lower()
    module = theirs.text("network_module", default="networks.lora").lower()
    algorithm = theirs.text(f"{ARGS}algo", default="lora").lower()
    if said:
        kind = _TYPES.get(said, "")
        lycoris = said.startswith("lycoris/")
    elif module.startswith("lycoris"):
        kind, lycoris = _ALGORITHMS.get(algorithm, ""), True
    else:
        last = module.rpartition(".")[2]
        kind, lycoris = last if last in ("loha", "lokr") else "lora" if last.split("_")[0] == "lora" else "", False
        kind = "" if last == "lora_fa" else kind
        has_conv = theirs.number(f"{ARGS}conv_dim") > 0
        kind = "locon" if kind == "lora" and has_conv else kind
    if not kind:
        what = theirs.name("LoRA_type", "network_module") if algorithm == "lora" else f"{ARGS}algo"
        theirs.leave("there is no such kind here; a LoRA takes its place", what)
        return "lora", ""
    if kind == "locon" and lycoris and preset in ("attn-mlp", "attn-only", "full-lin"):
        kind = "lora"  # ours adapts convolutions whatever else is chosen
    return kind, preset if lycoris else ""


def _read_kind(theirs: Theirs) -> Settings:
    kind, preset = _kind(theirs)
    if preset:
        targets = _PRESETS.get(preset)
        if targets is None:
            theirs.leave("no such choice of layers here; all are adapted", f"{ARGS}preset", "LyCORIS_preset")
    else:
        targets = "all" if kind == "locon" else "all-linear" if theirs.family in FLOWS else "attention+ff"
        what = "the projections into and out of a transformer are adapted there, too, and not here"
        if targets == "attention+ff":
            theirs.remarks.append(f"adapter.targets is attention+ff: {what}")
        elif targets == "all-linear":
            theirs.remarks.append("adapter.targets is all-linear: layers outside the blocks are adapted here, too")
    return {"adapter": kind, "adapter.targets": targets or "all"}


def _read_rank(theirs: Theirs) -> Settings:
    kind, preset = _kind(theirs)
    if kind == "ia3":
        theirs.leave("(IA)³ has no rank", "network_dim", "network_alpha")
        theirs.leave("(IA)³ has no rank", *_CONV)
        return {}
    rank = max(1, theirs.whole("network_dim", default=4))
    alpha = theirs.number("network_alpha", default=1.0) or float(rank)
    if rank > _LARGEST:
        theirs.remarks.append(f"adapter.rank is {_LARGEST}, the highest, and alpha_ratio 1, as LyCORIS has it above")
        rank, alpha = _LARGEST, float(_LARGEST)
    settings: Settings = {"adapter.rank": rank, "adapter.alpha_ratio": plain(alpha / rank)}
    conv = theirs.whole("conv_dim", f"{ARGS}conv_dim")
    if kind == "locon" or (kind in ("loha", "lokr") and preset in ("", "full") and conv):
        conv = min(conv or rank, _LARGEST)
        conv_alpha = theirs.number("conv_alpha", f"{ARGS}conv_alpha", default=alpha if preset else 1.0)
        settings |= {"adapter.conv_rank": conv, "adapter.conv_alpha_ratio": plain((conv_alpha or conv) / conv)}
    else:
        theirs.leave("no convolutions are adapted with this kind of network", *_CONV)
    return settings


def _write_network(trial: Ours) -> dict[str, Any]:
    kind, family = trial["adapter.name"], architecture(trial)
    targets, has_dora = trial["adapter.targets"], trial["adapter.dora"]
    own = {"flux": "networks.lora_flux", "sd3": "networks.lora_sd3"}.get(family, "networks.lora")
    if (kind == "lora" and targets == ("all-linear" if family in FLOWS else "attention+ff") and not has_dora) or (
        kind == "locon" and targets == "all" and not has_dora and family not in FLOWS
    ):
        written: dict[str, Any] = {"network_module": own}
    else:
        algorithm = {"lora": "locon"}.get(kind, kind)
        written = {"network_module": "lycoris.kohya", f"{ARGS}algo": algorithm}
        if targets in _BACK:
            written[f"{ARGS}preset"] = _BACK[targets]
    if kind in ("ia3", "oft"):
        return written
    written |= {"network_dim": trial["adapter.rank"], "network_alpha": plain(trial.alpha)}
    if kind == "locon" or (trial["adapter.conv_rank"] and targets == "all"):
        rank = trial["adapter.conv_rank"] or trial["adapter.rank"]
        ratio = trial["adapter.conv_alpha_ratio"] or trial["adapter.alpha_ratio"]
        written |= {f"{ARGS}conv_dim": rank, f"{ARGS}conv_alpha": plain(rank * ratio)}
    return written


def _of_kinds(theirs: tuple[str, ...], ours: str, method: str, kinds: tuple[str, ...], default: Any) -> Row:
    """A field that only these kinds of adapter have here."""

    def read(found: Theirs) -> Settings:
        value = getattr(found, method)(*theirs, default=default)
        kind, _ = _kind(found)
        if kind in kinds:
            return {ours: value}
        if value != default:
            found.leave(f"{kind} has none here", *theirs)
        return {}

    def write(trial: Ours) -> dict[str, Any]:
        is_set = trial["adapter.name"] in kinds and trial[ours] != default
        return {theirs[-1]: trial[ours]} if is_set else {}

    return Row(theirs=theirs, ours=(ours,), read=read, write=write, words=f"of {', '.join(kinds)}")


NETWORK: Final = (
    Row(
        theirs=_NAMES,
        ours=("adapter", "adapter.targets"),
        read=_read_kind,
        write=_write_network,
        words="the kind of network and its preset say which layers are adapted",
    ),
    Row(
        theirs=("network_dim", "network_alpha", *_CONV),
        ours=("adapter.rank", "adapter.alpha_ratio", "adapter.conv_rank", "adapter.conv_alpha_ratio"),
        read=_read_rank,
        words="alpha_ratio is alpha / dim; an alpha of 0 is the dim",
    ),
    _of_kinds(("network_dropout",), "adapter.dropout", "number", ("lora", "locon"), 0.0),
    _of_kinds(("rank_dropout", f"{ARGS}rank_dropout"), "adapter.dropout", "number", ("loha", "lokr"), 0.0),
    _of_kinds(("module_dropout", f"{ARGS}module_dropout"), "adapter.module_dropout", "number", ("loha", "lokr"), 0.0),
    _of_kinds(("dora_wd", f"{ARGS}dora_wd"), "adapter.dora", "flag", ("lora", "locon"), False),
    _of_kinds(
        ("use_tucker", "use_cp", f"{ARGS}use_cp", f"{ARGS}use_tucker"),
        "adapter.tucker",
        "flag",
        ("loha", "lokr"),
        False,
    ),
    _of_kinds(("factor", f"{ARGS}factor"), "adapter.factor", "whole", ("lokr",), -1),
    _of_kinds(("decompose_both", f"{ARGS}decompose_both"), "adapter.decompose_both", "flag", ("lokr",), False),
)
