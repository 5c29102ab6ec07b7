"""OneTrainer's concepts: where the pictures lie, and how they and their captions are seen."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.port import Ours, Row, Settings, Theirs, same

PICTURES: Final = "concepts."
_REPEATS: Final = (f"{PICTURES}balancing", f"{PICTURES}repeats")
_TAGS: Final = (
    f"{PICTURES}text.enable_tag_shuffling",
    f"{PICTURES}text.keep_tags_count",
    f"{PICTURES}text.tag_dropout_enable",
    f"{PICTURES}text.tag_dropout_mode",
    f"{PICTURES}text.tag_dropout_probability",
)
_CAPTIONS: Final = ("text_encoder.dropout_probability",)
_MASKS: Final = ("masked_training", "unmasked_weight")


def _repeats(theirs: Theirs) -> Settings:
    value = theirs.number(*_REPEATS, default=1.0)
    if value != int(value) or not 1 <= value <= 1000:
        theirs.leave("whole numbers from 1 to 1000 here", *_REPEATS)
        value = 1
    return {"data.repeats": int(value)}


def _tags(theirs: Theirs) -> Settings:
    """Tags move, and drop out; with the mode FULL whole captions do."""
    shuffles, drops = theirs.flag(_TAGS[0]), theirs.flag(_TAGS[2])
    is_random = theirs.text(_TAGS[3], default="FULL").upper() == "RANDOM"
    chance = theirs.number(_TAGS[4]) if drops else 0.0
    settings: Settings = {"objective.shuffle_tags": shuffles, "objective.tag_dropout": chance if is_random else 0.0}
    if drops and not is_random:
        theirs.leave("only the mode RANDOM, each tag for itself, is here", _TAGS[2], _TAGS[3], _TAGS[4])
    if shuffles or drops:
        settings["objective.keep_tags"] = theirs.whole(_TAGS[1], default=1)
    else:
        theirs.idle.update({_TAGS[1], _TAGS[3], _TAGS[4]} & theirs.fields.keys())
    return settings


def _write_tags(trial: Ours) -> dict[str, Any]:
    shuffles, drops = trial["objective.shuffle_tags"], trial["objective.tag_dropout"]
    if not shuffles and not drops:
        return {}
    dropout = (True, "RANDOM", drops) if drops else (False, "FULL", 0.0)
    return dict(zip(_TAGS, (shuffles, trial["objective.keep_tags"], *dropout), strict=True))


def _mask(theirs: Theirs) -> Settings:
    if not theirs.flag("masked_training"):
        theirs.idle.update({"unmasked_weight", "unmasked_probability"} & theirs.fields.keys())
        return {"data.mask": "none"}
    return {"data.mask": "beside", "objective.unmasked_weight": theirs.number("unmasked_weight", default=0.1)}


def _write_mask(trial: Ours) -> dict[str, Any]:
    if trial["data.mask"] != "beside":
        return {}
    weight = trial["objective.unmasked_weight"]
    return {"masked_training": True, "unmasked_weight": weight, "unmasked_probability": 0.0}


def _flip(theirs: Theirs) -> Settings:
    has_concepts = f"{PICTURES}path" in theirs.fields
    return {"data.flip": theirs.flag(f"{PICTURES}image.enable_random_flip", default=has_concepts)}


DATA: Final = (
    Row(
        theirs=(f"{PICTURES}path",),
        ours=("data.path",),
        read=lambda theirs: {"data.path": theirs.text(f"{PICTURES}path") or None},
        write=lambda trial: {f"{PICTURES}path": trial["data.path"] or ""},
        words="of the first concept",
    ),
    Row(
        theirs=_REPEATS,
        ours=("data.repeats",),
        read=_repeats,
        write=lambda trial: {_REPEATS[0]: float(trial["data.repeats"])},
    ),
    Row(
        theirs=(f"{PICTURES}image.enable_random_flip",),
        ours=("data.flip",),
        read=_flip,
        write=lambda trial: {f"{PICTURES}image.enable_random_flip": trial["data.flip"]},
        words="on by default there",
    ),
    same("aspect_ratio_bucketing", "data.buckets", "flag", True),
    Row(
        theirs=_TAGS,
        ours=("objective.shuffle_tags", "objective.keep_tags", "objective.tag_dropout"),
        read=_tags,
        write=_write_tags,
        words="drop-out of the mode RANDOM",
    ),
    Row(
        theirs=_CAPTIONS,
        ours=("objective.caption_dropout",),
        read=lambda theirs: {"objective.caption_dropout": theirs.number(*_CAPTIONS)},
        write=lambda trial: (
            {_CAPTIONS[0]: trial["objective.caption_dropout"]} if trial["objective.caption_dropout"] else {}
        ),
    ),
    Row(
        theirs=_MASKS,
        ours=("data.mask", "objective.unmasked_weight"),
        read=_mask,
        write=_write_mask,
        words="masks beside the pictures, as `a-masklabel.png`",
    ),
)
