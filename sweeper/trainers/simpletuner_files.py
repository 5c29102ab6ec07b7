"""SimpleTuner's files as one flat mapping, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sweeper.trainers.documents import ENVIRONMENT
from sweeper.trainers.port import Document, Fields

_MARKS: Final = (
    "model_family",
    "data_backend_config",
    "lora_type",
    "max_train_steps",
    "lycoris_config",
    "hub_model_id",
)
_BACKEND: Final = ("dataset_type", "instance_data_dir", "caption_strategy", "cache_dir_vae", "dataset_name")
_ALGORITHM: Final = "algo"
_SET: Final = "data"
_REGULAR: Final = "regularisation"
_LYCORIS: Final = "lycoris"
_VARIABLES: Final = {
    "MODEL_NAME": "pretrained_model_name_or_path",
    "MAX_NUM_STEPS": "max_train_steps",
    "NUM_EPOCHS": "num_train_epochs",
    "LR_SCHEDULE": "lr_scheduler",
    "MIN_SNR_GAMMA": "snr_gamma",
    "TRAINING_SEED": "seed",
    "USE_GRADIENT_CHECKPOINTING": "gradient_checkpointing",
    "DATALOADER_CONFIG": "data_backend_config",
    "RESUME_CHECKPOINT": "resume_from_checkpoint",
    "CHECKPOINTING_LIMIT": "checkpoints_total_limit",
    "HUB_MODEL_NAME": "hub_model_id",
    "PUSH_CHECKPOINTS": "push_checkpoints_to_hub",
    "MINIMUM_RESOLUTION": "minimum_image_size",
    "TRAINING_NUM_PROCESSES": "num_processes",
    "TRAINING_NUM_MACHINES": "num_machines",
    "TRAINING_DYNAMO_BACKEND": "dynamo_backend",
}
"""Environment variables that are called otherwise than the option in small letters."""
_COMPUTED: Final = "$"


def kind_of(value: Any) -> str:
    """What a document is of SimpleTuner's, in words; empty where it is none."""
    if isinstance(value, Mapping):
        if ENVIRONMENT in value:
            return "SimpleTuner's environment file"
        if _ALGORITHM in value and "linear_dim" in value:
            return "SimpleTuner's LyCORIS config"
        names = {str(name).removeprefix("--") for name in value}
        is_family = str(value.get("model_type", value.get("--model_type", ""))) in ("lora", "full")
        return "SimpleTuner's config" if is_family or len(set(_MARKS) & names) > 1 else ""
    if isinstance(value, list) and value and all(isinstance(each, Mapping) and "id" in each for each in value):
        return "SimpleTuner's data backends" if any(set(_BACKEND) & each.keys() for each in value) else ""
    return ""


def flatten(documents: list[Document]) -> Fields:
    """All documents in one flat mapping."""
    found: dict[str, Any] = {}
    for _, value in documents:
        if isinstance(value, list):
            found.update(_of_backends(value))
        elif ENVIRONMENT in value:
            found.update(_of_variables(value[ENVIRONMENT]))
        elif _ALGORITHM in value and "linear_dim" in value:
            found.update(_of_part(_LYCORIS, value))
        else:
            for name, each in value.items():
                found.update(_options(str(name).removeprefix("--"), each))
    return found


def write_files(written: dict[str, Any], title: str) -> dict[str, str]:
    """Return the config, the backends, and the LyCORIS config where it is one of LyCORIS'."""
    parts: dict[str, dict[str, Any]] = {"": {}, _SET: {}, _REGULAR: {}, _LYCORIS: {}}
    arguments: list[str] = []
    for name, value in written.items():
        *path, last = name.split(".")
        if path[:1] == ["optimizer_config"]:
            arguments.append(f"{last}={value}")
            continue
        into = parts[path[0]] if path else parts[""]
        for part in path[1:]:
            into = into.setdefault(part, {})
        into[last] = value
    config = parts[""]
    config |= {"output_dir": f"output/{title}", "data_backend_config": f"{title}-backends.json", "report_to": "none"}
    if arguments:
        config["optimizer_config"] = ",".join(arguments)
    own = {"id": title, "caption_strategy": "textfile", "cache_dir_vae": f"cache/vae/{title}", **parts[_SET]}
    texts = {"id": f"{title}-texts", "type": "local", "dataset_type": "text_embeds", "default": True}
    backends = [own, {**texts, "cache_dir": f"cache/text/{title}"}]
    if parts[_REGULAR]:
        backends.insert(1, {**own, **parts[_REGULAR], "id": f"{title}-class", "is_regularisation_data": True})
    files: dict[str, Any] = {f"{title}.json": config, f"{title}-backends.json": backends}
    if parts[_LYCORIS]:
        config["lycoris_config"] = f"{title}-lycoris.json"
        files[config["lycoris_config"]] = {"multiplier": 1.0, **parts[_LYCORIS]}
    return {name: json.dumps(value, indent=4, ensure_ascii=False) + "\n" for name, value in files.items()}


def _of_backends(backends: list[Any]) -> Iterator[tuple[str, Any]]:
    pictures = [each for each in backends if each.get("dataset_type", "image") == "image" and not each.get("disabled")]
    regular = [each for each in pictures if each.get("is_regularisation_data") is True]
    own = [each for each in pictures if each.get("is_regularisation_data") is not True]
    others = [each for each in backends if each not in pictures]
    for place, group in ((_SET, own), (_REGULAR, regular), ("cache", others)):
        for number, each in enumerate(group):
            yield from _of_part(place if number == 0 or place == "cache" else f"{place}[{number}]", each)


def _of_variables(variables: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The options that variables stand for; one that the shell would compute has no value here."""
    for name, value in variables.items():
        option = _VARIABLES.get(name, name.lower())
        yield (f"{option} ({name})", value) if _COMPUTED in value else (option, value)


def _options(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name == "optimizer_config" and isinstance(value, str) and value:
        for part in value.split(","):
            key, _, text = part.partition("=")
            yield f"{name}.{key.strip()}", text.strip()
    else:
        yield name, value


def _of_part(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _of_part(f"{place}.{name}", each)
    else:
        yield place, value
