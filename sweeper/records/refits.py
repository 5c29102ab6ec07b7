"""Whether a study's winner is trained again on all of its pictures."""

from __future__ import annotations

from foundation.data.dataset import Dataset
from foundation.data.folder import FEW
from sweeper.records.config import Config


def wants_refit(config: Config, dataset: Dataset) -> bool:
    """Whether `study.refit` asks for one with these pictures: some are held out and, with auto, there are few.

    A folder of held-out pictures that a person named is theirs to keep apart, but for `always`.
    """
    if config.study.refit == "never" or not dataset.validation:
        return False
    different = {picture.digest for picture in (*dataset.train, *dataset.validation)}
    return config.study.refit == "always" or (config.data.validation_path is None and len(different) <= FEW)
