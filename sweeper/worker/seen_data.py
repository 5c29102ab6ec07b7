"""What each training of a study learns from: the pictures that all share, as its own views show them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from foundation.data.spec import Views
from sweeper.records.lease import making
from sweeper.worker.loading import Loaded
from train.caches import EncodedDataset, encode_dataset

KEPT: Final = 4
"""Sets of latents that are kept in memory beside the study's own, those used last; all of them lie in the cache."""


class SeenData:
    """Latents of the study's pictures by views, for trials and refits; `working` is called while others encode."""

    def __init__(self, loaded: Loaded, cache: Path, working: Callable[[], None]) -> None:
        self._loaded, self._cache, self._working = loaded, cache, working
        self._kept: OrderedDict[tuple[Views, bool], EncodedDataset] = OrderedDict()

    def of(self, views: Views, *, is_refit: bool) -> EncodedDataset:
        """What a training learns from that sees pictures so; a refit sees all of them.

        Raises:
            UserError: the base takes no such pictures.
        """
        everything = self._loaded.all_pictures if is_refit else None
        dataset, data = everything or (self._loaded.dataset, self._loaded.data)
        if views == self._loaded.views:
            return data
        key = views, everything is not None
        if key not in self._kept:
            with making(self._cache / "data", self._working):
                own = dataset.seen_as(self._loaded.views, views)
                self._kept[key] = encode_dataset(self._loaded.base, own, self._cache, self._loaded.objectives)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]
