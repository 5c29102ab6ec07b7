"""Real pictures to put beside what was drawn: for each prompt the one whose caption is nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.config.parse import parse
from foundation.data.captions import read_captions
from foundation.data.sources import locate
from foundation.data.spec import DataSpec
from foundation.errors import UserError
from sweeper.page.study_file import StudyFile
from sweeper.page.thumbnails import thumbnail_of
from sweeper.page.view import RealPicture
from sweeper.records.paths import cache_of
from sweeper.results.captions_like import nearest
from train.drawn import with_drawn_folder

SIDE: Final = 512
"""Of the copies that are shown: the data may lie anywhere, and is served from the studies' folder alone."""


@dataclass(frozen=True, slots=True)
class Reals:
    """The pictures that are shown, and which of them belongs to each prompt."""

    pictures: tuple[RealPicture, ...] = ()
    of_prompts: tuple[int, ...] = ()


def find_reals(study: Path, about: StudyFile, prompts: Sequence[str]) -> Reals:
    """Return the real pictures nearest to the prompts; none where the data cannot be read any more.

    Those to train on come first among equals, and the held-out ones belong to them: both show what is learned.
    """
    try:
        pairs = _pictures(about, cache_of(study.parent))
        if not pairs or not prompts:
            return Reals()
        numbers = nearest(prompts, [caption for _, caption in pairs])
        chosen = sorted(set(numbers))
        files = [thumbnail_of(pairs[number][0], study.parent, SIDE) for number in chosen]
    except (UserError, OSError, ValueError, LookupError, TypeError):
        return Reals()
    pictures = [
        RealPicture(file=file.relative_to(study.parent).as_posix(), caption=pairs[number][1])
        for file, number in zip(files, chosen, strict=True)
    ]
    return Reals(tuple(pictures), tuple(chosen.index(number) for number in numbers))


def _pictures(about: StudyFile, cache: Path) -> list[tuple[Path, str]]:
    """Every picture of the data set with its caption, by table or name; the captions alone are read."""
    spec = with_drawn_folder(parse(DataSpec, dict(about.data), where="data"), cache)
    found = []
    for path in (spec.path, spec.validation_path):
        if path is not None:
            folder = locate(path, cache, where="data", caption_column=spec.caption_column)
            entries = read_captions(folder, spec.caption_column, "data").entries
            found += [(folder / entry.name, entry.caption) for entry in entries]
    return found
