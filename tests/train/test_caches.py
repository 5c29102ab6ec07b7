"""What was encoded once is read from disk; whatever could change it changes its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
import torch
from PIL import Image
from torch import Tensor

from foundation.bases.port import Base
from foundation.data.dataset import Dataset, load_dataset
from foundation.data.images import square
from train.caches import EncodedDataset, encode_dataset, read_or_compute
from train.spec import BaseSpec, DataSpec


class Calls:
    """Counts what a base is asked to encode."""

    def __init__(self, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images = self.texts = 0
        encode_images, encode_texts = base.encode_images, base.encode_texts

        def images(pixels: Tensor) -> tuple[Tensor, Tensor]:
            self.images += len(pixels)
            return encode_images(pixels)

        def texts(captions: Sequence[str]) -> Tensor:
            self.texts += len(captions)
            return encode_texts(captions)

        monkeypatch.setattr(base, "encode_images", images)
        monkeypatch.setattr(base, "encode_texts", texts)

    def taken(self) -> tuple[int, int]:
        """Pictures and texts encoded since the last call."""
        counts = self.images, self.texts
        self.images = self.texts = 0
        return counts


@pytest.fixture
def calls(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(tiny_base, monkeypatch)


@pytest.fixture
def dataset(tiny_dataset: Dataset) -> Dataset:
    """Three pictures to train on and two held out."""
    return Dataset(tiny_dataset.train[:3], tiny_dataset.validation[:2])


def tensors(data: EncodedDataset) -> list[Tensor]:
    parts = (data.train, data.validation)
    return [data.empty, *(tensor for part in parts for tensor in (part.means, part.stds, part.embeddings))]


def same(one: EncodedDataset, other: EncodedDataset) -> bool:
    return all(map(torch.equal, tensors(one), tensors(other)))


def test_what_is_encoded_is_what_the_base_says_picture_by_picture(
    tiny_base: Base, dataset: Dataset, tmp_path: Path
) -> None:
    data = encode_dataset(tiny_base, dataset, tmp_path)
    assert data.train.means.shape == data.train.stds.shape == (3, 4, 16, 16)
    assert data.train.embeddings.shape == (3, 40, 16) and data.empty.shape == (1, 40, 16)
    for pictures, encoded in ((dataset.train, data.train), (dataset.validation, data.validation)):
        assert len(encoded) == len(pictures)
        for i, picture in enumerate(pictures):
            image = square(Image.open(picture.path).convert("RGB"), 32)
            pixels = torch.tensor(list(image.tobytes())).reshape(1, 32, 32, 3).permute(0, 3, 1, 2) / 127.5 - 1
            mean, std = tiny_base.encode_images(pixels)
            torch.testing.assert_close(encoded.means[i], mean[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(encoded.stds[i], std[0], rtol=1e-4, atol=1e-5)
            text = tiny_base.encode_texts([picture.caption])[0]
            torch.testing.assert_close(encoded.embeddings[i], text, rtol=1e-4, atol=1e-5)


def test_a_second_encoding_reads_the_disk_alone(
    tiny_base: Base, dataset: Dataset, calls: Calls, tmp_path: Path
) -> None:
    first = encode_dataset(tiny_base, dataset, tmp_path)
    assert calls.taken() == (5, 3 + 2 + 1)
    assert same(encode_dataset(tiny_base, dataset, tmp_path), first)
    assert calls.taken() == (0, 0)


def test_only_what_changed_is_encoded_anew(tiny_base: Base, dataset: Dataset, calls: Calls, tmp_path: Path) -> None:
    encode_dataset(tiny_base, dataset, tmp_path)
    calls.taken()
    first, *others = dataset.train
    changes = {
        "a caption": (replace(dataset, train=(replace(first, caption="another"), *others)), (0, 3)),
        "a picture": (replace(dataset, train=(replace(first, digest="0" * 64), *others)), (3, 0)),
        "the order": (replace(dataset, train=(*others, first)), (3, 3)),
        "a name": (replace(dataset, train=(replace(first, path=others[0].path), *others)), (0, 0)),
        "nothing": (dataset, (0, 0)),
    }
    for what, (changed, expected) in changes.items():
        encode_dataset(tiny_base, changed, tmp_path)
        assert calls.taken() == expected, what


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [("fingerprint", "other", (5, 6)), ("dtype", torch.bfloat16, (5, 6)), ("resolution", 16, (5, 0))],
)
def test_another_base_shares_nothing(
    attribute: str,
    value: object,
    expected: tuple[int, int],
    tiny_base: Base,
    dataset: Dataset,
    calls: Calls,
    tmp_path: Path,
) -> None:
    encode_dataset(tiny_base, dataset, tmp_path)
    calls.taken()
    setattr(tiny_base, attribute, value)
    encode_dataset(tiny_base, dataset, tmp_path)
    assert calls.taken() == expected


def test_another_weight_makes_another_fingerprint(
    tiny_spec: BaseSpec, tiny_base: Base, new_base: Callable[[], Base]
) -> None:
    twin, vae = new_base(), tiny_base.pipeline.vae
    assert twin.fingerprint == tiny_base.fingerprint
    with torch.no_grad():
        next(vae.parameters())[0, 0, 0, 0] += 1e-3
    again = type(tiny_base)(tiny_base.pipeline, tiny_spec, tiny_base.device)  # type: ignore[call-arg]
    assert again.fingerprint != twin.fingerprint


def test_a_copied_and_renamed_folder_is_not_encoded_again(
    tiny_base: Base, drawn_folder: Path, calls: Calls, tmp_path: Path
) -> None:
    shutil.copytree(drawn_folder / "train", tmp_path / "copy")
    for folder, expected in ((drawn_folder / "train", True), (tmp_path / "copy", False)):
        encode_dataset(tiny_base, load_dataset(DataSpec(name=folder.name, path=str(folder))), tmp_path / "cache")
        assert (calls.taken() != (0, 0)) is expected


@pytest.mark.parametrize("keep", [0, 5, 0.5, 0.99])
def test_a_damaged_file_is_computed_again_and_put_right(
    keep: float, tiny_base: Base, dataset: Dataset, calls: Calls, tmp_path: Path
) -> None:
    first = encode_dataset(tiny_base, dataset, tmp_path)
    calls.taken()
    for file in tmp_path.iterdir():
        whole = file.read_bytes()
        file.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    assert same(encode_dataset(tiny_base, dataset, tmp_path), first)
    assert calls.taken() == (5, 6)
    encode_dataset(tiny_base, dataset, tmp_path)
    assert calls.taken() == (0, 0)


@pytest.mark.parametrize("before", [None, b"damaged"])
def test_two_that_compute_at_once_get_the_same_and_leave_one_whole_file(before: bytes | None, tmp_path: Path) -> None:
    both_compute = Barrier(2)
    if before is not None:
        (tmp_path / "key.safetensors").write_bytes(before)

    def compute() -> dict[str, Tensor]:
        both_compute.wait(timeout=30)
        return {"x": torch.arange(100_000)}

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: read_or_compute(tmp_path, "key", compute), range(2)))
    assert all(torch.equal(result["x"], torch.arange(100_000)) for result in results)
    assert [file.name for file in tmp_path.iterdir()] == ["key.safetensors"]
    assert torch.equal(read_or_compute(tmp_path, "key", dict)["x"], torch.arange(100_000))


def test_what_is_computed_lies_in_memory_as_what_is_read(tmp_path: Path) -> None:
    """Dropout draws in the order of memory: in another layout a resumed trial would go another way."""
    image = torch.arange(24.0).view(1, 2, 3, 4)

    def compute() -> dict[str, torch.Tensor]:
        return {"means": image.to(memory_format=torch.channels_last), "turned": image.transpose(2, 3)}

    computed, read = (read_or_compute(tmp_path, "key", compute) for _ in range(2))
    for name in computed:
        assert torch.equal(computed[name], read[name])
        assert computed[name].stride() == read[name].stride()


def test_a_computation_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def compute() -> dict[str, Tensor]:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        read_or_compute(tmp_path, "key", compute)
    assert list(tmp_path.iterdir()) == []


def test_what_was_read_does_not_change_when_the_file_does(tmp_path: Path) -> None:
    read_or_compute(tmp_path, "key", lambda: {"x": torch.ones(1000)})
    read = read_or_compute(tmp_path, "key", dict)["x"]
    (tmp_path / "key.safetensors").unlink()
    read_or_compute(tmp_path, "key", lambda: {"x": torch.zeros(1000)})
    assert torch.equal(read, torch.ones(1000))
