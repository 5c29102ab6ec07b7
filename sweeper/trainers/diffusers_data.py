"""What the example scripts of diffusers learn from, as arguments."""

from __future__ import annotations

from typing import Any, Final

from sweeper.trainers.bases import FLOWS, architecture
from sweeper.trainers.course import side
from sweeper.trainers.port import Ours, Row, Settings, Theirs, same


def _pictures(theirs: Theirs) -> Settings:
    names = ("train_data_dir", "instance_data_dir", "dataset_name")
    return {"data.path": next((path for name in names if (path := theirs.text(name))), None)}


def _write_pictures(trial: Ours) -> dict[str, Any]:
    name = "dataset_name" if architecture(trial) in FLOWS else "train_data_dir"
    return {name: trial["data.path"], "caption_column": trial["data.caption_column"]} if trial["data.path"] else {}


DATA: Final = (
    Row(
        theirs=("train_data_dir", "instance_data_dir", "dataset_name", "caption_column"),
        ours=("data.path", "data.caption_column"),
        read=lambda theirs: {**_pictures(theirs), "data.caption_column": theirs.text("caption_column", default="text")},
        write=_write_pictures,
    ),
    Row(
        theirs=("class_data_dir", "prior_loss_weight", "with_prior_preservation"),
        ours=("data.regularization_path", "objective.prior_weight"),
        read=lambda theirs: {
            "data.regularization_path": theirs.text("class_data_dir") or None,
            "objective.prior_weight": theirs.number("prior_loss_weight", default=1.0),
        },
        write=lambda trial: (
            {
                "with_prior_preservation": True,
                "class_data_dir": trial["data.regularization_path"],
                "prior_loss_weight": trial["objective.prior_weight"],
            }
            if trial["data.regularization_path"]
            else {}
        ),
    ),
    Row(
        theirs=("resolution",),
        ours=("base.resolution",),
        read=lambda theirs: {"base.resolution": side(theirs, 512, "resolution")},
        write=lambda trial: {"resolution": trial["data.resolution"] or trial["base.resolution"]},
    ),
    Row(
        theirs=("random_flip",),
        ours=("data.flip",),
        read=lambda theirs: {"data.flip": theirs.flag("random_flip")},
        write=lambda trial: {"random_flip": True} if trial["data.flip"] else {},
    ),
    Row(
        theirs=("center_crop",),
        ours=("data.crop",),
        read=lambda theirs: {"data.crop": "center" if theirs.flag("center_crop") else "random"},
        write=lambda trial: {"center_crop": True} if trial["data.crop"] == "center" else {},
        words="at random where it is off",
    ),
    same("repeats", "data.repeats", "whole", 1),
)
