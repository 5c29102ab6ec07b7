"""The most memory of a device that a worker will hold at a time, by what it does and how many trials it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import psutil

from eval.guidance import rows_of_a_picture
from foundation.bases.memory import Away, BaseMemory, away_of, base_memory, weights_of
from foundation.bases.registry import DTYPES
from foundation.bases.spec import BaseSpec
from foundation.bases.unloaded import Architecture, unloaded_base
from sweeper.records.config import Config
from train.capacity import MEMORY_LIMIT
from train.memory import TrainingMemory, training_memory
from train.spec import TrialSpec

COUNTS: Final = (1, 2, 4, 8)
_ENCODED_AT_ONCE: Final = 16
"""As `train.caches` does."""
_LIBRARIES: Final = 60_000_000
"""What libraries take on the CPU once they compute: kernels made for this machine, threads."""
_CONTEXT: Final = 700_000_000
"""Of a GPU: what its driver and libraries hold beside tensors. Not measured here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes on a kind of device."""

    base: BaseMemory
    training: TrainingMemory
    pictures_rows: int
    """Rows in the denoiser for each picture that is drawn."""
    batch_rows: int
    """Of `eval.batch_rows`."""
    device: str
    process: int
    """What this process holds without any tensor, with the libraries that a worker has."""
    spared: int = 0
    """What quantisation takes from the weights, which were counted whole."""
    away: Away = field(default_factory=Away)
    """What is not on the device."""

    @property
    def weights(self) -> int:
        """All parts of the base."""
        return sum(self.base.weights.values())

    def training_peak(self, slots: int) -> int:
        """While so many slots train."""
        return self._with_process(self.training.peak.at(slots) - self.away.training)

    def judging_peak(self, slots: int, batch_rows: int | None = None) -> int:
        """While pictures of so many slots are drawn, perhaps with other `batch_rows`; without what looks at them."""
        pictures = slots * max(1, (batch_rows or self.batch_rows) // (slots * self.pictures_rows))
        drawing = self.base.denoising.at(pictures * self.pictures_rows) - self.away.drawing
        drawn = max(drawing, self.base.decoding.at(pictures) - self.away.decoding)
        waiting = self.training.waiting - (self.training.state if self.away.drawing else 0)
        return self._with_process(drawn + slots * waiting)

    @property
    def encoding_peak(self) -> int:
        """While the study's pictures and captions are encoded."""
        pictures = self.base.encoding.at(_ENCODED_AT_ONCE) - self.away.decoding
        return self._with_process(max(pictures, self.weights + self.spared - self.away.reading))

    def peak(self, slots: int) -> int:
        """Of all that is done with so many slots."""
        return max(self.training_peak(slots), self.judging_peak(slots), self.encoding_peak)

    def slots_in(self, total: int, most: int) -> int:
        """How many slots can train in so many bytes of memory, up to `most`; 0: not one. Judging is left out."""
        fitting = [count for count in range(1, most + 1) if self.training_peak(count) <= MEMORY_LIMIT * total]
        return max(fitting, default=0)

    def rows_in(self, total: int, slots: int) -> int:
        """The largest `eval.batch_rows`, halved from what is set, with which so many slots are judged in it; or 0."""
        rows = self.batch_rows
        while rows and self.judging_peak(slots, rows) > MEMORY_LIMIT * total:
            rows //= 2
        return rows

    def _with_process(self, peak: int) -> int:
        return peak - self.spared + (self.process + _LIBRARIES if self.device == "cpu" else _CONTEXT)


def memory_of(
    config: Config, trial: TrialSpec, kept: float, family: str, architecture: Architecture, device: str
) -> Memory:
    """Count a study's tensors.

    `config` is the study's, `trial` the largest of its trials, whose optimizer keeps `kept` bytes for a number; the
    base is of this `family` and `architecture`, for a `device` of this kind.

    Raises:
        BaseModelError: the configs of the base make no pipeline.
    """
    return memories_of(config, trial, kept, family, architecture, device, [config.base])[0]


def memories_of(
    config: Config,
    trial: TrialSpec,
    kept: float,
    family: str,
    architecture: Architecture,
    device: str,
    bases: Sequence[BaseSpec],
) -> list[Memory]:
    """As `memory_of` for each of `bases`, which differ from `config.base` in quantisation and offloading alone.

    `config`, `trial`, `kept`, `family`, `architecture` and `device` are as there; tensors are counted once for all.
    """
    base, precision = config.base, config.train.precision
    process = psutil.Process().memory_info().rss
    trained = ("text_encoder", "text_encoder_2") if trial.adapter.text_encoder else ()
    regularized = bool(config.data.regularization_path or config.data.regularization_prompt)
    with unloaded_base(base, family, architecture, precision, device) as (fake, counted):
        own = base_memory(fake, base, counted, DTYPES[precision], device)
        whole = weights_of(fake, replace(base, quantization=None))
        kinds = [(weights_of(fake, each), away_of(fake, each, device, trained)) for each in bases]
        training = training_memory(fake, trial, counted, kept, device=device, regularized=regularized)
        rows = rows_of_a_picture(fake.pipeline, config.eval.guidance_scale)
    return [
        Memory(
            base=replace(own, weights=weights),
            training=training,
            pictures_rows=rows,
            batch_rows=config.eval.batch_rows,
            device=device,
            process=process,
            spared=sum(whole.values()) - sum(weights.values()),
            away=away,
        )
        for weights, away in kinds
    ]
