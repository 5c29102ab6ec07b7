"""Latents and text embeddings, computed once and kept on disk under a content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from foundation.durable import write_bytes
from foundation.folder import Picture
from foundation.images import square
from train.bases import Base
from train.data import Dataset
from train.images import to_pixels
from train.masks import Mask

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Encoded:
    """Pictures as the denoiser sees them, in the order of the data set, on the CPU in float32.

    N pictures, latents C×h×w, captions of T tokens, embedded in width D.
    """

    means: Tensor  # (N, C, h, w) of the VAE's posterior
    stds: Tensor  # (N, C, h, w)
    embeddings: Tensor  # (N, T, D) of the captions, by the base's own text encoder
    tokens: Tensor  # (N, T) int64, for trials that train theirs
    captions: tuple[str, ...] = ()  # N, for trials that vary them
    masks: Tensor | None = None  # (N, 1, h, w) in [0, 1]: how much each place counts; None: all alike

    def __len__(self) -> int:
        return len(self.means)


@dataclass(frozen=True, slots=True)
class EncodedDataset:
    """What a pack trains on, what validation loss is taken on, and the empty caption (1, T, D) and its ids (1, T).

    Also regularisation pictures, if there are any, and the trigger in the captions.
    """

    train: Encoded
    validation: Encoded
    empty: Tensor
    empty_tokens: Tensor
    regularization: Encoded | None = None
    trigger: str = ""


def encode_dataset(base: Base, dataset: Dataset, cache: Path) -> EncodedDataset:
    """Encode with the base's VAE and text encoder, or read what an earlier study encoded."""
    return EncodedDataset(
        train=_encode(base, dataset.train, cache, dataset.masks),
        validation=_encode(base, dataset.validation, cache),
        empty=cached(
            cache,
            _key("text", base, [""]),
            lambda: {"embeddings": base.encode_texts([""]).cpu()},
        )["embeddings"],
        empty_tokens=base.tokenize([""]),
        regularization=_encode(base, dataset.regularization, cache) if dataset.regularization else None,
        trigger=dataset.trigger,
    )


def _encode(base: Base, pictures: Sequence[Picture], cache: Path, masks: Sequence[Mask] = ()) -> Encoded:
    resolution = str(base.resolution)
    images = _key("latents", base, [resolution, *(picture.digest for picture in pictures)])
    captions = [picture.caption for picture in pictures]
    texts = _key("text", base, captions)
    latents = cached(cache, images, lambda: _latents(base, pictures))
    embeddings = cached(cache, texts, lambda: {"embeddings": base.encode_texts(captions).cpu()})
    return Encoded(
        means=latents["means"],
        stds=latents["stds"],
        embeddings=embeddings["embeddings"],
        tokens=base.tokenize(captions),
        captions=tuple(captions),
        masks=_masks(base.resolution, masks, latents["means"].shape[2:]) if masks else None,
    )


def _masks(resolution: int, masks: Sequence[Mask], size: Sequence[int]) -> Tensor:
    """Cut as the pictures are, and made as small as their latents by the mean over each one's area."""
    cut = (np.asarray(square(mask.open(), resolution), dtype=np.float32) / 255 for mask in masks)
    return torch.cat([F.interpolate(torch.from_numpy(mask)[None, None], tuple(size), mode="area") for mask in cut])


def _latents(base: Base, pictures: Sequence[Picture]) -> dict[str, Tensor]:
    means, stds = [], []
    for begin in range(0, len(pictures), _BATCH):
        images = [square(picture.open(), base.resolution) for picture in pictures[begin : begin + _BATCH]]
        mean, std = base.encode_images(to_pixels(images))
        means.append(mean.cpu())
        stds.append(std.cpu())
    return {"means": torch.cat(means), "stds": torch.cat(stds)}


def cached(cache: Path, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors under `key`, computed and written when they are not there.

    Safe when several processes start at once: each writes a whole file under the same name, with the same content.
    """
    file = cache / f"{key}.safetensors"
    try:
        return load_file(file)
    except (FileNotFoundError, SafetensorError):
        pass  # not there yet, or damaged from outside: what it held can be computed again
    tensors = {name: tensor.contiguous() for name, tensor in compute().items()}
    write_bytes(file, save(tensors))
    return tensors


def _key(kind: str, base: Base, parts: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps([base.fingerprint, str(base.dtype), *parts]).encode())
    return f"{kind}-{digest.hexdigest()[:24]}"
