"""Which pictures a study has: of its trials by step, seed and strength, and of the base."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from foundation.files.cache_use import uses_of
from sweeper.page.view import PictureSet
from sweeper.records.history import read_base_images
from sweeper.records.paths import cache_of

FINAL: Final = "final"
"""The kind of prompts that finalists are drawn with; their files are called as those of `prompt`."""
_PICTURE: Final = re.compile(r"(prompt|unrelated|training|class)(\d{2,})-seed(\d+)\.png")
_FOLDER: Final = re.compile(r"(?:(final)-|(strengths)-)?step-(\d+)(?:-strength-([\d.]+(?:e[-+]?\d+)?))?")


def picture_sets(trial: Path, studies: Path) -> list[PictureSet]:
    """Return what a trial's checkpoints drew, by step and strength, the finalists' pictures last.

    `trial` is its folder, below `studies`, which is what the sets' folders count from.
    """
    samples = trial / "samples"
    found = []
    for folder in samples.iterdir() if samples.is_dir() else ():
        named = _FOLDER.fullmatch(folder.name)
        if named is None or folder.is_symlink():
            continue
        is_final = bool(named[1] or named[2])
        counts = _counts(folder)
        if is_final:
            counts = {FINAL: counts["prompt"]} if "prompt" in counts else {}
        if counts:
            at = folder.relative_to(studies).as_posix()
            found.append(
                PictureSet(
                    step=int(named[3]),
                    strength=float(named[4] or 1),
                    seeds_from=int(is_final),
                    folder=at,
                    counts=counts,
                )
            )
    return sorted(found, key=lambda each: (each.seeds_from, each.step, each.strength))


def base_sets(study: Path, trials: Sequence[PictureSet]) -> list[PictureSet]:
    """Return what the base alone drew: for trials' evaluations, and for finalists with as many pictures as `trials`.

    Which of the cache's folders the latter are no file says: it is the one that the study used and that holds as many.
    """
    studies = study.parent
    found = []
    used = [file.parent for _, file in read_base_images(study)]
    evaluated = used[0] if used and used[0].resolve().is_relative_to(studies.resolve()) else None
    if evaluated is not None:
        folder = studies / evaluated.resolve().relative_to(studies.resolve())
        found.append(_of_base(folder, studies, _counts(folder), 0))
    wanted = next((each.counts[FINAL] for each in trials if FINAL in each.counts), None)
    for name in sorted(uses_of(study) or ()):
        folder = cache_of(studies) / name
        if wanted and name.startswith("base-") and (evaluated is None or name != evaluated.name):
            counts = _counts(folder).get("prompt")
            if counts == wanted:
                found.append(_of_base(folder, studies, {FINAL: counts}, 1))
                break
    return found


def _of_base(folder: Path, studies: Path, counts: Mapping[str, Sequence[int]], seeds_from: int) -> PictureSet:
    at = folder.relative_to(studies).as_posix()
    return PictureSet(step=0, strength=1.0, seeds_from=seeds_from, folder=at, counts=counts)


def _counts(folder: Path) -> dict[str, list[int]]:
    """How many seeds each prompt of a kind was drawn with; none of a folder that is not there."""
    drawn: dict[str, Counter[int]] = {}
    for file in folder.iterdir() if folder.is_dir() else ():
        if named := _PICTURE.fullmatch(file.name):
            drawn.setdefault(named[1], Counter())[int(named[2])] += 1
    return {kind: [seen[number] for number in range(max(seen) + 1)] for kind, seen in sorted(drawn.items())}
