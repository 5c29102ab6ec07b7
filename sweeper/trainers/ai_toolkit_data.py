"""ai-toolkit's data sets, of which the first is read, and the regularisation set."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.course import side
from sweeper.trainers.port import Ours, Row, Settings, Theirs, same

SET: Final = "datasets."
_PATH: Final = (f"{SET}folder_path", f"{SET}dataset_path")
_MASK: Final = (f"{SET}alpha_mask", f"{SET}mask_path", f"{SET}mask_min_value")
_PRESERVE: Final = tuple(
    f"train.diff_output_preservation{end}" for end in ("", "_multiplier", "_class")
)  # docs: the base's own pictures of the class are the target


def _mask(theirs: Theirs) -> Settings:
    if path := theirs.text(_MASK[1]):
        settings: Settings = {"data.mask": "folder", "data.mask_path": path}
    elif theirs.flag(_MASK[0]):
        settings = {"data.mask": "alpha"}
    else:
        theirs.idle.update({_MASK[2]} & theirs.fields.keys())
        return {"data.mask": "none"}
    return {**settings, "objective.unmasked_weight": theirs.number(_MASK[2])}


def _write_mask(trial: Ours) -> dict[str, Any]:
    mask, weight = trial["data.mask"], trial["objective.unmasked_weight"]
    if mask == "folder":
        return {_MASK[1]: trial["data.mask_path"], _MASK[2]: weight}
    return {_MASK[0]: True, _MASK[2]: weight} if mask == "alpha" else {}


def _preserve(theirs: Theirs) -> Settings:
    if not theirs.flag(_PRESERVE[0]):
        theirs.idle.update(set(_PRESERVE[1:]) & theirs.fields.keys())
        return {"objective.preserve_class": 0.0}
    word = theirs.text(_PRESERVE[2])
    if not word or not theirs.text("trigger_word"):
        theirs.leave("it needs trigger_word and a class here", *_PRESERVE)
        return {"objective.preserve_class": 0.0}
    return {"objective.preserve_class": theirs.number(_PRESERVE[1], default=1.0), "eval.class_word": word}


def _write_preserve(trial: Ours) -> dict[str, Any]:
    weight = trial["objective.preserve_class"]
    return dict(zip(_PRESERVE, (True, weight, trial["eval.class_word"]), strict=True)) if weight else {}


def _where_set(name: str, ours: str, kind: str, default: Any) -> Row:
    """A field of the data set that is written where it is not its default."""
    row = same(f"{SET}{name}", ours, kind, default)

    def write(trial: Ours) -> dict[str, Any]:
        return {} if trial[ours] == default else {f"{SET}{name}": trial[ours]}

    return Row(theirs=row.theirs, ours=row.ours, read=row.read, write=write)


DATA: Final = (
    Row(
        theirs=_PATH,
        ours=("data.path",),
        read=lambda theirs: {"data.path": theirs.text(*_PATH) or None},
        write=lambda trial: {_PATH[0]: trial["data.path"] or ""},
        words="of the first data set",
    ),
    Row(
        theirs=("regularization.folder_path",),
        ours=("data.regularization_path",),
        read=lambda theirs: {"data.regularization_path": theirs.text("regularization.folder_path") or None},
        write=lambda trial: (
            {"regularization.folder_path": trial["data.regularization_path"]}
            if trial["data.regularization_path"]
            else {}
        ),
        words="of the first data set with is_reg",
    ),
    Row(
        theirs=("trigger_word",),
        ours=("data.trigger",),
        read=lambda theirs: {"data.trigger": theirs.text("trigger_word")},
        write=lambda trial: {"trigger_word": trial["data.trigger"]} if trial["data.trigger"] else {},
    ),
    Row(
        theirs=(f"{SET}resolution",),
        ours=("base.resolution",),
        read=lambda theirs: {"base.resolution": side(theirs, 512, f"{SET}resolution", several=True)},
        write=lambda trial: {f"{SET}resolution": trial["data.resolution"] or trial["base.resolution"]},
        words="of several the largest",
    ),
    same(f"{SET}buckets", "data.buckets", "flag", True),
    _where_set("num_repeats", "data.repeats", "whole", 1),
    _where_set("flip_x", "data.flip", "flag", False),
    Row(
        theirs=(f"{SET}random_crop",),
        ours=("data.crop",),
        read=lambda theirs: {"data.crop": "random" if theirs.flag(f"{SET}random_crop") else "center"},
        write=lambda trial: {f"{SET}random_crop": True} if trial["data.crop"] == "random" else {},
    ),
    _where_set("caption_dropout_rate", "objective.caption_dropout", "number", 0.0),
    _where_set("token_dropout_rate", "objective.tag_dropout", "number", 0.0),
    _where_set("shuffle_tokens", "objective.shuffle_tags", "flag", False),
    _where_set("keep_tokens", "objective.keep_tags", "whole", 0),
    Row(
        theirs=_MASK,
        ours=("data.mask", "data.mask_path", "objective.unmasked_weight"),
        read=_mask,
        write=_write_mask,
        words="alpha_mask is the mask alpha, mask_path the mask folder",
    ),
    Row(
        theirs=_PRESERVE,
        ours=("objective.preserve_class", "eval.class_word"),
        read=_preserve,
        write=_write_preserve,
    ),
)
