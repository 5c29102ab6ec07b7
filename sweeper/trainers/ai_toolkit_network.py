"""ai-toolkit's networks as adapters of ours."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, architecture
from sweeper.trainers.port import Ours, Row, Settings, Theirs, plain

_KINDS: Final = ("lora", "locon", "lokr")
_LINEAR: Final = ("network.linear", "network.rank")
_ALPHA: Final = ("network.linear_alpha", "network.alpha")
_CONV: Final = ("network.conv", "network.conv_alpha")
_LARGEST: Final = 1024


def _kind(theirs: Theirs) -> str:
    kind = theirs.text("network.type", default="lora").lower()
    if kind in ("lora", "locon"):
        return "locon" if theirs.number("network.conv") and theirs.family not in FLOWS else "lora"
    return kind if kind in _KINDS else "lora"


def _read_kind(theirs: Theirs) -> Settings:
    if not any(name.startswith("network.") for name in theirs.fields):
        theirs.problems.append("network must be there: an adapter alone is trained here, and no whole model")
    if theirs.text("network.type", default="lora").lower() not in _KINDS:
        theirs.leave("there is no such kind here; a LoRA takes its place", "network.type")
    kind = _kind(theirs)
    targets = "all" if kind == "locon" else "all-linear" if theirs.family in FLOWS else "attention+ff"
    if targets == "attention+ff":
        theirs.remarks.append("adapter.targets is attention+ff: a transformer's projections are adapted there, too")
    elif targets == "all-linear":
        theirs.remarks.append("adapter.targets is all-linear: layers outside the blocks are adapted here, too")
    return {"adapter": kind, "adapter.targets": targets}


def _read_rank(theirs: Theirs) -> Settings:
    kind = _kind(theirs)
    rank = max(1, theirs.whole(*_LINEAR, default=4))
    alpha = theirs.number(*_ALPHA, default=1.0)
    if kind == "lokr" and (theirs.flag("network.lokr_full_rank") or rank > _LARGEST):
        rank, alpha = _LARGEST, float(_LARGEST)  # LyCORIS scales a factor that is not decomposed by 1
    settings: Settings = {"adapter.rank": rank, "adapter.alpha_ratio": plain((alpha or rank) / rank)}
    conv = max(0, theirs.whole("network.conv"))
    if kind == "locon" and conv:
        conv_alpha = theirs.number("network.conv_alpha", default=conv)
        settings |= {"adapter.conv_rank": conv, "adapter.conv_alpha_ratio": plain(conv_alpha / conv)}
    elif conv:
        theirs.leave("no convolutions are adapted with this base or kind", *_CONV)
    return settings


def _write_network(trial: Ours) -> dict[str, Any]:
    kind = trial["adapter.name"]
    written: dict[str, Any] = {"network.type": "lokr" if kind == "lokr" else "lora"}
    if kind == "lokr" and trial["adapter.rank"] == _LARGEST:
        written["network.lokr_full_rank"] = True
    if kind not in ("ia3", "oft"):
        written |= {"network.linear": trial["adapter.rank"], "network.linear_alpha": plain(trial.alpha)}
    if kind == "locon" and architecture(trial) not in FLOWS:
        rank = trial["adapter.conv_rank"] or trial["adapter.rank"]
        ratio = trial["adapter.conv_alpha_ratio"] or trial["adapter.alpha_ratio"]
        written |= {"network.conv": rank, "network.conv_alpha": plain(rank * ratio)}
    return written


def _read_factor(theirs: Theirs) -> Settings:
    if _kind(theirs) == "lokr":
        return {"adapter.factor": theirs.whole("network.lokr_factor", default=-1)}
    theirs.idle.update({"network.lokr_factor"} & theirs.fields.keys())
    return {}


NETWORK: Final = (
    Row(
        theirs=("network.type", "network.lokr_full_rank"),
        ours=("adapter", "adapter.targets"),
        read=_read_kind,
        write=_write_network,
        words="lokr_full_rank is the highest rank",
    ),
    Row(
        theirs=(*_LINEAR, *_ALPHA, *_CONV),
        ours=("adapter.rank", "adapter.alpha_ratio", "adapter.conv_rank", "adapter.conv_alpha_ratio"),
        read=_read_rank,
        words="alpha_ratio is linear_alpha / linear; with conv it is a locon",
    ),
    Row(
        theirs=("network.dropout",),
        ours=("adapter.dropout",),
        read=lambda theirs: {"adapter.dropout": theirs.number("network.dropout")},
        write=lambda trial: {"network.dropout": trial["adapter.dropout"]} if trial["adapter.dropout"] else {},
    ),
    Row(
        theirs=("network.lokr_factor",),
        ours=("adapter.factor",),
        read=_read_factor,
        write=lambda trial: {"network.lokr_factor": trial["adapter.factor"]} if trial["adapter.name"] == "lokr" else {},
        words="of lokr",
    ),
)
