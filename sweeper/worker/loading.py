"""What a worker works on: base and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from foundation.bases.port import Base
from foundation.bases.quantization import plain_tensors
from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset, for_refit, load_dataset
from foundation.data.spec import Views
from foundation.data.tokens import words_on_cut
from foundation.devices import CPU
from sweeper.records.config import Config
from sweeper.records.lease import making
from sweeper.records.refits import wants_refit
from train.attention import set_attention
from train.caches import EncodedDataset, encode_dataset
from train.objective import check_objectives
from train.regularization import with_regularization
from train.spec import ObjectiveSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """All that was loaded."""

    base: Base
    dataset: Dataset
    data: EncodedDataset
    all_pictures: tuple[Dataset, EncodedDataset] | None = None
    """What a refit learns from, where there may be one."""
    objectives: Sequence[ObjectiveSpec] = ()
    """Those of trials."""
    views: Views = field(default_factory=Views)
    """As which `data` is seen."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the data on this base, one line each."""
        captions = self.dataset.captions
        cut = words_on_cut(self.base.num_cut(captions), len(captions), self.base.caption_tokens)
        return cut if self.base.offload == "none" else (*cut, _words_on_offload(self.base))


def load(
    config: Config, device: str, objectives: Sequence[ObjectiveSpec], cache: Path, working: Callable[[], None]
) -> Loaded:
    """Load base and data onto a device; `working` is called while another worker encodes the data for all.

    Raises:
        UserError: base, data and objectives of the trials do not go together.
    """
    base = load_base(config.base, torch.device(device), config.train.precision)
    try:
        return _with_data(config, base, objectives, cache, working)
    finally:
        base.rest()  # what encoded the data is not needed to train


def _with_data(
    config: Config, base: Base, objectives: Sequence[ObjectiveSpec], cache: Path, working: Callable[[], None]
) -> Loaded:
    """See `load`, with the base loaded."""
    check_objectives(objectives, base.process.prediction_type)
    set_attention(base, config.train)
    with making(cache / "data", working):
        dataset = with_regularization(load_dataset(config.data), config.data, base, cache)
        data = encode_dataset(base, dataset, cache, objectives)
        loaded = Loaded(base=base, dataset=dataset, data=data, objectives=objectives, views=config.data.views)
        if not wants_refit(config, dataset):
            return loaded
        everything = for_refit(dataset, config.data)
        return replace(loaded, all_pictures=(everything, encode_dataset(base, everything, cache, objectives)))


def _words_on_offload(base: Base) -> str:
    """How much of the base is on its device while nothing is at work, and how much in the machine's memory."""
    modules = [each for each in base.pipeline.components.values() if isinstance(each, nn.Module)]
    sizes = dict.fromkeys((base.device, CPU), 0)
    for tensor in {each for module in modules for each in (*module.parameters(), *module.buffers())}:
        sizes[tensor.device] += sum(plain.nbytes for plain in plain_tensors(tensor))
    here, away = sizes[base.device] / 1e9, sizes[CPU] / 1e9
    return f"base.offload={base.offload}: {here:.2f} GB of the base stay on {base.device}" + (
        f", {away:.2f} GB come when they are at work" if base.device != CPU else ", where all of it lies anyway"
    )
