"""A study's own file, read for what the page shows; what is missing or damaged has a value that claims nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from eval.aims import AIMS
from eval.metrics.registry import Direction
from eval.prompts import with_trigger
from foundation.data.spec import Kind
from foundation.errors import DataError
from foundation.files.documents import read_mapping

STUDY_FILE: Final = "study.yaml"
_CLEAN: Final = 0.5
"""`eval.thresholds.clean` where the file does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFile:
    """What study.yaml says."""

    base: str = ""
    trigger: str = ""
    kind: Kind = "style"
    direction: Direction = "maximize"
    clean: float = _CLEAN
    num_trials: int = 0
    steps: int = 0
    num_seeds: int = 1
    prompts: tuple[str, ...] = ()
    """Those that were named; none where captions are."""
    final_prompts: tuple[str, ...] = ()
    unrelated_prompts: tuple[str, ...] = ()
    space: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    """Why nothing could be read, in a line; empty where it could."""

    @property
    def aim(self) -> str:
        """The metric that says how far a checkpoint came."""
        return AIMS[self.kind].metric


def read_study_file(study: Path) -> StudyFile:
    """Read the study.yaml of a study's folder. Nothing is raised: what is wrong is in `problem`."""
    file = study / STUDY_FILE
    try:
        values = read_mapping(file)
    except (DataError, OSError) as error:
        return StudyFile(problem=str(error))
    config = _group(values, "config")
    data, judge, search = _group(config, "data"), _group(config, "eval"), _group(config, "study")
    kind = data.get("kind")
    trigger = str(data.get("trigger") or "")
    clean = _group(judge, "thresholds").get("clean")
    return StudyFile(
        base=str(_group(config, "base").get("name") or ""),
        trigger=trigger,
        kind=cast(Kind, kind) if kind in AIMS else "style",
        direction="minimize" if search.get("direction") == "minimize" else "maximize",
        clean=float(clean) if isinstance(clean, int | float) else _CLEAN,
        num_trials=_count(search.get("num_trials")),
        steps=_count(_group(config, "train").get("steps")),
        num_seeds=max(1, len(_texts(judge.get("seeds")))),
        prompts=_prompts(judge, "prompts", trigger),
        final_prompts=_prompts(judge, "final_prompts", trigger),
        unrelated_prompts=_prompts(judge, "unrelated_prompts", trigger),
        space={name: str(words) for name, words in _group(values, "space").items()},
        data=data,
    )


def _group(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _prompts(judge: Mapping[str, Any], name: str, trigger: str) -> tuple[str, ...]:
    return tuple(with_trigger(prompt, trigger) for prompt in _texts(judge.get(name)))
