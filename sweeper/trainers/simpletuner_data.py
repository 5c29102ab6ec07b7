"""SimpleTuner's data backends, of which the first with pictures is read."""

from __future__ import annotations

import math
from typing import Any, Final

from sweeper.trainers.course import side
from sweeper.trainers.port import Ours, Row, Settings, Theirs

SET: Final = "data."
REGULAR: Final = "regularisation."
_PATH: Final = (f"{SET}instance_data_dir", f"{SET}dataset_name", f"{SET}type")
_RESOLUTION: Final = (f"{SET}resolution", "resolution")
_KIND: Final = (f"{SET}resolution_type", "resolution_type")
_CROP: Final = (f"{SET}crop", f"{SET}crop_style", f"{SET}crop_aspect")


def _path(theirs: Theirs) -> Settings:
    kind = theirs.text(f"{SET}type", default="local")
    if kind not in ("local", "huggingface"):
        theirs.leave("pictures lie in a folder or on the hub here; set data.path", f"{SET}type")
    return {"data.path": theirs.text(_PATH[0]) or theirs.text(_PATH[1]) or None}


def _resolution(theirs: Theirs) -> Settings:
    kind = theirs.text(*_KIND, default="pixel_area").lower()
    value = theirs.number(*_RESOLUTION, default=1024)
    if kind == "area" and 0 < value < 16:  # megapixels
        return {"base.resolution": max(16, round(math.sqrt(value * 1e6) / 64) * 64)}
    if kind == "pixel":
        theirs.remarks.append("base.resolution is of the shorter side there, and of a square of the same area here")
    return {"base.resolution": side(theirs, 1024, *_RESOLUTION)}


def _crop(theirs: Theirs) -> Settings:
    is_square = theirs.flag(_CROP[0]) and theirs.text(_CROP[2], default="square") == "square"
    style = theirs.text(_CROP[1], default="center")
    if style not in ("center", "centre", "random"):
        theirs.leave("the middle, or one of four parts, is trained on here; it is the middle", _CROP[1])
    return {"data.buckets": not is_square, "data.crop": "random" if style == "random" else "center"}


def _write_crop(trial: Ours) -> dict[str, Any]:
    shape = {_CROP[0]: False} if trial["data.buckets"] else {_CROP[0]: True, _CROP[2]: "square"}
    return {**shape, _CROP[1]: trial["data.crop"]}


def _repeats(theirs: Theirs) -> Settings:
    return {"data.repeats": min(1000, max(0, theirs.whole(f"{SET}repeats")) + 1)}


DATA: Final = (
    Row(
        theirs=_PATH,
        ours=("data.path",),
        read=_path,
        write=lambda trial: {_PATH[0]: trial["data.path"] or "", _PATH[2]: "local"},
        words="of the first backend with pictures; of the hub its data set",
    ),
    Row(
        theirs=(f"{REGULAR}instance_data_dir",),
        ours=("data.regularization_path",),
        read=lambda theirs: {"data.regularization_path": theirs.text(f"{REGULAR}instance_data_dir") or None},
        write=lambda trial: (
            {f"{REGULAR}instance_data_dir": trial["data.regularization_path"]}
            if trial["data.regularization_path"]
            else {}
        ),
        words="of the first backend with is_regularisation_data",
    ),
    Row(
        theirs=(f"{SET}repeats",),
        ours=("data.repeats",),
        read=_repeats,
        write=lambda trial: {f"{SET}repeats": trial["data.repeats"] - 1},
        words="one more: there it says how often again",
    ),
    Row(
        theirs=(*_RESOLUTION, *_KIND),
        ours=("base.resolution",),
        read=_resolution,
        write=lambda trial: {
            _RESOLUTION[0]: trial["data.resolution"] or trial["base.resolution"],
            _KIND[0]: "pixel_area",
            "resolution": trial["data.resolution"] or trial["base.resolution"],
            "resolution_type": "pixel_area",
        },
        words="the backend's counts before the config's; megapixels are their root",
    ),
    Row(
        theirs=_CROP,
        ours=("data.buckets", "data.crop"),
        read=_crop,
        write=_write_crop,
        words="buckets, unless pictures are cropped to squares",
    ),
)
