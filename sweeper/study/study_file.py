"""study.yaml: what a study is, with what versions it was run, and the command that goes on with it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from foundation.files.documents import read_mapping
from foundation.files.durable import write_text
from foundation.secrets import redact
from sweeper.search.space import Plan

STUDY_FILE: Final = "study.yaml"
_Dumper: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml's writes a trial's config in a tenth of the time; not every build of PyYAML has it."""
_VERSIONS_OF: Final = ("torch", "diffusers", "transformers", "peft", "accelerate", "optuna", "mlflow", "hydra-core")


def write_study(folder: Path, request: Plan, identity: str, overrides: Sequence[str]) -> None:
    """study.yaml: the request, with what versions, the study's identity, and the command that goes on with it."""
    about = {
        "study": request.config.study.name,
        "id": identity,
        "command": [redact(each) for each in overrides],
        "space": request.space.fingerprint(),
        "config": asdict(request.config),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in _VERSIONS_OF},
        "git": _revision(),
    }
    write_text(folder / STUDY_FILE, to_yaml(about))


def read_identity(file: Path) -> str:
    """What an earlier run wrote, where the database does not tell; a new one where the file does not either."""
    try:
        return uuid.UUID(read_mapping(file)["id"]).hex
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return uuid.uuid4().hex


def to_yaml(value: Any) -> str:
    """Frozen dataclasses as YAML in their own order; tuples are lists."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return str(yaml.dump(_list_of(plain), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def _list_of(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _list_of(item) for key, item in value.items()}
    return [_list_of(item) for item in value] if isinstance(value, list | tuple) else value


def _revision() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
