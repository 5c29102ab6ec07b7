"""kohya's pictures: the dataset TOML, and the scripts' arguments of the same names."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS
from sweeper.trainers.course import side
from sweeper.trainers.port import Ours, Row, Settings, Theirs, same

SUBSET: Final = "datasets.subsets."
_BUCKETS: Final = {
    "data.bucket_min": "min_bucket_reso",
    "data.bucket_max": "max_bucket_reso",
    "data.bucket_step": "bucket_reso_steps",
}


def _places(name: str, *, of_subsets: bool = True) -> tuple[str, ...]:
    """All names of a field, the one that counts first."""
    return (*((f"{SUBSET}{name}",) if of_subsets else ()), f"datasets.{name}", f"general.{name}", name)


def _of_subset(name: str, ours: str, kind: str, default: Any, *also: str) -> Row:
    """A field that the dataset TOML has for a subset, a data set, or all of them, and the scripts as an argument."""
    places = (*_places(name), *also)

    def write(trial: Ours) -> dict[str, Any]:
        value = trial[ours]
        return {} if value in (default, None) else {places[0]: value}

    def read(theirs: Theirs) -> Settings:
        return {ours: getattr(theirs, kind)(*places, default=default)}

    return Row(theirs=places, ours=(ours,), read=read, write=write)


_RESOLUTION: Final = (*_places("resolution", of_subsets=False), "max_resolution")
_BATCH: Final = ("datasets.batch_size", "general.batch_size", "train_batch_size")
_CROP: Final = _places("random_crop")
_MASK: Final = (*_places("alpha_mask"), "masked_loss")


def _resolution(theirs: Theirs) -> Settings:
    return {"base.resolution": side(theirs, 1024 if theirs.family in FLOWS else 512, *_RESOLUTION)}


def _path(theirs: Theirs) -> Settings:
    if theirs.flag(f"{SUBSET}is_reg"):
        theirs.problems.append("the first subset must be of pictures to learn from, got is_reg = true")
    if f"{SUBSET}image_dir" in theirs.fields:
        theirs.leave("the dataset TOML counts before it", "train_data_dir")
    return {"data.path": theirs.text(f"{SUBSET}image_dir", "train_data_dir") or None}


def _crop(theirs: Theirs) -> Settings:
    return {"data.crop": "random" if theirs.flag(*_CROP) else "center"}


def _mask(theirs: Theirs) -> Settings:
    is_on = theirs.flag(*_places("alpha_mask"))
    if theirs.flag("masked_loss") and not is_on:
        theirs.leave("masks lie in conditioning_data_dir there; set data.mask=folder and data.mask_path", "masked_loss")
    return {"data.mask": "alpha" if is_on else "none"}


def _bucket(path: str, name: str) -> Row:
    places = _places(name, of_subsets=False)

    def read(theirs: Theirs) -> Settings:
        value = theirs.whole(*places)
        if not value or not theirs.flag(*_places("enable_bucket", of_subsets=False)):
            return {}
        least, multiple = (8, 8) if path == "data.bucket_step" else (16, 1)
        if value < least or value % multiple:
            theirs.leave(f"here it is {least} or more, a multiple of {multiple}; left to the resolution", *places)
            return {}
        return {path: value}

    def write(trial: Ours) -> dict[str, Any]:
        return {places[0]: trial[path]} if trial[path] and trial["data.buckets"] else {}

    return Row(theirs=places, ours=(path,), read=read, write=write, words="where buckets are on")


DATA: Final = (
    Row(
        theirs=(f"{SUBSET}image_dir", "train_data_dir", f"{SUBSET}is_reg"),
        ours=("data.path",),
        read=_path,
        write=lambda trial: {f"{SUBSET}image_dir": trial["data.path"] or ""},
        words="folders of kohya's, named N_concept, are read here as there",
    ),
    same("reg_data_dir", "data.regularization_path", "text", "", off=""),
    same("prior_loss_weight", "objective.prior_weight", "number", 1.0),
    Row(
        theirs=_RESOLUTION,
        ours=("base.resolution",),
        read=_resolution,
        write=lambda trial: {"datasets.resolution": trial["data.resolution"] or trial["base.resolution"]},
        words="the side of a square of the same area",
    ),
    Row(
        theirs=_BATCH,
        ours=("train.batch_size",),
        read=lambda theirs: {"train.batch_size": max(1, theirs.whole(*_BATCH, default=1))},
        write=lambda trial: {"datasets.batch_size": trial["train.batch_size"]},
    ),
    _of_subset("num_repeats", "data.repeats", "whole", 1, "dataset_repeats"),
    _of_subset("flip_aug", "data.flip", "flag", False),
    Row(
        theirs=_CROP,
        ours=("data.crop",),
        read=_crop,
        write=lambda trial: {_CROP[0]: True} if trial["data.crop"] == "random" else {},
    ),
    Row(
        theirs=_MASK,
        ours=("data.mask",),
        read=_mask,
        write=lambda trial: {_MASK[0]: True} if trial["data.mask"] == "alpha" else {},
        words="alpha_mask is the mask alpha",
    ),
    Row(
        theirs=_places("enable_bucket", of_subsets=False),
        ours=("data.buckets",),
        read=lambda theirs: {"data.buckets": theirs.flag(*_places("enable_bucket", of_subsets=False))},
        write=lambda trial: {"datasets.enable_bucket": True} if trial["data.buckets"] else {},
    ),
    *(_bucket(path, name) for path, name in _BUCKETS.items()),
    _of_subset("shuffle_caption", "objective.shuffle_tags", "flag", False),
    _of_subset("keep_tokens", "objective.keep_tags", "whole", 0),
    _of_subset("caption_dropout_rate", "objective.caption_dropout", "number", 0.0),
    _of_subset("caption_tag_dropout_rate", "objective.tag_dropout", "number", 0.0),
)
