"""What a person reads at a study's end: each file of the best, what it is for, and how to see all trials."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from foundation.console import columns
from foundation.files.sums import SUMS
from sweeper.results.file_names import (
    CARD,
    CONFIG_FILE,
    FINALISTS_SHEET,
    PARETO,
    REPORT,
    SCORES,
    SHEET,
    STRENGTH_SHEET,
    WEIGHTS,
)

_FOR: Final = {
    WEIGHTS: "the LoRA, for diffusers and PEFT",
    CARD: "how to use it, its scores, all trials, what to change next",
    SHEET: "what the base draws beside what it draws, prompt by prompt",
    STRENGTH_SHEET: "the LoRA at several strengths and steps",
    FINALISTS_SHEET: "the finalists beside the base",
    PARETO: "the trials by the study's objectives",
    REPORT: "all trials, curves and pictures on one page, to look at and to send",
    SCORES: "every number of its judgement",
    CONFIG_FILE: "its whole configuration",
    SUMS: "their checksums, for sha256sum -c",
}
_FOR_WEB_UIS: Final = "the LoRA, for A1111, Forge, ComfyUI"


def files_of(best: Path) -> list[str]:
    """A line for each file in the folder of the best, the LoRA first; what is no file of ours is named, too."""
    there = sorted(path.name for path in best.iterdir())
    known = [name for name in _FOR if name in there]
    others = [name for name in there if name not in _FOR]
    rows = [
        (f"  {name}", _FOR.get(name) or (_FOR_WEB_UIS if name.endswith(".safetensors") else ""))
        for name in known + others
    ]
    return columns(rows[0], rows[1:]) if rows else []


def dashboard_command(folder: Path) -> str:
    """The command that shows the studies of a folder, as it can be typed here."""
    python = Path(sys.executable)
    name = os.path.relpath(python) if python.is_relative_to(Path.cwd()) else str(python)
    return f"{shlex.quote(name)} -m sweeper dashboard folder={shlex.quote(str(folder))}"
