"""SDXL is told how large each picture was and how it was cut: against PIL, and plain diffusers, PEFT and PyTorch."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.data.buckets import CroppedView
from foundation.data.dataset import Dataset, load_dataset
from tests.train.plain_families import plain_family_training
from tests.train.test_families import doubled
from tests.train.test_packed import assert_same, trained
from tests.train.tiny_families import SIDE, build
from train.caches import encode_dataset
from train.spec import AdapterSpec, BaseSpec, DataSpec, OptimizerSpec, TrainingSpec, TrialSpec

SIZES = [(48, 32), (64, 96), (16, 20), (40, 80), (32, 32), (128, 64)]
"""Whole numbers of pixels when they are scaled to cover 32×32."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sizes")
    chance = np.random.default_rng(0)
    lines = []
    for number, size in enumerate(SIZES):
        coarse = chance.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "text": f"a cup, {'abcdef'[number]}"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[BaseSpec, Base]:
    spec = build("sdxl", tmp_path_factory.mktemp("sdxl"))
    return spec, load_base(spec, torch.device("cpu"))


def dataset(folder: Path, drawn_folder: Path, **fields: object) -> Dataset:
    validation = str(drawn_folder / "validation")
    return load_dataset(DataSpec(name="sizes", path=str(folder), validation_path=validation, **fields))


def time_ids(data: Dataset, size: tuple[int, int]) -> torch.Tensor:
    """What diffusers' training script would tell of each view, by its own order: resize, mirror, cut."""
    told = []
    for picture in data.train:
        width, height = picture.size
        scale = max(size[0] / width, size[1] / height)
        resized = round(width * scale), round(height * scale)
        for view in data.cut.views(picture.digest):
            left = round((resized[0] - size[0]) * view.centering[0])
            if view.mirrored:
                left = resized[0] - size[0] - left
            top = round((resized[1] - size[1]) * view.centering[1])
            told.append([height, width, top, left, size[1], size[0]])
    return torch.tensor(told, dtype=torch.float32)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("original", [(97, 64), (50, 90), (31, 77), (64, 64)])
def test_the_corner_is_where_the_cut_lies_in_the_picture_made_smaller(
    original: tuple[int, int], mirrored: bool
) -> None:
    """Whoever scales the picture, mirrors it and cuts at the corner has the view."""
    coarse = np.random.default_rng(1).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(original, Image.Resampling.BICUBIC)
    size = (32, 48)
    view = CroppedView((0.8, 0.3), mirrored)
    height, width, top, left, *cut = view.size_condition(original, size)
    assert (width, height) == original and cut == [48, 32]
    scale = max(32 / width, 48 / height)
    whole = image.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    if mirrored:
        whole = ImageOps.mirror(whole)

    def error(x: int, y: int) -> float:
        theirs = np.asarray(whole.crop((x, y, x + 32, y + 48)), dtype=float)
        return float(np.abs(np.asarray(view.of(image, size), dtype=float) - theirs).mean())

    there = {(x, y): error(x, y) for x in range(whole.width - 31) for y in range(whole.height - 47)}
    assert min(there, key=lambda place: there[place]) == (left, top)


@pytest.mark.parametrize("buckets", [False, True])
def test_every_view_is_told_as_diffusers_script_would(
    folder: Path, drawn_folder: Path, sdxl: tuple[BaseSpec, Base], tmp_path: Path, buckets: bool
) -> None:
    data = dataset(folder, drawn_folder, crop="random", flip=True, buckets=buckets)
    encoded = encode_dataset(sdxl[1], data, tmp_path)
    groups = data.cut.groups([picture.size for picture in data.train], SIDE)
    assert len(groups) == (1 if not buckets else len(encoded.shapes)) and (len(groups) > 1) == buckets
    for (size, numbers), (own, _) in zip(groups.items(), encoded.shapes, strict=True):
        expected = time_ids(data, size).view(len(SIZES), -1, 6)[numbers].flatten(0, 1)
        assert own.sizes is not None
        assert (own.sizes - expected).abs().max() <= (1 if buckets else 0)  # buckets' scales are no whole numbers


def test_pictures_as_large_as_trained_on_are_told_as_samples_are(sdxl: tuple[BaseSpec, Base]) -> None:
    assert CroppedView().size_condition((SIDE, SIDE), (SIDE, SIDE)) == (SIDE, SIDE, 0, 0, SIDE, SIDE)
    base = sdxl[1]
    noisy, times = torch.randn(2, 4, SIDE // 2, SIDE // 2), torch.tensor([100, 700])
    text = base.encode_texts(["a cup", "a star"])
    plain = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]] * 2)
    with torch.no_grad():
        assert torch.equal(base.predict(noisy, times, text), base.predict(noisy, times, text, plain.float()))
        cut = torch.tensor([[64, 48, 0, 8, SIDE, SIDE], [SIDE, SIDE, 0, 0, SIDE, SIDE]])
        difference = (base.predict(noisy, times, text, cut.float()) - base.predict(noisy, times, text)).abs()
    assert difference[0].max() > 1e-4 and difference[1].max() < 1e-6  # each row has its own


def test_bases_that_read_no_sizes_carry_none(loaded_base: Base, tiny_dataset: Dataset, tmp_path: Path) -> None:
    assert encode_dataset(loaded_base, tiny_dataset, tmp_path).train.sizes is None


def test_a_packed_trial_learns_as_in_plain_diffusers_and_peft(
    folder: Path, drawn_folder: Path, sdxl: tuple[BaseSpec, Base], tmp_path: Path
) -> None:
    spec, base = sdxl
    data = dataset(folder, drawn_folder, crop="random", flip=True)
    encoded = encode_dataset(base, data, tmp_path)
    captions = [picture.caption for picture in data.train]
    specs = [
        TrialSpec(
            adapter=AdapterSpec(rank=rank, text_encoder=rank == 3),
            optimizer=OptimizerSpec(name="adamw", lr=1e-2, text_encoder_lr_ratio=1.0),
            train=TrainingSpec(steps=3, batch_size=2, seed=rank),
        )
        for rank in (2, 3)
    ]
    losses, parameters = trained(doubled(copy.deepcopy(base)), encoded, specs)
    told = time_ids(data, (SIDE, SIDE))
    for trial, ours, own in zip(specs, losses, parameters, strict=True):
        plain, plain_own = plain_family_training(spec, encoded, captions, trial, 3, told)
        assert ours == pytest.approx(plain, abs=1e-6)  # text is cached in float32
        assert_same(own, plain_own, 1e-3)
    untold, _ = plain_family_training(spec, encoded, captions, specs[0], 3)
    assert losses[0] != pytest.approx(untold, abs=1e-5)
