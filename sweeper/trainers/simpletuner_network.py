"""SimpleTuner's adapters as ours: PEFT's LoRA, or what its LyCORIS config says."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS
from sweeper.trainers.port import Ours, Row, Settings, Theirs, plain

LYCORIS: Final = "lycoris."
_ALGORITHMS: Final = {"lora": "locon", "locon": "locon", "loha": "loha", "lokr": "lokr"}
_TARGETS: Final = {"all": "attention", "all+ffs": "attention+ff"}
_INITS: Final = {"default": True, "gaussian": "gaussian", "pissa": "pissa", "olora": "olora"}
_MODULES: Final = f"{LYCORIS}apply_preset.target_module"
_STANDARD: Final = ("lora_rank", "lora_alpha", "lora_dropout", "lora_init_type", "use_dora", "flux_lora_target")
_NAMES: Final = ("lora_type", f"{LYCORIS}algo", _MODULES, f"{LYCORIS}preset", "flux_lora_target")
_RANK: Final = ("lora_rank", "lora_alpha", f"{LYCORIS}linear_dim", f"{LYCORIS}linear_alpha")
_LARGEST: Final = 1024


def _is_lycoris(theirs: Theirs) -> bool:
    return theirs.text("lora_type", default="standard").lower() == "lycoris"


def _kind(theirs: Theirs) -> str:
    """LyCORIS' LoCon over attention alone is a LoRA."""
    if not _is_lycoris(theirs):
        return "lora"
    kind = _ALGORITHMS.get(theirs.text(f"{LYCORIS}algo").lower(), "lora")
    return "lora" if kind == "locon" and _targets_of_lycoris(theirs) != "all" else kind


def _targets_of_lycoris(theirs: Theirs) -> str:
    modules = theirs.get(_MODULES)
    names = set(map(str, modules)) if isinstance(modules, list) else set()
    if not names:
        return "all-linear" if theirs.family in FLOWS else "all"
    return "attention+ff" if "FeedForward" in names else "attention"


def _read_kind(theirs: Theirs) -> Settings:
    if not _is_lycoris(theirs):
        if "flux_lora_target" in theirs.fields and theirs.family != "flux":
            theirs.idle.add("flux_lora_target")
            return {"adapter": "lora", "adapter.targets": "attention"}
        why = "no such choice of layers here; attention is adapted"
        targets = theirs.word("flux_lora_target", allowed=_TARGETS, default="attention", why=why)
        return {"adapter": "lora", "adapter.targets": targets}
    algorithm = theirs.text(f"{LYCORIS}algo").lower()
    if not algorithm:
        theirs.problems.append("lora_type is lycoris: name its config, too: sweeper import config.json LYCORIS.json")
    elif algorithm not in _ALGORITHMS:
        theirs.leave("there is no such kind here; a LoRA takes its place", f"{LYCORIS}algo")
    theirs.idle.update(set(_STANDARD) & theirs.fields.keys())
    return {"adapter": _kind(theirs), "adapter.targets": _targets_of_lycoris(theirs)}


def _read_rank(theirs: Theirs) -> Settings:
    if not _is_lycoris(theirs):
        rank = max(1, theirs.whole("lora_rank", default=16))
        alpha = theirs.number("lora_alpha", default=rank)
    else:
        rank = max(1, theirs.whole(f"{LYCORIS}linear_dim", default=4))
        alpha = theirs.number(f"{LYCORIS}linear_alpha", default=1.0)
        if rank > _LARGEST:  # a factor that is not decomposed, which LyCORIS scales by 1
            rank, alpha = _LARGEST, float(_LARGEST)
    return {"adapter.rank": rank, "adapter.alpha_ratio": plain((alpha or rank) / rank)}


def _write_network(trial: Ours) -> dict[str, Any]:
    kind, targets = trial["adapter.name"], trial["adapter.targets"]
    alpha = plain(trial.alpha) if kind not in ("ia3", "oft") else None
    flux = {"flux_lora_target": {ours: word for word, ours in _TARGETS.items()}.get(targets, "all")}
    if kind in ("lora", "adalora") and (targets == "attention" or trial.family == "flux"):
        own = {"lora_type": "standard", "lora_rank": trial["adapter.rank"], "lora_alpha": alpha}
        return {**own, **(flux if trial.family == "flux" else {})}
    written: dict[str, Any] = {"lora_type": "lycoris", f"{LYCORIS}algo": "locon" if kind == "lora" else kind}
    if alpha is not None:
        written |= {f"{LYCORIS}linear_dim": trial["adapter.rank"], f"{LYCORIS}linear_alpha": alpha}
    modules = {"attention": ["Attention"], "attention+ff": ["Attention", "FeedForward"]}.get(targets)
    return {**written, **({_MODULES: modules} if modules else {})}


def _read_dropout(theirs: Theirs) -> Settings:
    if _is_lycoris(theirs):
        return {"adapter.dropout": theirs.number(f"{LYCORIS}rank_dropout")}
    return {"adapter.dropout": theirs.number("lora_dropout", default=0.1)}


def _write_dropout(trial: Ours) -> dict[str, Any]:
    if _write_network(trial)["lora_type"] == "standard":
        return {"lora_dropout": trial["adapter.dropout"]}  # none is not its default
    return {f"{LYCORIS}rank_dropout": trial["adapter.dropout"]} if trial["adapter.dropout"] else {}


def _read_standard(theirs: Theirs) -> Settings:
    if _is_lycoris(theirs):
        return {}
    init = theirs.word("lora_init_type", allowed=_INITS, default=True, why="no such start here; it is PEFT's own")
    return {"adapter.dora": theirs.flag("use_dora"), "adapter.init": init}


def _write_standard(trial: Ours) -> dict[str, Any]:
    written: dict[str, Any] = {"use_dora": True} if trial["adapter.dora"] else {}
    word = {ours: word for word, ours in _INITS.items()}.get(trial["adapter.init"], "default")
    return written if word == "default" else {**written, "lora_init_type": word}


def _of_lokr(name: str, ours: str, method: str, default: Any) -> Row:
    """A field of LyCORIS' that is one of a LoKr: `method` reads it, `default` is LyCORIS' own."""
    theirs = f"{LYCORIS}{name}"

    def read(found: Theirs) -> Settings:
        if _kind(found) == "lokr":
            return {ours: getattr(found, method)(theirs, default=default)}
        found.idle.update({theirs} & found.fields.keys())
        return {}

    def write(trial: Ours) -> dict[str, Any]:
        return {theirs: trial[ours]} if trial["adapter.name"] == "lokr" and trial[ours] != default else {}

    return Row(theirs=(theirs,), ours=(ours,), read=read, write=write, words="of lokr")


NETWORK: Final = (
    Row(
        theirs=_NAMES,
        ours=("adapter", "adapter.targets"),
        read=_read_kind,
        write=_write_network,
        words="PEFT's LoRA of attention; of FLUX flux_lora_target, of LyCORIS its algo and target_module",
    ),
    Row(
        theirs=_RANK,
        ours=("adapter.rank", "adapter.alpha_ratio"),
        read=_read_rank,
        words="alpha_ratio is alpha / rank; PEFT's LoRA has alpha = rank where none is said",
    ),
    Row(
        theirs=("lora_dropout", f"{LYCORIS}rank_dropout"),
        ours=("adapter.dropout",),
        read=_read_dropout,
        write=_write_dropout,
        words="0.1 where nothing is said",
    ),
    Row(
        theirs=("use_dora", "lora_init_type"),
        ours=("adapter.dora", "adapter.init"),
        read=_read_standard,
        write=_write_standard,
    ),
    _of_lokr("factor", "adapter.factor", "whole", -1),
    _of_lokr("decompose_both", "adapter.decompose_both", "flag", False),
    _of_lokr("use_tucker", "adapter.tucker", "flag", False),
)
