"""OneTrainer's files as one flat mapping, and back: the config with its parts, and the list of concepts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sweeper.trainers.port import Document, Fields

_MARKS: Final = ("training_method", "base_model_name", "learning_rate_scheduler", "lora_rank", "concept_file_name")
_CONCEPTS: Final = "concepts"
_WHOLE: Final = ("samples", "additional_embeddings", "scheduler_params", "optimizer_defaults", "secrets", "cloud")
"""Of which no part is read by itself."""
_VERSION: Final = 12
"""Of the configs that are written; without one they are taken for the oldest, and changed."""


def kind_of(value: Any) -> str:
    """What a document is of OneTrainer's, in words; empty where it is none."""
    if isinstance(value, Mapping):
        is_model = str(value.get("model_type", "")).isupper()
        return "OneTrainer's config" if is_model or len(set(_MARKS) & value.keys()) > 1 else ""
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        is_one = all("path" in each and ("image" in each or "text" in each or "balancing" in each) for each in value)
        return "OneTrainer's concepts" if is_one else ""
    return ""


def flatten(documents: list[Document]) -> Fields:
    """All documents in one flat mapping, parts by dots; concepts that are switched off are left out."""
    found: dict[str, Any] = {}
    for _, value in documents:
        if isinstance(value, list):
            found.update(_of_concepts(value))
            continue
        for name, each in value.items():
            if name == _CONCEPTS and isinstance(each, list):
                found.update(_of_concepts(each))
            elif isinstance(each, Mapping) and name not in _WHOLE:
                found.update(_of_part(name, each))
            else:
                found[name] = each
    return found


def write_files(written: dict[str, Any], title: str) -> dict[str, str]:
    """Return the config and the concepts that it names."""
    config: dict[str, Any] = {"__version": _VERSION}
    concept: dict[str, Any] = {"__version": 1, "name": title, "image": {}, "text": {}}
    for name, value in written.items():
        into, path = (concept, name.split(".")[1:]) if name.startswith(f"{_CONCEPTS}.") else (config, name.split("."))
        for part in path[:-1]:
            into = into.setdefault(part, {})
        into[path[-1]] = value
    file = f"{title}-concepts.json"
    config |= {"concept_file_name": file, "output_model_destination": f"models/{title}.safetensors"}
    texts = {f"{title}.json": config, file: [concept]}
    return {name: json.dumps(value, indent=4, ensure_ascii=False) + "\n" for name, value in texts.items()}


def _of_concepts(concepts: list[Any]) -> Iterator[tuple[str, Any]]:
    used = [each for each in concepts if isinstance(each, Mapping) and each.get("enabled", True) is not False]
    for number, concept in enumerate(used):
        yield from _of_part(_CONCEPTS if number == 0 else f"{_CONCEPTS}[{number}]", concept)


def _of_part(place: str, part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, each in part.items():
        if isinstance(each, Mapping):
            yield from _of_part(f"{place}.{name}", each)
        else:
            yield f"{place}.{name}", each
