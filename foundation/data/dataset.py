"""What a `DataSpec` means: which pictures are trained on, which are held out, and what their captions say."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foundation.data.buckets import Cut, describe_buckets
from foundation.data.folder import MIN_TRAINED_ON, Picture, how_read, read_folder, split
from foundation.data.left_out import LeftOut
from foundation.data.masks import Mask, find_masks, held_out_masks
from foundation.data.near_duplicates import alike, groups_of_copies
from foundation.data.phrases import add_trigger
from foundation.data.sources import locate
from foundation.data.spec import DataSpec, Views
from foundation.errors import DataError

_KNOBS = "data"
FOLDERS = ("path", "validation_path", "regularization_path")
"""Keys of a `DataSpec` that name pictures."""
_FEWEST = MIN_TRAINED_ON + 1
"""Pictures that a split needs at least, where a person wants it so."""
_MOST_LINES = 20
"""Groups of copies that are named one by one."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is trained on and what is held out; no picture is in both, nor a copy of it."""

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    notes_of_reading: tuple[str, ...] = ()
    """Which files were left out and why, how captions were read, and what was cut off; one line each."""
    copies: tuple[str, ...] = ()
    """Which pictures are copies of one another, and on which side, one line each."""
    few: tuple[str, ...] = ()
    """That most of a small set is held out, and what to do."""
    trigger: str = ""
    """`data.trigger`."""
    class_word: str = ""
    """`data.class_word`."""
    masks: tuple[Mask, ...] = ()
    """Of the pictures to train on, in their order; none where all of each picture counts."""
    held_out_masks: tuple[Mask | None, ...] = ()
    """Of the held-out pictures, in their order; None for one without."""
    regularization: tuple[Picture, ...] = ()
    """Pictures of what the base should not forget; their captions are as they are."""
    cut: Cut = field(default_factory=Cut)
    """How the pictures to train on are cut."""

    def seen_as(self, before: Views, now: Views) -> Dataset:
        """The same pictures to train on as a trial sees them, where they were read with the views `before`."""
        if before == now:
            return self
        train = tuple(replace(each, repeats=each.repeats // before.repeats * now.repeats) for each in self.train)
        return replace(self, train=train, cut=self.cut.seen_as(now))

    def notes(self, resolution: int) -> tuple[str, ...]:
        """What a person should know of these pictures on a base of this resolution, one line each."""
        groups_of_copies = self.cut.groups([picture.size for picture in self.train], resolution)
        shapes = [describe_buckets(groups_of_copies)] if self.cut.buckets else []
        read = how_read((*self.train, *self.validation, *self.regularization))
        return (self.count, *self.notes_of_reading, *read, *self.copies, *self.few, *shapes)

    @property
    def count(self) -> str:
        """`pictures: 6 to train on (60 an epoch: 6 × 10), 3 held out, 12 of regularisation`."""
        repeats = Counter(picture.repeats for picture in self.train)
        times = ", ".join(f"{num} × {often}" for often, num in sorted(repeats.items()))
        epoch = "" if set(repeats) <= {1} else f" ({self.num_images} an epoch: {times})"
        others = f", {len(self.regularization)} of regularisation" if self.regularization else ""
        return f"pictures: {len(self.train)} to train on{epoch}, {len(self.validation)} held out{others}"

    @property
    def captions(self) -> list[str]:
        """What is said of all its pictures."""
        return [picture.caption for picture in (*self.train, *self.validation, *self.regularization)]

    @property
    def fingerprint(self) -> dict[str, str]:
        """By side, how many pictures there are and a hash of what they and their captions are."""
        sides = {"train": self.train, "validation": self.validation, "regularization": self.regularization}
        return {f"data.{side}": _fingerprint(pictures) for side, pictures in sides.items()}

    @property
    def num_images(self) -> int:
        """Pictures of one epoch: each as often as it is repeated."""
        return sum(picture.repeats for picture in self.train)

    def counts(self, resolution: int) -> list[int]:
        """Pictures of one epoch in each shape on a base of this resolution, each as often as it is repeated."""
        groups_of_copies = self.cut.groups([picture.size for picture in self.train], resolution)
        return [sum(self.train[number].repeats for number in numbers) for numbers in groups_of_copies.values()]


def with_folders(spec: DataSpec, cache: Path) -> DataSpec:
    """The same data with plain folders in `path`, `validation_path` and `regularization_path`.

    What is unpacked or fetched for that goes to `cache`, once. A set that is to be drawn has no folder yet: see
    `train.drawn.with_drawn_folder`.

    Raises:
        DataError: see `foundation.data.sources.locate`.
    """
    paths = {name: getattr(spec, name) for name in FOLDERS}
    folders: dict[str, Any] = {
        name: str(locate(path, cache, where=f"{_KNOBS}.{name}", caption_column=spec.caption_column))
        for name, path in paths.items()
        if path is not None
    }
    return replace(spec, **folders)


def load_dataset(spec: DataSpec, *, to_train: bool = True) -> Dataset:
    """Read `spec.path`, and hold out `spec.validation_path` or a share that depends on the files alone.

    Captions that lack the trigger get it at their end. Masks and regularisation pictures come with it; those that the
    base is to draw come by `train.regularization`. Where nobody wants `to_train`, a set may be too small for that, and
    none of it is held out then.

    Raises:
        DataError: see `foundation.data.folder.read_folder` and `find_masks`; for too few images to split, too.
    """
    dataset = _load(spec, to_train)
    others: tuple[Picture, ...] = ()
    more: tuple[str, ...] = ()
    if spec.regularization_path is not None:
        others, more = _read(spec, "regularization_path", 1)
    masks, of_masks = find_masks(dataset.train, dataset.validation, spec)
    return replace(
        dataset,
        trigger=spec.trigger,
        class_word=spec.class_word,
        masks=masks,
        held_out_masks=held_out_masks(dataset.validation, spec),
        regularization=others,
        notes_of_reading=(*dataset.notes_of_reading, *more, *of_masks),
        cut=Cut.of(spec),
    )


def for_refit(dataset: Dataset, spec: DataSpec) -> Dataset:
    """The same with all pictures to train on; what was trained on before is what both are held against."""
    train = (*dataset.train, *dataset.validation)
    masks, _ = find_masks(train, (), spec)
    of_held_out = held_out_masks(dataset.train, spec)
    return replace(dataset, train=train, validation=dataset.train, masks=masks, held_out_masks=of_held_out)


def _load(spec: DataSpec, to_train: bool) -> Dataset:
    if spec.path is None:
        raise DataError("data.path is not set; name a folder of images with metadata.jsonl")
    held_out = (spec.holdout_at_least or 1) if spec.validation_path is None else 0
    pictures, notes = _read(spec, "path", MIN_TRAINED_ON + held_out if to_train else 1)
    if spec.validation_path is None:
        train, validation = split(pictures, spec.holdout, spec.holdout_at_least)
        if not validation and to_train:
            raise DataError(
                f"data.path {spec.path} has {len(pictures)} images, but no 3 that are not copies of one another; "
                "none can be held out; add others, or set data.find_copies=false if they are no copies"
            )
        return Dataset(train, validation, notes, _copies(pictures, validation), few=_few(train, validation))
    held, more = _read(spec, "validation_path", 1)
    pictures, lost = _without(pictures, held)
    if len(pictures) < MIN_TRAINED_ON and to_train:
        raise DataError(
            f"data.path {spec.path} has {len(pictures)} images that data.validation_path {spec.validation_path} "
            f"does not hold, too; at least {MIN_TRAINED_ON} are needed"
        )
    return Dataset(pictures, held, (*notes, *more, *lost), _copies((*pictures, *held), held))


def _fingerprint(pictures: Sequence[Picture]) -> str:
    said = json.dumps([(picture.digest, picture.caption, picture.repeats) for picture in pictures])
    return f"{len(pictures)} pictures ({hashlib.sha256(said.encode()).hexdigest()[:8]})"


def _few(train: Sequence[Picture], held: Sequence[Picture]) -> tuple[str, ...]:
    if len({picture.digest for picture in held}) == 1:
        return (
            "one picture is held out, so what needs two is not measured: whether the validation loss rose surely, and "
            "distances between sets (cmmd, kid, fid); data.holdout_at_least=2 holds out two",
        )
    if len(train) > len(held):
        return ()
    return (
        f"{len(train)} pictures are trained on and {len(held)} held out; data.holdout_at_least=1 holds out one, "
        "and judges by less",
    )


def _without(pictures: Sequence[Picture], held: Sequence[Picture]) -> tuple[tuple[Picture, ...], list[str]]:
    """The pictures that are no copies of held-out ones, and a line on those that are."""
    seen = {picture.digest: picture for picture in reversed(held)}
    near = dict(alike([picture.thumbnail for picture in pictures], [picture.thumbnail for picture in held]))
    kept, lost = [], []
    for number, picture in enumerate(pictures):
        other = seen.get(picture.digest) or (held[near[number]] if number in near else None)
        if other is None:
            kept.append(picture)
        else:
            lost.append(f"{picture.name} (as {other.path})")
    reason = "copies of held-out pictures, which are not trained on"
    return tuple(kept), [f"data.path: {LeftOut(reason, tuple(lost))}"] if lost else []


def _copies(pictures: Sequence[Picture], held: Sequence[Picture]) -> tuple[str, ...]:
    """A line for each group of pictures that are copies of one another."""
    numbers = groups_of_copies([picture.thumbnail for picture in pictures], [picture.digest for picture in pictures])
    members: dict[int, list[Picture]] = {}
    for number, picture in zip(numbers, pictures, strict=True):
        members.setdefault(number, []).append(picture)
    lines = []
    for group in members.values():
        if len(group) > 1:
            side = "held out" if group[0] in held else "trained on"
            lines.append(f"copies of one picture, all {side}: {', '.join(each.path.name for each in group)}")
    more = len(lines) - _MOST_LINES
    return (*lines[:_MOST_LINES], *([f"{more} more groups of copies, each on one side"] if more > 0 else []))


def _read(spec: DataSpec, key: str, min_images: int) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """The pictures of the folder that the key of the spec names; trigger and repeats are not for regularisation."""
    folder = Path(getattr(spec, key))
    pictures, notes = read_folder(
        folder,
        where=f"{_KNOBS}.{key}",
        caption_column=spec.caption_column,
        skip_broken=spec.skip_broken,
        min_images=min_images,
        remedy="" if min_images <= _FEWEST else ", or data.holdout_at_least=1, which holds out one",
        knobs=_KNOBS,
        apart=_apart(spec, key),
        uses_masks=spec.mask == "beside" and key != "regularization_path",
    )
    trigger, repeats = ("", 1) if key == "regularization_path" else (spec.trigger, spec.repeats)
    ours = (
        replace(
            each,
            caption=add_trigger(each.caption, trigger),
            repeats=each.repeats * repeats,
            thumbnail=each.thumbnail if spec.find_copies else b"",
        )
        for each in pictures
    )
    return tuple(ours), notes


def _apart(spec: DataSpec, key: str) -> dict[Path, str]:
    """Folders of the spec that are another thing than the one that the key names, and may lie in it."""
    others = {name: getattr(spec, name) for name in (*FOLDERS, "mask_path") if name != key}
    return {Path(path).resolve(): f"of {_KNOBS}.{name}" for name, path in others.items() if path}
