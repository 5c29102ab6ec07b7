"""The pictures to learn from: the `data` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """The pictures to learn from: a folder of the user's, or a set that the drawn world draws."""

    name: str
    """What people call it."""
    path: str | None = None
    """Where the pictures are; None when the set is drawn. A folder with `metadata.jsonl`, `.csv` or `.parquet`, with
    `.txt` beside the images, or with kohya's `N_concept` folders; a `.tar` or `.zip` archive, webdataset shards
    (`shards/*.tar` or their folder); what `datasets` saved, or Parquet files with pictures inside; a data set of the
    hub (`owner/name`, wants `datasets`), or an archive of one (`hf://datasets/owner/name/file.tar`)."""
    validation_path: str | None = None
    """Held-out images, in any of these ways; None splits `holdout` off."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the images held out from training (at least 3 images)."""
    drawn: Literal["pencil"] | None = None
    """Which set the drawn world draws into the cache; None when there is a folder."""
    trigger: str = ""
    """The phrase in the captions that calls the learned style or subject; prompts say it as `{trigger}`."""
    caption_column: Annotated[str, Field(min_length=1)] = "text"
    """The key or column of the caption in a table of captions, or in `.json` beside the images."""
    skip_broken: bool = False
    """Go on without images that cannot be read, instead of refusing the folder."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often each picture comes in an epoch, 1 to 1000; kohya's folders multiply it by their own number."""
    num_train: Annotated[int, Field(ge=5)] = 24
    """Images of a drawn set to train on."""
    num_validation: Annotated[int, Field(ge=3)] = 8
    """Images of a drawn set held out."""

    def __post_init__(self) -> None:
        if self.path is None and self.drawn is None:
            raise ValueError("there is no folder; set data.path to a folder of images with metadata.jsonl")
        if self.path is not None and self.drawn is not None:
            raise ValueError(f"both data.path={self.path} and data.drawn={self.drawn} are set; leave one out")
