"""What is known of a base without loading it: where it lies, and which family it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, get_args

from foundation.bases.families import FAMILIES, family_of_pipeline
from foundation.bases.noising import Discrete, PredictionType
from foundation.bases.spec import BaseSpec
from foundation.config.own_code import refuse_models_code
from foundation.errors import BaseModelError
from foundation.files.documents import as_mapping, read_json
from foundation.hub import is_hub_id, is_out_of_reach

EMBEDDED: Final = {"pocket": Path(__file__).parents[2] / "train" / "pocket" / "weights" / "pipeline"}
"""Bases that ship with the package, by the `base.path` that names them."""
_WEIGHTY: Final = ("unet", "transformer", "vae")
_PICKLED: Final = (".ckpt", ".pt", ".pth", ".bin")


def base_location(spec: BaseSpec) -> str:
    """A folder, a file or a hub id, as diffusers takes it."""
    if spec.path in EMBEDDED:
        return str(EMBEDDED[spec.path])
    here = Path(spec.path)
    return str(here) if here.exists() else spec.path


def refuse_bases_code(spec: BaseSpec) -> None:
    """Look through the configs of a base's own folders, which may ask for code.

    Raises:
        BaseModelError: one does.
    """
    for location, what in ((base_location(spec), "base.path"), (spec.parts, "base.parts")):
        if location is not None:
            refuse_models_code(location, what)


def is_file(location: str) -> bool:
    """Whether it is a checkpoint in one file."""
    return Path(location).suffix == ".safetensors"


def known_family(spec: BaseSpec) -> str | None:
    """The base's family as far as this machine's files tell; None for a hub id of which it was not said.

    Raises:
        BaseModelError: when it can be seen that the base is none that can be trained, or of another family.
    """
    location = base_location(spec)
    here = Path(location)
    if here.suffix in _PICKLED:
        raise BaseModelError(
            f"base.path {spec.path} could run code when read; convert it to .safetensors, or take such"
        )
    if is_file(location):
        return _of_file(spec, here)
    if here.is_dir():
        return agreed_family(spec, _class_of(here, spec.path), f"base.path {spec.path}")
    if not is_hub_id(spec.path):
        raise BaseModelError(
            f"base.path {spec.path} does not exist; name a diffusers folder, a .safetensors file or a hub id "
            "(owner/model)"
        )
    if is_out_of_reach(spec.path, "model_index.json"):
        raise BaseModelError(
            f"base {spec.path} is not in this machine's cache, and HF_HUB_OFFLINE keeps from fetching it; run "
            f"`hf download {spec.path}` where the hub can be reached, or name a folder that holds it"
        )
    return None if spec.family == "auto" else spec.family


def check_files(spec: BaseSpec) -> None:
    """Refuse what can be seen to lack what is loaded of it.

    Raises:
        BaseModelError: a folder has no weights of its denoiser or autoencoder; `base.parts` is no folder or hub id.
    """
    if spec.parts is not None and not Path(spec.parts).is_dir() and not is_hub_id(spec.parts):
        raise BaseModelError(
            f"base.parts {spec.parts} does not exist; name a diffusers folder or a hub id (owner/model)"
        )
    here = Path(base_location(spec))
    for part in _WEIGHTY if here.is_dir() else ():
        if part_of(spec, part) and not any((here / part).glob("*.safetensors")):
            raise BaseModelError(
                f"base.path {spec.path} holds no weights of its {part}: {here / part} has no .safetensors file; fetch "
                "it anew, or convert them"
            )


def known_prediction(spec: BaseSpec) -> PredictionType | None:
    """What the base predicts as far as this machine's files tell; None where only loading it does.

    Raises:
        BaseModelError: see `known_family`.
    """
    family = known_family(spec)
    if family is not None and FAMILIES[family].noise == "flow":
        return "flow"
    scheduler = Path(base_location(spec)) / "scheduler" / "scheduler_config.json"
    try:
        said = _config(scheduler).get("prediction_type", "epsilon")
    except OSError:
        return None
    return said if said in get_args(Discrete) else None


def _of_file(spec: BaseSpec, file: Path) -> str:
    if not file.is_file():
        raise BaseModelError(f"base.path {spec.path} does not exist; name a .safetensors file, a folder or a hub id")
    if spec.family == "auto":
        raise BaseModelError(
            f"base.path {spec.path} is one file, which does not say what it is; set base.family to one of "
            f"{', '.join(FAMILIES)}"
        )
    if spec.parts is None and not FAMILIES[spec.family].whole_in_a_file:
        raise BaseModelError(
            f"base.path {spec.path} is a transformer alone; set base.parts to the diffusers folder or hub id that its "
            "text encoders and autoencoder come from"
        )
    return spec.family


def agreed_family(spec: BaseSpec, pipeline: str, where: str) -> str:
    """The family of a pipeline of this class, which must be `base.family` unless that is auto; `where` it was found.

    Raises:
        BaseModelError: when it is not, or none of these.
    """
    family = family_of_pipeline(pipeline)
    if family is None:
        trained = ", ".join(each.pipeline for each in FAMILIES.values())
        raise BaseModelError(f"{where} holds a {pipeline}; what can be trained is {trained}")
    if spec.family not in ("auto", family):
        raise BaseModelError(
            f"{where} holds a {pipeline}, which is base.family {family}, not {spec.family}; "
            "choose the base=… of that family, whose other settings fit, too"
        )
    return family


def part_of(spec: BaseSpec, name: str) -> object:
    """What `model_index.json` says of a part of a pipeline, library and class; None where no such folder is here."""
    index = Path(base_location(spec)) / "model_index.json"
    return _config(index).get(name) if index.is_file() else None


def _class_of(folder: Path, path: str) -> str:
    index = folder / "model_index.json"
    if not index.is_file():
        raise BaseModelError(f"base.path {path} is no pipeline: it has no model_index.json; name a diffusers folder")
    named = _config(index).get("_class_name")
    if not isinstance(named, str):
        raise BaseModelError(f"base.path {path}: model_index.json names no pipeline (_class_name); fetch it anew")
    return named


def _config(file: Path) -> dict[str, Any]:
    """A config of a pipeline's folder.

    Raises:
        BaseModelError: it is damaged.
    """

    def refusal(line: str) -> BaseModelError:
        return BaseModelError(f"{line}; fetch it anew")

    return as_mapping(read_json(file, refusal), str(file), refusal)
