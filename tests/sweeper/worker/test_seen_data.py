"""What a trial learns from is what its own views show, encoded once for all that see it so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foundation.bases.port import Base
from foundation.data.dataset import Dataset, for_refit, load_dataset
from foundation.data.spec import DataSpec, Views
from foundation.errors import BaseModelError
from sweeper.worker import seen_data
from sweeper.worker.loading import Loaded
from sweeper.worker.seen_data import SeenData
from train.caches import encode_dataset


def spec_of(folder: Path, **views: object) -> DataSpec:
    paths = {"path": str(folder / "train"), "validation_path": str(folder / "validation")}
    return DataSpec(name="drawn", **paths, **views)  # type: ignore[arg-type]


@pytest.fixture
def loaded(tiny_base: Base, tiny_dataset: Dataset, drawn_folder: Path, tmp_path: Path) -> Loaded:
    data = encode_dataset(tiny_base, tiny_dataset, tmp_path)
    everything = for_refit(tiny_dataset, spec_of(drawn_folder))
    both = everything, encode_dataset(tiny_base, everything, tmp_path)
    return Loaded(base=tiny_base, dataset=tiny_dataset, data=data, all_pictures=both)


@pytest.mark.parametrize(
    "views", [{"flip": True}, {"repeats": 3}, {"crop": "random", "flip": True}, {"resolution": 16}, {"buckets": True}]
)
def test_a_trials_views_show_what_a_study_of_these_alone_would_read(
    views: dict[str, object], loaded: Loaded, drawn_folder: Path, tmp_path: Path
) -> None:
    alone = encode_dataset(loaded.base, load_dataset(spec_of(drawn_folder, **views)), tmp_path / "other")
    seen = SeenData(loaded, tmp_path, lambda: None).of(Views(**views), is_refit=False)  # type: ignore[arg-type]
    assert torch.equal(seen.train.means, alone.train.means)
    assert (seen.train.views, seen.train.epoch) == (alone.train.views, alone.train.epoch)
    assert len(seen.other_shapes) == len(alone.other_shapes)
    assert torch.equal(seen.validation.means, loaded.data.validation.means)  # the judge's stay as they are


def test_the_studys_own_views_need_nothing_and_others_are_encoded_once(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = SeenData(loaded, tmp_path, lambda: None)
    assert seen.of(Views(), is_refit=False) is loaded.data
    assert loaded.all_pictures is not None and seen.of(Views(), is_refit=True) is loaded.all_pictures[1]
    flipped = seen.of(Views(flip=True), is_refit=False)
    refit = seen.of(Views(flip=True), is_refit=True)
    assert (len(flipped.train), len(refit.train)) == (10, 14)
    assert seen.of(Views(flip=True), is_refit=False) is flipped
    encoded: list[Dataset] = []
    monkeypatch.setattr(seen_data, "encode_dataset", lambda base, dataset, *_: encoded.append(dataset) or loaded.data)
    for repeats in range(2, 7):
        seen.of(Views(repeats=repeats), is_refit=False)
    assert [each.num_images for each in encoded] == [10 * repeats for repeats in range(2, 7)]
    seen.of(Views(repeats=6), is_refit=False)
    seen.of(Views(flip=True), is_refit=False)  # used longest ago, so it is read again
    assert len(encoded) == 6


def test_repeats_are_those_of_the_trial_in_place_of_the_studys(tiny_dataset: Dataset) -> None:
    first, *rest = tiny_dataset.train
    read = replace(tiny_dataset, train=(replace(first, repeats=8), *(replace(each, repeats=2) for each in rest)))
    seen = read.seen_as(Views(repeats=2), Views(repeats=3))
    assert [each.repeats for each in seen.train] == [12, *[3] * 9]
    assert seen.counts(32) == [12 + 27]


def test_a_side_that_the_base_cannot_take_is_refused_in_a_line(loaded: Loaded, tmp_path: Path) -> None:
    base = loaded.base
    multiple = base.pipeline.vae_scale_factor
    with pytest.raises(BaseModelError, match=f"data.resolution must be a multiple of {multiple} for this base, got 17"):
        SeenData(loaded, tmp_path, lambda: None).of(Views(resolution=17), is_refit=False)
