"""Pictures of any shape train in a shape near their own; packs, resumes and plain PyTorch agree on what that means."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from foundation.bases.pixels import to_pixels
from foundation.bases.port import Base
from foundation.data.buckets import RANDOM_CROPS, CroppedView, Cut
from foundation.data.dataset import Dataset, load_dataset
from foundation.errors import ConfigError
from tests.train.plain_training import plain_training
from tests.train.test_packed import assert_same, doubled, one, trained
from train.batches import BatchSampler
from train.caches import EncodedDataset, encode_dataset
from train.objective import TrainingLoss
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, DataSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]
SIZES = [(64, 64), (96, 48), (48, 96), (70, 66), (100, 50), (45, 90), (90, 48), (64, 60), (64, 66)]
"""Squares, landscapes and portraits."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in these shapes: no two are alike, and each place tells where it is from."""
    folder = tmp_path_factory.mktemp("shapes")
    chance = np.random.default_rng(0)
    lines = []
    for number, (width, height) in enumerate([*SIZES, *SIZES[:3]]):
        coarse = chance.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:02}.png")
        lines.append(json.dumps({"file_name": f"{number:02}.png", "text": f"picture {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def dataset(folder: Path, **fields: Any) -> Dataset:
    return load_dataset(DataSpec(name="shapes", path=str(folder), **{"buckets": True, **fields}))


@pytest.fixture(scope="module")
def data(folder: Path, loaded_base: Base, tmp_path_factory: pytest.TempPathFactory) -> EncodedDataset:
    return encode_dataset(loaded_base, dataset(folder), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("resolution", [64, 256, 512, 768, 1024])
def test_buckets_are_all_shapes_of_about_the_area_and_no_larger(resolution: int) -> None:
    sizes = Cut(buckets=True).sizes(resolution)
    step = {64: 8, 256: 32, 512: 64, 768: 64, 1024: 64}[resolution]
    assert (resolution, resolution) in sizes
    for width, height in sizes:
        assert width % step == height % step == 0 and resolution // 2 <= min(width, height)
        assert max(width, height) <= 2 * resolution and width * height <= resolution**2
        assert (height, width) in sizes
        # Neither side could be a step longer: the shape is as near to the area as the step allows, one way round.
        assert (min(width, height) * (max(width, height) + step) > resolution**2) or max(
            width, height
        ) == 2 * resolution


def test_the_sides_asked_for_are_kept_and_none_is_refused() -> None:
    sizes = Cut(buckets=True, smallest=384, largest=640, step=128).sizes(512)
    assert sizes == [(384, 640), (512, 512), (640, 384)]
    with pytest.raises(ConfigError, match=r"^data\.buckets: no sides in steps of 64 from data\.bucket_min 640 to"):
        Cut(buckets=True, smallest=640, largest=1024).sizes(512)
    assert Cut(smallest=640).sizes(512) == [(512, 512)]


def test_each_picture_goes_to_the_nearest_aspect() -> None:
    cut = Cut(buckets=True)
    buckets = cut.sizes(512)
    pictures = [(w, h) for w in (100, 130, 170, 260, 900) for h in (100, 120, 190, 330)]
    for size, numbers in cut.groups(pictures, 512).items():
        for number in numbers:
            width, height = pictures[number]
            off = [abs(math.log(w / h * height / width)) for w, h in buckets]
            assert abs(math.log(size[0] / size[1] * height / width)) == pytest.approx(min(off))
    assert cut.groups([(640, 360), (360, 640), (50, 50)], 64) == {(48, 80): [1], (64, 64): [2], (80, 48): [0]}


def test_views_are_the_same_whenever_asked_and_mirrored_ones_mirror() -> None:
    cut = Cut(random_crops=True, flip=True)
    views = cut.views("a")
    assert len(views) == 2 * RANDOM_CROPS and cut.views("a") == views != cut.views("b")
    assert len({view.centering for view in views}) == RANDOM_CROPS
    assert Cut().views("a") == [CroppedView()]
    image = Image.effect_noise((90, 40), 90).convert("RGB")
    for plain, mirrored in zip(views[::2], views[1::2], strict=True):
        assert plain.centering == mirrored.centering
        assert ImageOps.mirror(plain.of(image, (32, 32))).tobytes() == mirrored.of(image, (32, 32)).tobytes()


def test_latents_are_those_of_pictures_cut_to_their_bucket(folder: Path, data: EncodedDataset, tiny_base: Base) -> None:
    found = dataset(folder)
    cut = found.cut.groups([picture.size for picture in found.train], 32)
    assert len(cut) == len(data.shapes) == 3
    for (size, numbers), (part, _) in zip(cut.items(), data.shapes, strict=True):
        assert part.captions == tuple(found.train[number].caption for number in numbers)
        images = [ImageOps.fit(found.train[number].open(), size, Image.Resampling.LANCZOS) for number in numbers]
        means, stds = tiny_base.encode_images(to_pixels(images))
        torch.testing.assert_close(part.means, means)
        torch.testing.assert_close(part.stds, stds)
        assert part.means.shape[2:] == (size[1] // 2, size[0] // 2)
    assert data.validation.means.shape[1:] == (4, 16, 16)


def test_views_are_encoded_one_after_another_and_masks_with_them(folder: Path, tiny_base: Base, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for image in folder.glob("*.png"):
        mask = Image.new("L", Image.open(image).size)
        mask.paste(255, (0, 0, mask.width // 2, mask.height))
        mask.save(masks / image.name)
    found = dataset(folder, buckets=False, crop="random", flip=True, mask="folder", mask_path=str(masks))
    encoded = encode_dataset(tiny_base, found, tmp_path / "cache").train
    assert encoded.views == 8 and len(encoded) == len(found.train)
    assert encoded.masks is not None and len(encoded.means) == len(encoded.masks) == 8 * len(encoded)
    for number, picture in enumerate(found.train):
        for place, view in enumerate(found.cut.views(picture.digest)):
            row = 8 * number + place
            mean, _ = tiny_base.encode_images(to_pixels([view.of(picture.open(), (32, 32))]))
            torch.testing.assert_close(encoded.means[row : row + 1], mean)
        left, right = encoded.masks[8 * number, 0], encoded.masks[8 * number + 1, 0]
        torch.testing.assert_close(left, right.flip(1), rtol=0, atol=0.01)
        assert float((left - right).abs().max()) > 0.9


def trial(seed: int = 0, rank: int = 4, **train: int) -> TrialSpec:
    spec = one("adamw", seed, AdapterSpec(rank=rank, alpha_ratio=0.5, targets="attention+ff"))
    return replace(spec, train=replace(spec.train, **train))


def drawn(base: Base, data: EncodedDataset, spec: TrialSpec, count: int) -> list[tuple[tuple[int, ...], list[str]]]:
    """The shape of each batch and the captions in it, told by their tokens."""
    said = {
        tuple(ids.tolist()): text
        for part, _ in data.shapes
        for ids, text in zip(part.tokens, part.captions, strict=True)
    }
    draws = BatchSampler(spec, TrainingLoss.of(spec.objective, base.process, False), data, None)  # type: ignore[arg-type]
    found = []
    for _ in range(count):
        expected = draws.next_shape
        batch = draws.next_batch()
        assert tuple(batch.latents.shape) == tuple(batch.noise.shape) == expected
        found.append((expected[1:], [said.get(tuple(ids.tolist()), "") for ids in batch.tokens]))
    return found


def test_a_batch_is_of_one_shape_and_shapes_come_as_often_as_they_have_pictures(
    tiny_base: Base, data: EncodedDataset
) -> None:
    found = drawn(tiny_base, data, trial(batch_size=2), 60)
    shapes = Counter(shape for shape, _ in found)
    epoch = sum(-(-len(part) // 2) for part, _ in data.shapes)
    for part, _ in data.shapes:
        shape = tuple(part.means.shape[1:])
        assert shapes[shape] == 60 / epoch * -(-len(part) // 2)
        rows = [caption for its, captions in found if its == shape for caption in captions]
        rounds = [rows[i : i + len(part)] for i in range(0, len(rows) - len(part), len(part))]
        assert all(sorted(each) == sorted(part.captions) for each in rounds)


def test_the_shape_hangs_on_seed_and_number_alone(tiny_base: Base, data: EncodedDataset) -> None:
    one_way = [
        shape for shape, _ in drawn(tiny_base, data, trial(seed=1), 40)
    ]  # with noise offset and dropped captions
    plain = replace(trial(seed=1), objective=trial(seed=2).objective)
    assert one_way == [shape for shape, _ in drawn(tiny_base, data, plain, 40)]
    assert one_way != [shape for shape, _ in drawn(tiny_base, data, trial(seed=3), 40)]


def test_repeats_come_so_often_in_each_round(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    repeats = (3, 1, 2, *([1] * (len(tiny_data.train) - 3)))
    repeated = replace(tiny_data, train=replace(tiny_data.train, repeats=repeats))
    rows = [
        caption
        for _, captions in drawn(tiny_base, repeated, trial(batch_size=1), 2 * sum(repeats))
        for caption in captions
    ]
    for part in (rows[: sum(repeats)], rows[sum(repeats) :]):
        assert Counter(part) == dict(zip(tiny_data.train.captions, repeats, strict=True))


def test_every_view_is_drawn(folder: Path, tiny_base: Base, tmp_path: Path) -> None:
    encoded = encode_dataset(tiny_base, dataset(folder, buckets=False, flip=True), tmp_path / "cache")
    still = replace(encoded, train=replace(encoded.train, stds=torch.zeros_like(encoded.train.stds)))
    spec = trial(batch_size=1)
    draws = BatchSampler(spec, TrainingLoss.of(spec.objective, tiny_base.process, False), still, None)  # type: ignore[arg-type]
    seen = Counter(
        int((encoded.train.means == draws.next_batch().latents).flatten(1).all(1).nonzero()) for _ in range(400)
    )
    assert sorted(seen) == list(range(2 * len(encoded.train)))
    assert sum(seen[row] for row in range(0, len(seen), 2)) / 400 == pytest.approx(0.5, abs=0.08)


THREE = [trial(1, rank=2), trial(1, rank=5, gradient_accumulation=2), trial(4, rank=3)]
"""Ranks, accumulation and seed differ, so that the third is mostly at another shape than the others."""


def test_packed_over_several_shapes_each_trial_is_as_alone(new_base: NewBase, data: EncodedDataset) -> None:
    losses, parameters = trained(doubled(new_base()), data, THREE)
    for spec, ours, own in zip(THREE, losses, parameters, strict=True):
        (alone,), (alone_own,) = trained(doubled(new_base()), data, [spec])
        assert ours == pytest.approx(alone, abs=1e-10)
        assert_same(own, alone_own, 1e-8)


def test_over_one_oblong_shape_a_packed_trial_is_that_of_plain_peft(
    new_base: NewBase, tiny_spec: BaseSpec, data: EncodedDataset
) -> None:
    oblong = replace(data, train=data.other_shapes[-1][0], other_shapes=())
    assert oblong.train.means.shape[2] < oblong.train.means.shape[3]
    losses, parameters = trained(doubled(new_base()), oblong, THREE)
    for spec, ours, own in zip(THREE, losses, parameters, strict=True):
        plain, plain_own = plain_training(tiny_spec, oblong, spec, spec.train.num_steps, torch.float64)
        assert ours == pytest.approx(plain, abs=1e-10)
        assert_same(own, plain_own, 1e-8)


def test_trials_of_one_seed_share_every_pass(
    new_base: NewBase, data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Pack(new_base(), data, 3)
    for rank in (2, 3, 4):
        pack.admit(trial(7, rank))
    passes: list[list[int]] = []
    run = pack._pass

    def noted(numbers: list[int], batches: Any) -> Any:
        passes.append(numbers)
        return run(numbers, batches)

    monkeypatch.setattr(pack, "_pass", noted)
    for _ in range(6):
        pack.step()
    assert passes == [[0, 1, 2]] * 6


def test_resumed_equals_uninterrupted(new_base: NewBase, data: EncodedDataset, tmp_path: Path) -> None:
    (whole,), _ = trained(new_base(), data, [THREE[1]])
    pack = Pack(new_base(), data, 1)
    slot = pack.admit(THREE[1])
    losses = [report.loss for _ in range(7) for report in pack.step()]  # in the middle of the fourth step
    pack.save_state(slot, tmp_path / "state")
    pack = Pack(new_base(), data, 1)
    slot = pack.admit(THREE[1], resume_from=tmp_path / "state")
    while not pack.is_finished(slot):
        losses += [report.loss for report in pack.step()]
    assert losses == whole


def test_regularisation_pictures_come_in_the_shape_of_the_batch(
    folder: Path, drawn_folder: Path, new_base: NewBase, tmp_path: Path
) -> None:
    base = new_base()
    encoded = encode_dataset(base, dataset(folder, regularization_path=str(drawn_folder / "validation")), tmp_path)
    for part, others in encoded.shapes:
        assert others is not None and len(others) == 4 and others.means.shape[1:] == part.means.shape[1:]
    spec = trial(1)
    spec = replace(spec, objective=replace(spec.objective, prior_weight=1.0), train=TrainingSpec(steps=5, batch_size=2))
    ((losses), _) = trained(base, encoded, [spec])
    assert len(losses[0]) == 5
