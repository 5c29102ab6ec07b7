"""What all ways of training in a benchmark share: one base, one set of pictures, one kind of trial."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from benchmarks.bases import SHAPES, write_base
from foundation.bases.folder import base_location
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset, load_dataset
from train.caches import EncodedDataset, encode_dataset
from train.drawn import draw_set
from train.spec import AdapterSpec, BaseSpec, DataSpec, OptimizerSpec, TrainingSpec, TrialSpec

BASES: Final = ("pocket", *SHAPES)
RANK: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Where a benchmark runs."""

    path: str
    """The pipeline's folder."""
    base: Base
    dataset: Dataset
    data: EncodedDataset
    folder: Path
    """The pictures', with `metadata.jsonl`."""
    device: torch.device
    precision: str
    resolution: int


POCKET: Final = BaseSpec(name="pocket", path="pocket", resolution=64)
"""The embedded base."""


def pocket_base() -> Base:
    """The embedded base on the CPU, in fp32."""
    return load_base(POCKET, torch.device("cpu"), "fp32")


@contextmanager
def setting(name: str, device: torch.device) -> Iterator[Setting]:
    """The pocket base in fp32, or a base of one of `SHAPES` with random weights in bf16."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if name == "pocket":
            spec, precision = POCKET, "fp32"
        else:
            write_base(name, folder / name, device, torch.bfloat16)
            spec, precision = BaseSpec(name=name, path=str(folder / name), resolution=SHAPES[name].resolution), "bf16"
        drawn = draw_set("pencil", 24, 8, folder / "cache")
        base = load_base(spec, device, precision)  # type: ignore[arg-type]
        dataset = load_dataset(
            DataSpec(name="drawn", path=str(drawn / "train"), validation_path=str(drawn / "validation"))
        )
        data = encode_dataset(base, dataset, folder / "cache")
        yield Setting(
            path=base_location(spec),
            base=base,
            dataset=dataset,
            data=data,
            folder=drawn / "train",
            device=device,
            precision=precision,
            resolution=spec.resolution,
        )


def trial(batch_size: int, seed: int = 0, precision: str = "fp32", steps: int = 100_000) -> TrialSpec:
    """The kind of trial that is timed: attention layers, rank 16, AdamW."""
    return TrialSpec(
        adapter=AdapterSpec(rank=RANK),
        optimizer=OptimizerSpec(name="adamw", lr=1e-4),
        train=TrainingSpec(steps=steps, batch_size=batch_size, seed=seed, precision=precision),  # type: ignore[arg-type]
    )
