"""ai-toolkit's job as one flat mapping, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from sweeper.trainers.port import Document, Fields

_SETS: Final = "datasets"
_REGULAR: Final = "regularization"


def kind_of(value: Any) -> str:
    """What a document is of ai-toolkit's, in words; empty where it is none."""
    return "ai-toolkit's job" if _processes(value) else ""


def flatten(documents: list[Document]) -> Fields:
    """The first process of the first job, its parts by dots; what is beside it by where it stands."""
    found: dict[str, Any] = {}
    for number, (_, value) in enumerate(documents):
        place = "" if number == 0 else f"job[{number}]."
        for name, each in value.items():
            if name != "config":
                found.update(_of_part(f"{place}{name}", each))
        config = value["config"]
        found.update({f"{place}config.{name}": each for name, each in config.items() if name != "process"})
        for index, process in enumerate(_processes(value)):
            inner = place if index == 0 else f"{place}process[{index}]."
            for name, each in process.items():
                found.update(_of_sets(inner, each) if name == _SETS else _of_part(f"{inner}{name}", each))
    return found


def write_files(written: dict[str, Any], title: str) -> dict[str, str]:
    """Return the job."""
    process: dict[str, Any] = {"type": "sd_trainer", "training_folder": "output", "device": "cuda:0"}
    sets: dict[str, dict[str, Any]] = {_SETS: {"caption_ext": "txt"}, _REGULAR: {}}
    for name, value in written.items():
        *parts, last = name.split(".")
        into = sets[parts[0]] if parts and parts[0] in sets else process
        for part in parts if into is process else parts[1:]:
            into = into.setdefault(part, {})
        into[last] = value
    process[_SETS] = [sets[_SETS], *([{**sets[_REGULAR], "is_reg": True}] if sets[_REGULAR] else [])]
    job = {"job": "extension", "config": {"name": title, "process": [process]}}
    return {f"{title}.yaml": yaml.safe_dump(job, sort_keys=False, allow_unicode=True)}


def _processes(value: Any) -> list[Mapping[str, Any]]:
    config = value.get("config") if isinstance(value, Mapping) and "job" in value else None
    processes = config.get("process") if isinstance(config, Mapping) else None
    if not isinstance(processes, list) or not all(isinstance(each, Mapping) for each in processes):
        return []
    return processes


def _of_sets(place: str, sets: Any) -> Iterator[tuple[str, Any]]:
    """The first set of pictures to learn from, the first to keep the class by, and the others by their numbers."""
    known = [each for each in (sets if isinstance(sets, list) else []) if isinstance(each, Mapping)]
    regular = [each for each in known if each.get("is_reg") is True]
    others = [each for each in known if each.get("is_reg") is not True]
    for number, each in enumerate(others):
        yield from _of_part(f"{place}{_SETS}" if number == 0 else f"{place}{_SETS}[{number}]", each)
    for number, each in enumerate(regular):
        yield from _of_part(f"{place}{_REGULAR}" if number == 0 else f"{place}{_REGULAR}[{number}]", each)


def _of_part(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _of_part(f"{place}.{name}", each)
    else:
        yield place, value
