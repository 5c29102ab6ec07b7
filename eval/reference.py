"""What checkpoints are held against: computed once per study, kept in one file, shared by all trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from eval.cutouts import SubjectPictures
from eval.extractors import FeatureExtractors, StyleExtractor
from eval.faces.extractor import has_face
from eval.feature_sets import ReferenceFeatures, SubjectFeatures, of_tensors, tensors_of
from eval.features import FeatureExtractor
from eval.metrics.copying import distinct
from eval.parts import subject_features
from eval.spec import SampleBudget
from eval.textures import scale_of
from eval.thumbnails import MASKED_WIDTH, compositions, masked_compositions
from foundation.errors import DataError
from foundation.files.checked import load_checked, save_checked

_VIEWS = ("image", "style", "faces", "subject")
"""The parts of a reference that other eyes than the CLIP have, and only subjects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Features of real pictures and of what the base draws; unit rows in float32 on the CPU.

    D is the width of the eye's features, C that of compositions, which lie in [0, 1] and have any length. Parts that do
    not exist are empty, (0, D), and what would need them is NaN.
    """

    train: Tensor
    """(n, D) training pictures, near-duplicates taken out."""
    held_out: Tensor
    """(m, D) pictures of the same kind that no trial trains on."""
    prompts: Tensor
    """(P, D) texts of the prompts without the trigger."""
    base_samples: Tensor
    """(P, S, D) what the base draws for the prompts and seeds."""
    base_unrelated: Tensor
    """(U, R, D) what the base draws for the unrelated prompts and the first R seeds; (0, R, D) for none."""
    base_validation: Tensor
    """(N, B) the base's own validation losses; (0, B) for none."""
    train_compositions: Tensor
    """(n', C') training pictures with masks (`eval.thumbnails.masked_compositions`), copies of others taken out."""
    held_out_compositions: Tensor
    """(m, C) the held-out pictures."""
    base_compositions: Tensor
    """(P, S, C) what the base draws."""
    base_training_compositions: Tensor
    """(K, C) what the base draws for the training captions, of one seed; (0, C) for none."""
    style: ReferenceFeatures
    """As the eye for style sees them (`eval.style_features`, or `eval.textures`); rows of any length, unscaled."""
    real_texts: Tensor
    """(r, D) captions of real pictures without the trigger, of those that say something; the CLIP's."""
    captioned: Tensor
    """(r,) which rows of `train`, then `held_out`, these pictures are."""
    style_scale: Tensor
    """(D,) what these rows are divided by before they are compared (`eval.textures.scale_of`)."""
    image: ReferenceFeatures | None = None
    """The pictures as an eye of its own sees them (`eval.image_features`); None: as the CLIP does."""
    faces: ReferenceFeatures | None = None
    """As an eye for faces sees them (`eval.identity_features`), zeros where a picture shows none; None without one."""
    subject: SubjectFeatures | None = None
    """What a subject or a face is held against, too; None for a style."""

    def __post_init__(self) -> None:
        if self.base_samples.ndim != 3 or len(self.base_samples) != len(self.prompts) or not len(self.prompts):
            raise ValueError(
                "base_samples must be (prompts, seeds, width) for at least one prompt, "
                f"got {tuple(self.base_samples.shape)} for {len(self.prompts)} prompts"
            )
        if self.train_compositions.shape[1] != MASKED_WIDTH:
            raise ValueError(
                f"train_compositions must be (n, {MASKED_WIDTH}), got {tuple(self.train_compositions.shape)}"
            )
        if not bool(self.base_validation.isfinite().all()):
            raise ValueError("base_validation must be finite; the base itself fails on the held-out images")

    @property
    def of_clip(self) -> ReferenceFeatures:
        """The pictures as the CLIP sees them."""
        return ReferenceFeatures(
            train=self.train,
            held_out=self.held_out,
            base_samples=self.base_samples,
            base_unrelated=self.base_unrelated,
        )

    @property
    def of_images(self) -> ReferenceFeatures:
        """The pictures as they are compared with one another."""
        return self.image or self.of_clip

    def within(self, budget: SampleBudget) -> Reference:
        """The same as if the base had been drawn for these prompts and seeds alone."""
        return replace(
            self,
            prompts=self.prompts[: budget.prompts],
            base_samples=self.base_samples[: budget.prompts, : budget.seeds],
            base_unrelated=self.base_unrelated[: budget.unrelated, : budget.seeds],
            base_compositions=self.base_compositions[: budget.prompts, : budget.seeds],
            base_training_compositions=self.base_training_compositions[: budget.training],
            image=self.image and self.image.within(budget),
            style=self.style.within(budget),
            faces=self.faces and self.faces.within(budget),
            subject=self.subject and self.subject.within(budget),
        )

    def save(self, path: Path) -> None:
        """Write all to one file, whole or not at all."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _VIEWS}
        for name in _VIEWS:
            view: ReferenceFeatures | SubjectFeatures | None = getattr(self, name)
            tensors |= tensors_of(name, view) if view else {}
        save_checked(path, {name: tensor.clone() for name, tensor in tensors.items()})  # two eyes may share one

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it is damaged.
        """
        tensors = load_checked(path)
        try:
            own: dict[str, Any] = {field.name: tensors[field.name] for field in fields(cls) if field.name not in _VIEWS}
            own |= {name: of_tensors(ReferenceFeatures, name, tensors) for name in ("image", "style", "faces")}
            own["subject"] = of_tensors(SubjectFeatures, "subject", tensors)
            if own["style"] is None:
                raise KeyError("style")
            return cls(**own)
        except (KeyError, ValueError) as error:
            raise DataError(f"the judge's reference {path} is no such file ({error})") from error


def build_reference(
    eyes: FeatureExtractors,
    *,
    train: Sequence[Image.Image],
    held_out: Sequence[Image.Image],
    captions: Sequence[str] = (),
    prompts: Sequence[str],
    base_samples: Sequence[Image.Image],
    base_unrelated: Sequence[Image.Image],
    base_training: Sequence[Image.Image] = (),
    masks: Sequence[Image.Image] = (),
    num_seeds: int,
    unrelated_seeds: int,
    base_validation: Tensor,
    subject: SubjectPictures | None = None,
) -> Reference:
    """Look at everything once, with each of the `eyes` that there is.

    `train` are the pictures that are trained on, with one of `masks` for each or none, by which copies of a style's are
    looked for, `held_out` those that are not, `captions` what the former and then the latter show, without the trigger,
    "" where nothing is said, or none; `prompts` are P texts without it; `base_samples` P·S and `base_unrelated` U·R
    pictures, prompt by prompt with S = `num_seeds`, R = `unrelated_seeds`, and `base_training` K of training captions;
    `base_validation` (N, B). `subject` are real pictures cut in two, None for a style; then `base_samples` are of the
    class word.

    Raises:
        DataError: an eye for faces finds none in the pictures that are trained on.
    """
    # A subject that was learned well is a copy of what its mask shows: its surroundings tell whether a picture is one.
    kept = distinct(train_compositions := masked_compositions(train, () if subject else masks))

    def view(eye: FeatureExtractor | StyleExtractor, all_of_it: bool = True) -> ReferenceFeatures:
        return ReferenceFeatures(
            train=eye.images(train)[kept],
            held_out=eye.images(held_out),
            base_samples=by_prompt(eye.images(base_samples), num_seeds),
            base_unrelated=by_prompt(eye.images(base_unrelated if all_of_it else []), unrelated_seeds),
        )

    of_clip, of_style, texts = view(eyes.clip), view(eyes.style), eyes.clip.texts
    rows, said = _captions(captions, kept, len(train))
    return Reference(
        train=of_clip.train,
        held_out=of_clip.held_out,
        prompts=texts(prompts),
        base_samples=of_clip.base_samples,
        base_unrelated=of_clip.base_unrelated,
        base_validation=base_validation.double(),
        train_compositions=train_compositions[kept],
        held_out_compositions=compositions(held_out),
        base_compositions=by_prompt(compositions(base_samples), num_seeds),
        base_training_compositions=compositions(base_training),
        image=view(eyes.image) if eyes.image else None,
        style=of_style,
        faces=_check_faces(view(eyes.faces, all_of_it=False)) if eyes.faces else None,
        real_texts=texts(said),
        captioned=torch.tensor(rows, dtype=torch.int64),
        style_scale=_scale(eyes.style, torch.cat([of_style.train, of_style.held_out])),
        subject=_subject(eyes, subject, train, base_samples, kept, num_seeds) if subject else None,
    )


def _captions(captions: Sequence[str], kept: Tensor, num_train: int) -> tuple[list[int], list[str]]:
    """Which rows of the real pictures, the `kept` ones first, have captions that say something, and these."""
    places = [*kept.tolist(), *range(num_train, len(captions))] if captions else []
    rows = [row for row, place in enumerate(places) if captions[place]]
    return rows, [captions[places[row]] for row in rows]


def _subject(
    eyes: FeatureExtractors,
    subject: SubjectPictures,
    train: Sequence[Image.Image],
    base_samples: Sequence[Image.Image],
    kept: Tensor,
    num_seeds: int,
) -> SubjectFeatures:
    """`kept` are the rows of the training pictures that are no near-duplicates; the rest as in `build_reference`."""
    rows = kept.tolist()
    distinct_ones = replace(subject, surroundings=[subject.surroundings[row] for row in rows if subject.surroundings])
    own = [train[row] for row in rows]
    return subject_features(eyes.image or eyes.clip, eyes.patches, distinct_ones, own, base_samples, num_seeds)


def _check_faces(seen: ReferenceFeatures) -> ReferenceFeatures:
    if len(seen.train) and not bool(has_face(seen.train).any()):
        raise DataError(
            f"eval.identity_features finds no face in any of the {len(seen.train)} pictures that are trained on; "
            "choose pictures that show the face large enough, or leave it empty"
        )
    return seen


def _scale(eye: StyleExtractor, real: Tensor) -> Tensor:
    return scale_of(real, eye.parts(real.shape[1]))


def by_prompt(features: Tensor, num_seeds: int) -> Tensor:
    """Shape features of pictures in prompt-major order, (P·S, D), as (P, S, D)."""
    if len(features) % num_seeds:
        raise ValueError(f"pictures must be prompts · {num_seeds} seeds, got {len(features)}")
    return torch.reshape(features, (len(features) // num_seeds, num_seeds, features.shape[-1]))
