"""What the judge saw of a checkpoint: what a metric is taken from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eval.evaluation import Evaluation, Validation
from eval.spec import EvalSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Pictures as one eye sees them: unit rows of width D, float32, on the CPU. What there is none of is empty.

    The eye for style has rows of any length, scaled so that real pictures lie 1 apart.
    """

    samples: Tensor
    """(P, S, D) what the checkpoint draws for the prompts and seeds."""
    unrelated: Tensor
    """(U, R, D) the same for the unrelated prompts and the first R seeds."""
    base_samples: Tensor
    """(P, S, D) what the base draws, of the same noise."""
    base_unrelated: Tensor
    """(U, R, D) the same for the unrelated prompts."""
    held_out: Tensor
    """(m, D) real pictures that no trial trains on."""
    train: Tensor
    """(n, D) real pictures that trials train on, near-duplicates taken out."""


_NO_ROWS, _NONE = torch.zeros(0, 1), torch.zeros(0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectView:
    """What is seen of a subject or a face alone; all empty for a style."""

    alike: Tensor = _NONE
    """(P, S) how like the subject the checkpoint's pictures are, mean cosines (`eval.parts.alike`)."""
    base_alike: Tensor = _NONE
    """(P, S) the same of the base's, for the class word."""
    class_alike: Tensor = _NONE
    """(K, R) the same of the checkpoint's for the first K prompts with the class word for the trigger."""
    ceiling: float = math.nan
    """How like it its other real pictures are; NaN where there is none."""
    surroundings: Tensor = _NO_ROWS
    """(n, D) the training pictures without the subject, by the eye that compares pictures; (0, D) without masks."""
    faces_of_class: Tensor | None = None
    """(K, R, D) what is drawn with the class word, as an eye for faces sees it; None without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a metric is taken from, to be read and not to be changed.

    P prompts, S seeds, U unrelated prompts, N held-out pictures, B ranges of timesteps; the widths D differ from eye to
    eye. A screening has fewer prompts, and one seed (`eval.screening_prompts`).
    """

    step: int
    """Training steps done."""
    subject: SubjectView = SubjectView()
    """What is seen of a subject or a face alone."""
    faces: View | None = None
    """As an eye for faces sees them (`eval.identity_features`), zeros where a picture shows none; None without one."""
    clip: View
    """As the CLIP sees them (`eval.clip`)."""
    images: View
    """As the eye that compares pictures sees them (`eval.image_features`); the same as `clip` where there is none."""
    style: View
    """As the eye for style sees them (`eval.style_features`, or `eval.textures`)."""
    compositions: View
    """As thumbnails of 8×8 pixels (`eval.thumbnails.coarse`); unrelated prompts' are not kept, (0, R, D)."""
    prompts: Tensor
    """(P, D) the prompts without the trigger, as the CLIP reads them; unit rows."""
    real_texts: Tensor
    """(r, D) captions of real pictures without the trigger, of those that say something."""
    captioned: Tensor
    """(r,) which rows of `clip.train`, then `clip.held_out`, these pictures are."""
    copied: Tensor
    """(P, S) bool: which of the checkpoint's pictures copy a training picture."""
    base_copied: Tensor
    """(P, S) bool: which of the base's."""
    training_copied: Tensor
    """(K,) bool: which of the pictures that the checkpoint draws for training captions; (0,) for none."""
    base_training_copied: Tensor
    """(K,) bool: which of the base's."""
    how_copied: Tensor
    """(P·S + K,) how the checkpoint's pictures copy, of prompts and of training captions: numbers of
    `eval.metrics.copying.KINDS`, 0 for those that do not."""
    validation_losses: Tensor
    """(N, B) float64: loss on each held-out picture in each range of timesteps; (0, B) for none."""
    base_validation_losses: Tensor
    """(N, B) float64: the base's, of the same noise."""
    history: Sequence[Evaluation]
    """The trial's earlier evaluations, in order of steps; none for a checkpoint that is judged by itself."""
    validations: Sequence[Validation]
    """The validation losses between them."""
    spec: EvalSpec
    """What it was drawn for; `spec.prompts` are the P texts."""

    @property
    def all_copied(self) -> Tensor:
        """(P·S + K,) bool: which pictures copy, of prompts and of training captions."""
        return torch.cat([self.copied.flatten(), self.training_copied])

    @property
    def base_all_copied(self) -> Tensor:
        """(P·S + K,) bool: which of the base's."""
        return torch.cat([self.base_copied.flatten(), self.base_training_copied])
