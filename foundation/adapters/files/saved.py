"""What a training saved on its way: its LoRAs in the order of steps or epochs, as trainers name them.

name-000004.safetensors, name-step00000500.safetensors, name.safetensors    kohya's sd-scripts: epoch, step, the end
2026-11-30_10-00-00-save-500-10-0.safetensors                               OneTrainer: step, epoch
name_000000250.safetensors, name.safetensors                                ai-toolkit: step, the end
checkpoint-500/pytorch_lora_weights.safetensors                             SimpleTuner, diffusers: step
step-000040/pytorch_lora_weights.safetensors                                this project: step
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from foundation.adapters.files.part import WEIGHTS_FILE
from foundation.config.home import at_home

_SUFFIX: Final = ".safetensors"
_STEP: Final = (
    re.compile(r"-step(\d+)$"),
    re.compile(r"-save-(\d+)-\d+-\d+$"),
    re.compile(r"^(?:checkpoint|step)-(\d+)$"),
    re.compile(r"_(\d{9})$"),
)
_EPOCH: Final = (re.compile(r"-(\d{6})$"), re.compile(r"[-_]epoch[-_]?(\d+)$", re.IGNORECASE))
_FOLDERS: Final = ("checkpoint-*", "step-*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """One of the LoRAs that a training saved."""

    path: Path
    """A file, or the folder that it lies in."""
    step: int | None = None
    """Steps that are behind it, where its name tells."""
    epoch: int | None = None
    """The epoch, likewise; names tell one of the two."""

    @property
    def words(self) -> str:
        """What it is called in a table."""
        if self.step is not None:
            return f"step {self.step}"
        return f"epoch {self.epoch}" if self.epoch is not None else self.path.stem

    @property
    def order(self) -> float:
        """Where it stands among those of its training; the end, which has no number, comes last."""
        number = self.epoch if self.step is None else self.step
        return math.inf if number is None else number


def saved_in(text: str) -> list[Saved]:
    """Return the LoRAs that a pattern (`runs/*.safetensors`) or a folder means, in their order; none where it is one.

    A folder means several where checkpoints lie in folders in it, or more than one file, but for `best/` and the like,
    which hold one LoRA as files of several formats.
    """
    place = at_home(text)
    if has_magic(place) and not Path(place).exists():
        return _in_order(map(Path, glob(place)))  # noqa: PTH207, a Path takes no absolute pattern
    folder = Path(place)
    if not folder.is_dir():
        return []
    inner = [each for pattern in _FOLDERS for each in folder.glob(pattern) if (each / WEIGHTS_FILE).is_file()]
    own = [folder / WEIGHTS_FILE] if (folder / WEIGHTS_FILE).is_file() else []
    if inner:
        return _in_order([*inner, *own])
    if own:
        return []
    files = [each for each in folder.iterdir() if each.suffix.lower() == _SUFFIX and each.is_file()]
    return _in_order(files) if len(files) > 1 else []


def saved_by(texts: Sequence[str]) -> list[Saved]:
    """Return all LoRAs that files, folders and patterns mean, in their order, each once; one alone is a list of one."""
    found = [each.path for text in texts for each in saved_in(text) or [Saved(path=Path(at_home(text)))]]
    return _in_order(dict.fromkeys(found))


def names_of(files: Sequence[Saved]) -> list[str]:
    """What each is called in a table, no two alike: by its words, or by its path where others have the same."""
    counts = Counter(each.words for each in files)
    return [each.words if counts[each.words] == 1 else str(each.path) for each in files]


def _in_order(paths: Iterable[Path]) -> list[Saved]:
    named = list(_with_numbers(paths))
    if any(each.step is not None for each in named) and any(each.epoch is not None for each in named):
        # steps and epochs cannot be compared; kohya's files have both in their headers
        named = [
            each if each.epoch is None else replace(each, step=_told_steps(each.path), epoch=None) for each in named
        ]
    return sorted(named, key=lambda each: (each.order, str(each.path)))


def _with_numbers(paths: Iterable[Path]) -> Iterator[Saved]:
    for path in paths:
        name = path.parent.name if path.name == WEIGHTS_FILE else path.stem if path.suffix else path.name
        step, epoch = _number(_STEP, name), _number(_EPOCH, name)
        yield Saved(path=path, step=step, epoch=epoch if step is None else None)


def _told_steps(file: Path) -> int | None:
    """The steps that a kohya file's header tells; None where it tells none, or is none."""
    try:
        with safe_open(file, "pt") as opened:
            told = (opened.metadata() or {}).get("ss_steps", "")
    except (OSError, SafetensorError):
        return None
    return int(told) if told.isascii() and told.isdecimal() else None


def _number(patterns: Iterable[re.Pattern[str]], name: str) -> int | None:
    return next((int(found[1]) for pattern in patterns if (found := pattern.search(name))), None)
