"""kohya's files as one flat mapping, and back: presets, training TOML, dataset TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sweeper.trainers.port import Document, Fields
from sweeper.trainers.toml import toml_text

_PRESET: Final = ("LoRA_type", "network_dim", "max_resolution", "lr_warmup", "train_batch_size")
_ARGUMENTS: Final = ("network_dim", "network_module", "network_args", "learning_rate", "optimizer_type", "output_name")
_LISTED: Final = ("network_args", "optimizer_args", "lr_scheduler_args")
"""Fields that hold `name=value` in a list, or in one text."""
DATASET: Final = "datasets."


def kind_of(value: Any) -> str:
    """What a document is of kohya's, in words; empty where it is none."""
    if not isinstance(value, Mapping):
        return ""
    if _is_dataset(value):
        return "sd-scripts' dataset config"
    flat = dict(_without_sections(value))
    if "LoRA_type" in flat or len(set(_PRESET) & flat.keys()) > 2:
        return "a preset of kohya_ss"
    return "sd-scripts' training config" if len(set(_ARGUMENTS) & flat.keys()) > 1 else ""


def flatten(documents: list[Document]) -> Fields:
    """All documents in one flat mapping; of the sections of a training TOML only their fields count, as there."""
    found: dict[str, Any] = {}
    for _, value in documents:
        if _is_dataset(value):
            found.update(_of_dataset(value))
        else:
            for name, each in _without_sections(value):
                found.update(_arguments(name, each) if name in _LISTED else {name: each})
    return found


def write_files(written: dict[str, Any], title: str) -> dict[str, str]:
    """Return the training TOML and the dataset TOML that it names."""
    training: dict[str, Any] = {"output_name": title, "output_dir": "output", "save_model_as": "safetensors"}
    dataset: dict[str, Any] = {}
    subset: dict[str, Any] = {}
    for name, value in written.items():
        head, dot, rest = name.partition(".")
        if name.startswith(f"{DATASET}subsets."):
            subset[name.removeprefix(f"{DATASET}subsets.")] = value
        elif name.startswith(DATASET):
            dataset[rest] = value
        elif dot and head in _LISTED:
            training.setdefault(head, []).append(f"{rest}={_argument_text(value)}")
        else:
            training[name] = value
    file = f"{title}-dataset.toml"
    training["dataset_config"] = file
    subset.setdefault("caption_extension", ".txt")
    return {f"{title}.toml": toml_text(training), file: toml_text({"datasets": [{**dataset, "subsets": [subset]}]})}


def _is_dataset(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("datasets"), list)


def _without_sections(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from each.items()
        else:
            yield name, each


def _of_dataset(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, each in (value.get("general") or {}).items():
        yield f"general.{name}", each
    for name, each in value.items():
        if name not in ("general", "datasets"):
            yield name, each
    regular = 0
    for number, dataset in enumerate(value["datasets"]):
        place = DATASET[:-1] if number == 0 else f"{DATASET[:-1]}[{number}]"
        for name, each in (dataset if isinstance(dataset, Mapping) else {}).items():
            if name != "subsets":
                yield f"{place}.{name}", each
                continue
            for index, subset in enumerate(each if isinstance(each, list) else []):
                fields = subset if isinstance(subset, Mapping) else {}
                if fields.get("is_reg") is True and not regular and index:
                    regular += 1
                    yield "reg_data_dir", fields.get("image_dir")
                    fields = {key: value for key, value in fields.items() if key not in ("image_dir", "is_reg")}
                inner = f"{place}.subsets" if index == 0 else f"{place}.subsets[{index}]"
                yield from ((f"{inner}.{key}", value) for key, value in fields.items())


def _arguments(name: str, value: Any) -> Fields:
    """`["weight_decay=0.01", …]`, or the same in one text, as fields of their own."""
    parts = value if isinstance(value, list) else str(value or "").split()
    found: dict[str, Any] = {}
    for part in parts:
        key, equals, text = str(part).partition("=")
        found[f"{name}.{key.strip()}"] = text.strip().strip("'\"") if equals else ""
    return found or {name: value if value not in ([], "") else None}


def _argument_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
