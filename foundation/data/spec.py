"""The pictures to learn from: the `data` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Final, Literal

from pydantic import Field

from foundation.config.home import PathText

Kind = Literal["style", "subject", "face"]
"""What pictures have in common that is to be learned."""
Drawn = Literal["pencil", "mug", "beachball", "starfish", "parcel", "locket", "wheel", "rosette"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """How the pictures to train on are seen, and how often: what of the data may differ from trial to trial."""

    repeats: int = 1
    crop: Literal["center", "random"] = "center"
    flip: bool = False
    buckets: bool = False
    resolution: int | None = None


OF_TRIALS: Final = tuple(each.name for each in fields(Views))
"""Fields of the data that may differ from trial to trial."""
_SHARED: Final = {
    ("path", "validation_path", "drawn", "num_train", "num_validation", "holdout", "holdout_at_least"): (
        "all trials are judged by the same held-out pictures, so which pictures there are is one for the whole study"
    ),
    ("skip_broken", "find_copies"): "which pictures are trained on and held out is one for the whole study",
    ("kind", "trigger", "class_word", "caption_column"): (
        "the judge draws by the same prompts and captions for all trials; objective.caption_dropout, tag_dropout and "
        "shuffle_tags vary captions by trial"
    ),
    ("mask", "mask_path"): (
        "the judge looks under the same masks for all trials; objective.unmasked_weight varies what they count by trial"
    ),
    ("regularization_path", "regularization_prompt", "regularization_count"): (
        "regularisation pictures are read or drawn once for all trials; objective.prior_weight varies their weight"
    ),
    ("bucket_min", "bucket_max", "bucket_step"): "set it once; data.buckets can be searched",
}


def why_shared(field: str) -> str:
    """Why a field of the data cannot differ from trial to trial; empty where it can, or is none."""
    return next((why for names, why in _SHARED.items() if field in names), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """The pictures to learn from: a folder of the user's, or a set that the drawn world draws."""

    name: str
    """What people call it."""
    kind: Kind = "style"
    """What is learned: how pictures look (`style`), one particular thing (`subject`) or person (`face`). It chooses
    prompts, metrics, the score, hold-out, thresholds and the default space (`conf/kind`). A study finds it in the
    captions where they are clear and nobody says it."""
    path: PathText | None = None
    """Where the pictures are; None when the set is drawn. A folder with `metadata.jsonl`, `.csv`, `.tsv` or `.parquet`,
    with `.txt` beside the images, or with kohya's `N_concept` folders; a `.tar` or `.zip` archive, webdataset shards
    (`shards/*.tar` or their folder); what `datasets` saved, or Parquet files with pictures inside; a data set of the
    hub (`owner/name`, wants `datasets`), or an archive of one (`hf://datasets/owner/name/file.tar`)."""
    validation_path: PathText | None = None
    """Held-out images, in any of these ways; None splits `holdout` off."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the images held out from training."""
    holdout_at_least: Annotated[int, Field(ge=1)] | None = None
    """So many images are held out however small the share is, 1 or more; at least two are left to train on. None is 1
    of up to twelve images and 3 of more: of five photographs four are learned from, and judged by the fifth."""
    drawn: Drawn | None = None
    """Which set the drawn world draws into the cache, a style or a subject; None when there is a folder."""
    trigger: str = ""
    """The phrase in the captions that calls the learned style or subject; prompts say it as `{trigger}`."""
    class_word: str = ""
    """What the subject is one of ("dog"), for `objective.preserve_class`; conf/data takes it from `eval.class_word`."""
    caption_column: Annotated[str, Field(min_length=1)] = "text"
    """The key or column of the caption in a table of captions, or in `.json` beside the images."""
    skip_broken: bool = False
    """Go on without images that cannot be read, instead of refusing the folder."""
    find_copies: bool = True
    """Keep pictures that look like copies of one another (saved again, scaled, mirrored) on one side of the split;
    false for sets of much the same layout, which would all count as copies. Equal files stay together either way."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often each picture comes in an epoch, 1 to 1000; kohya's folders multiply it by their own number."""
    crop: Literal["center", "random"] = "center"
    """Which part of a picture is trained on where its shape is not the bucket's (or the square): its middle, or one of
    four parts, which are the same in every epoch and trial."""
    flip: bool = False
    """Also learn from each picture's mirror image, half of the time; not for pictures with letters."""
    resolution: Annotated[int, Field(ge=16, multiple_of=8)] | None = None
    """Side of the pictures to train on, pixels, a multiple of 8 (of 16 for flow transformers); None is
    `base.resolution`, at which validation and samples stay. Smaller ones train faster."""
    buckets: bool = False
    """Train on each picture in a shape near its own, of about the area of `base.resolution`², instead of a square. A
    batch is of one shape. Validation and samples stay square."""
    bucket_min: Annotated[int, Field(ge=16)] | None = None
    """The shortest side of a bucket, pixels; None is half of `base.resolution`."""
    bucket_max: Annotated[int, Field(ge=16)] | None = None
    """The longest side of a bucket, pixels; None is twice `base.resolution`."""
    bucket_step: Annotated[int, Field(ge=8, multiple_of=8)] | None = None
    """Sides of buckets are multiples of this, a multiple of 8; None is an eighth of `base.resolution`, 8 to 64."""
    mask: Literal["none", "alpha", "folder", "beside"] = "none"
    """What part of each picture is learned from (see `objective.unmasked_weight`): `none`: all; `alpha`: what is not
    transparent; `folder`: what is white in the image of the same name in `mask_path`; `beside`: what is white in the
    mask beside it (`a-masklabel.png`, `a_mask.png` or `masks/a.png` of `a.png`)."""
    mask_path: PathText | None = None
    """A folder of masks, an image with the name of each picture (any suffix), in the same folders within it where
    pictures lie in folders; with `mask=folder` only."""
    regularization_path: PathText | None = None
    """A folder of regularisation pictures in the format of `path`; None: there are none, or they are drawn."""
    regularization_prompt: Annotated[str, Field(min_length=1)] | None = None
    """What the base draws regularisation pictures for, once per base; their caption, too."""
    regularization_count: Annotated[int, Field(ge=1, le=10000)] = 50
    """How many of these it draws, 1 to 10000."""
    num_train: Annotated[int, Field(ge=2)] = 24
    """Images of a drawn set to train on."""
    num_validation: Annotated[int, Field(ge=1)] = 8
    """Images of a drawn set held out."""

    @property
    def views(self) -> Views:
        """What of it may differ from trial to trial."""
        return Views(**{name: getattr(self, name) for name in OF_TRIALS})

    def __post_init__(self) -> None:
        if self.path is None and self.drawn is None:
            raise ValueError("there is no folder; set data.path to a folder of images with metadata.jsonl")
        if self.path is not None and self.drawn is not None:
            raise ValueError(f"both data.path={self.path} and data.drawn={self.drawn} are set; leave one out")
        if (self.mask == "folder") != (self.mask_path is not None):
            raise ValueError(
                f"data.mask=folder and data.mask_path go together, got mask={self.mask} and mask_path={self.mask_path}"
            )
        if self.regularization_path is not None and self.regularization_prompt is not None:
            raise ValueError("both data.regularization_path and data.regularization_prompt are set; leave one out")
