"""Real pictures to put beside what was drawn: those whose captions are most like the prompts."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.data.dataset import Dataset
from foundation.errors import DataError
from foundation.pictures.sheets import Real
from sweeper.results.captions_like import nearest


def real_pictures(prompts: Sequence[str], dataset: Dataset) -> list[Real]:
    """A picture of the data set for each prompt, each another one while they last; none where they cannot be read.

    Held-out pictures and those that were trained on alike: they show what was to be learned.
    """
    pictures = (*dataset.train, *dataset.validation)
    if not pictures:
        return []
    try:
        numbers = nearest(prompts, [picture.caption for picture in pictures])
        return [Real(picture=pictures[number].open(), caption=pictures[number].caption) for number in numbers]
    except (DataError, OSError):  # they were there when the study began
        return []
