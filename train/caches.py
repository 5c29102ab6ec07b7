"""Latents and text embeddings, computed once and kept on disk under a content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foundation.bases.pixels import to_pixels
from foundation.bases.port import Base
from foundation.data.buckets import CroppedView, Cut, Size
from foundation.data.dataset import Dataset
from foundation.data.folder import Picture
from foundation.data.masks import Mask
from foundation.data.phrases import replace_phrase
from foundation.errors import DataError
from foundation.files.cache_use import mark_used
from foundation.files.checked import load_checked, save_checked
from train.spec import ObjectiveSpec

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Encoded:
    """Pictures of one shape as the denoiser sees them, in the order of the data set, on the CPU in float32.

    N pictures, each in V views (crops, mirrored), latents C×h×w, captions of T tokens, embedded in width D.
    """

    means: Tensor  # (N·V, C, h, w) of the VAE's posterior; a picture's views are one after another
    stds: Tensor  # (N·V, C, h, w)
    embeddings: Tensor  # (N, T, D) of the captions, by the base's own text encoder
    tokens: Tensor  # (N, T) int64, for trials that train theirs
    captions: tuple[str, ...] = ()  # N, for trials that vary them
    masks: Tensor | None = None  # (N·V, 1, h, w) in [0, 1]: how much each place counts; None: all alike
    views: int = 1  # V
    repeats: tuple[int, ...] = ()  # N, how often each comes in an epoch; none: once
    class_embeddings: Tensor | None = None  # (N, T, D) of the captions with the class word in the trigger's place
    class_tokens: Tensor | None = None  # (N, T) of these; both only where a trial preserves the class
    sizes: Tensor | None = None  # (N·V, 6) as `CroppedView.size_condition` has them, for bases that read sizes

    def __len__(self) -> int:
        return len(self.means) // self.views

    @property
    def epoch(self) -> list[int]:
        """Pictures' numbers, each as often as it comes in an epoch."""
        return [number for number, count in enumerate(self.repeats or (1,) * len(self)) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class EncodedDataset:
    """What a pack trains on, what validation loss is taken on, and the empty caption (1, T, D) and its ids (1, T).

    Also regularisation pictures, if there are any, and the trigger in the captions. With buckets `train` and
    `regularization` are of the first shape, and `other_shapes` holds what there is of all others.
    """

    train: Encoded
    validation: Encoded
    empty: Tensor
    empty_tokens: Tensor
    regularization: Encoded | None = None
    trigger: str = ""
    other_shapes: tuple[tuple[Encoded, Encoded | None], ...] = ()

    @property
    def shapes(self) -> tuple[tuple[Encoded, Encoded | None], ...]:
        """Pictures to train on, and regularisation pictures, of each shape."""
        return ((self.train, self.regularization), *self.other_shapes)


def encode_dataset(
    base: Base, dataset: Dataset, cache: Path, objectives: Iterable[ObjectiveSpec] = ()
) -> EncodedDataset:
    """Encode with the base's VAE and text encoder, or read what an earlier study encoded.

    Captions of the pictures' class come with them where one of the trials' `objectives` preserves it.

    Raises:
        ConfigError: when the buckets leave none.
    """
    cut, square = dataset.cut, (base.resolution, base.resolution)
    if cut.resolution is not None:
        base.check_side(cut.resolution, "data.resolution")
    shapes = []
    for size, numbers in cut.groups([picture.size for picture in dataset.train], base.resolution).items():
        masks = [dataset.masks[number] for number in numbers] if dataset.masks else []
        own = _encode(base, [dataset.train[number] for number in numbers], cache, size, cut, masks)
        others = dataset.regularization  # each shape has them all, so that no shape is without
        shapes.append((own, _encode(base, others, cache, size, Cut()) if others else None))
    if any(each.preserve_class for each in objectives):
        shapes = [(_with_class(base, own, dataset, cache), others) for own, others in shapes]
    (train, regularization), *other_shapes = shapes
    return EncodedDataset(
        train=train,
        validation=_encode(base, dataset.validation, cache, square, Cut()),
        empty=read_or_compute(
            cache,
            _key("text", base, [""]),
            lambda: {"embeddings": base.encode_texts([""]).cpu()},
        )["embeddings"],
        empty_tokens=base.tokenize([""]),
        regularization=regularization,
        trigger=dataset.trigger,
        other_shapes=tuple(other_shapes),
    )


def _with_class(base: Base, part: Encoded, dataset: Dataset, cache: Path) -> Encoded:
    """The same with its captions as of the class."""
    captions = [replace_phrase(caption, dataset.trigger, dataset.class_word) for caption in part.captions]
    embeddings = read_or_compute(
        cache, _key("text", base, captions), lambda: {"embeddings": base.encode_texts(captions).cpu()}
    )
    return replace(part, class_embeddings=embeddings["embeddings"], class_tokens=base.tokenize(captions))


def _encode(
    base: Base, pictures: Sequence[Picture], cache: Path, size: Size, cut: Cut, masks: Sequence[Mask] = ()
) -> Encoded:
    views = [cut.views(picture.digest) for picture in pictures]
    captions = [picture.caption for picture in pictures]
    texts = _key("text", base, captions)
    images = _key("latents", base, [*_shape(base, size, cut), *(picture.digest for picture in pictures)])
    latents = read_or_compute(cache, images, lambda: _latents(base, pictures, views, size))
    embeddings = read_or_compute(cache, texts, lambda: {"embeddings": base.encode_texts(captions).cpu()})
    return Encoded(
        means=latents["means"],
        stds=latents["stds"],
        embeddings=embeddings["embeddings"],
        tokens=base.tokenize(captions),
        captions=tuple(captions),
        masks=_masks(masks, views, size, latents["means"].shape[2:]) if masks else None,
        views=len(views[0]),
        repeats=tuple(picture.repeats for picture in pictures),
        sizes=_sizes(pictures, views, size) if base.reads_sizes else None,
    )


def _sizes(pictures: Sequence[Picture], views: Sequence[Sequence[CroppedView]], size: Size) -> Tensor:
    conditions = [
        view.size_condition(picture.size, size) for picture, own in zip(pictures, views, strict=True) for view in own
    ]
    return torch.tensor(conditions, dtype=torch.float32)


def _shape(base: Base, size: Size, cut: Cut) -> list[str]:
    """What of the cut changes the latents; a plain square is what older caches hold."""
    plain = [str(base.resolution)]
    if size == (base.resolution, base.resolution) and not (cut.random_crops or cut.flip):
        return plain
    return [*plain, json.dumps([size, cut.random_crops, cut.flip])]


def _masks(masks: Sequence[Mask], views: Sequence[Sequence[CroppedView]], size: Size, latent: Sequence[int]) -> Tensor:
    """Cut as the pictures are, and made as small as their latents by the mean over each one's area."""
    seen = (view.of(mask.open(), size) for mask, own in zip(masks, views, strict=True) for view in own)
    cut = (torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255) for mask in seen)
    return torch.cat([F.interpolate(mask[None, None], tuple(latent), mode="area") for mask in cut])


def _latents(
    base: Base, pictures: Sequence[Picture], views: Sequence[Sequence[CroppedView]], size: Size
) -> dict[str, Tensor]:
    means, stds = [], []
    for begin in range(0, len(pictures), _BATCH):
        part = zip(pictures[begin : begin + _BATCH], views[begin : begin + _BATCH], strict=True)
        images = [view.of(image, size) for picture, own in part for image in (picture.open(),) for view in own]
        for first in range(0, len(images), _BATCH):
            mean, std = base.encode_images(to_pixels(images[first : first + _BATCH]))
            means.append(mean.cpu())
            stds.append(std.cpu())
    return {"means": torch.cat(means), "stds": torch.cat(stds)}


def read_or_compute(cache: Path, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors under `key`, computed and written when they are not there.

    Safe when several processes start at once: each writes a whole file under the same name, with the same content.
    """
    file = mark_used(cache / f"{key}.safetensors")
    try:
        return load_checked(file)
    except (FileNotFoundError, DataError):
        pass  # not there yet, or damaged from outside: what it held can be computed again
    # In the layout in which they will be read: dropout draws by it, so a resumed trial would go another way.
    tensors = {name: tensor.contiguous() for name, tensor in compute().items()}
    save_checked(file, tensors)
    return tensors


def _key(kind: str, base: Base, parts: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps([base.fingerprint, str(base.dtype), *parts]).encode())
    return f"{kind}-{digest.hexdigest()[:24]}"
