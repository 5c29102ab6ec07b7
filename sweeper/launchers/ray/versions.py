"""What must be the same on all machines of a study: Python, this project, and the libraries that training hangs on."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from sweeper import __version__

_LIBRARIES: Final = ("torch", "diffusers", "transformers", "peft")
_PACKAGES: Final = ("conf", "eval", "foundation", "hydra_plugins", "sweeper", "train")
_ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Versions:
    """Those of one machine."""

    python: str
    project: str
    libraries: tuple[tuple[str, str], ...]


@cache
def own_versions() -> Versions:
    """Those of this machine; the project's with a digest of its code, since a clone's number says little."""
    python = ".".join(map(str, sys.version_info[:2]))
    found = tuple((name, _version(name)) for name in _LIBRARIES)
    return Versions(python, f"{__version__} (code {_digest()})", found)


def differences(ours: Versions, theirs: Versions) -> str:
    """What of a node's versions is not the supervisor's, in words; empty where all is."""
    pairs = [("Python", ours.python, theirs.python), ("sweeper", ours.project, theirs.project)]
    pairs += [(name, own, dict(theirs.libraries).get(name, "none")) for name, own in ours.libraries]
    return "; ".join(f"{name} {other} there, {own} here" for name, own, other in pairs if own != other)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _digest() -> str:
    """Of all modules and options of ours."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for file in sorted((_ROOT / package).rglob("*")):
            if file.suffix in (".py", ".yaml"):
                digest.update(f"{file.relative_to(_ROOT)} ".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
