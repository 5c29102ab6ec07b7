"""What a worker works on: base, pictures, and how many slots the device has for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from foundation.data.dataset import Dataset, load_dataset
from foundation.tokens import words_on_cut
from sweeper.config import Config
from train.attention import set_attention
from train.bases import Base, load_base
from train.caches import EncodedDataset, encode_dataset
from train.capacity import best_of, measure_capacity
from train.objective import check_objectives
from train.regularization import with_regularization
from train.reports import Capacity
from train.spec import ObjectiveSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """All that was loaded and measured."""

    base: Base
    dataset: Dataset
    data: EncodedDataset
    num_slots: int
    capacity: tuple[Capacity, ...]
    """What was measured to find `num_slots`; empty when the config said it."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the data on this base, one line each."""
        captions = self.dataset.captions
        return words_on_cut(self.base.num_cut(captions), len(captions), self.base.caption_tokens)


def load(config: Config, device: str, objectives: Sequence[ObjectiveSpec], cache: Path) -> Loaded:
    """Load base and data onto a device, and find out how many slots it has.

    Raises:
        UserError: base, data and objectives of the trials do not go together.
    """
    base = load_base(config.base, torch.device(device), config.train.precision)
    check_objectives(objectives, base.process.prediction_type)
    set_attention(base, config.train)
    dataset = with_regularization(load_dataset(config.data), config.data, base, cache)
    data, fixed = encode_dataset(base, dataset, cache), config.study.slots
    if fixed != "auto":
        num_slots = min(fixed, config.study.num_trials)
        return Loaded(base=base, dataset=dataset, data=data, num_slots=num_slots, capacity=())
    capacity = tuple(measure_capacity(base, data, config.trial, config.study.most_at_once))
    return Loaded(base=base, dataset=dataset, data=data, num_slots=best_of(capacity), capacity=capacity)
