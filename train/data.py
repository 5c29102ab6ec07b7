"""What a `DataSpec` means: which pictures are trained on, which are held out, and what their captions say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foundation.errors import DataError
from foundation.folder import MIN_IMAGES, Picture, read_folder, split
from train.masks import Mask, find_masks
from train.spec import DataSpec

_KNOBS = "data"
_MIN_TRAIN = 2


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is trained on and what is held out; no picture is in both."""

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    skipped: tuple[str, ...] = ()
    """Why images were left out, one line each (broken ones only with `data.skip_broken`)."""
    trigger: str = ""
    """`data.trigger`."""
    masks: tuple[Mask, ...] = ()
    """Of the pictures to train on, in their order; none where all of each picture counts."""
    regularization: tuple[Picture, ...] = ()
    """Pictures of what the base should not forget; their captions are as they are."""


def load_dataset(spec: DataSpec) -> Dataset:
    """Read `spec.path`, and hold out `spec.validation_path` or a share that depends on the files alone.

    Captions that lack the trigger get it at their end. Masks and regularisation pictures come with it; those that the
    base is to draw come by `train.regularization`.

    Raises:
        DataError: see `foundation.folder.read_folder` and `find_masks`; for fewer than 5 images, too.
    """
    dataset = _load(spec)
    others: tuple[Picture, ...] = ()
    if spec.regularization_path is not None:
        others, more = _read(spec.regularization_path, replace(spec, trigger=""), "data.regularization_path", 1)
        dataset = replace(dataset, skipped=(*dataset.skipped, *more))
    masks = find_masks(dataset.train, spec)
    return replace(dataset, trigger=spec.trigger, masks=masks, regularization=others)


def _load(spec: DataSpec) -> Dataset:
    if spec.path is None:
        raise DataError("data.path is not set; name a folder of images with metadata.jsonl")
    pictures, skipped = _read(spec.path, spec, "data.path", MIN_IMAGES)
    if spec.validation_path is None:
        return Dataset(*split(pictures, spec.holdout), skipped)
    held, more = _read(spec.validation_path, spec, "data.validation_path", 1)
    seen = {picture.digest for picture in held}
    kept = tuple(picture for picture in pictures if picture.digest not in seen)
    lost = tuple(f"{p.path} is also held out, so it is not trained on" for p in pictures if p.digest in seen)
    if len(kept) < _MIN_TRAIN:
        raise DataError(
            f"data.path {spec.path} has {len(kept)} images that data.validation_path {spec.validation_path} "
            f"does not hold, too; at least {_MIN_TRAIN} are needed"
        )
    return Dataset(kept, held, (*skipped, *more, *lost))


def _read(path: str, spec: DataSpec, where: str, min_images: int) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    pictures, skipped = read_folder(
        Path(path).expanduser(),
        where=where,
        caption_column=spec.caption_column,
        skip_broken=spec.skip_broken,
        min_images=min_images,
        knobs=_KNOBS,
    )
    return _with_trigger(pictures, spec.trigger), skipped


def _with_trigger(pictures: Sequence[Picture], trigger: str) -> tuple[Picture, ...]:
    return tuple(replace(picture, caption=_captioned(picture.caption, trigger)) for picture in pictures)


def _captioned(caption: str, trigger: str) -> str:
    if not trigger or trigger.lower() in caption.lower():
        return caption
    return f"{caption}, {trigger}" if caption else trigger
