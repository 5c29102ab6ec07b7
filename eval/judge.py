"""The judgement of one checkpoint, from features and losses alone: no model, no disk, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from eval.evaluation import WORST, Evaluation, Validation, value_of
from eval.feature_sets import ReferenceFeatures, SampleFeatures, SubjectFeatures, SubjectSamples
from eval.metrics import copying, course, losses
from eval.metrics.measuring import OnFailure, metric_values
from eval.metrics.seen import Seen, SubjectView, View
from eval.overfit import (
    Fall,
    OverfitSigns,
    explain,
    fall_from,
    is_overfit,
    is_past_best,
    is_untold,
    missing_criteria,
    overfit_index,
    severities,
)
from eval.rating import rate
from eval.reference import Reference
from eval.spec import EvalSpec, SampleBudget
from eval.thumbnails import coarse


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What was seen of a checkpoint."""

    step: int
    """Training steps done."""
    samples: Tensor
    """(P, S, D) features of what it draws for the prompts and seeds."""
    unrelated: Tensor
    """(U, R, D) the same for the unrelated prompts and the first R seeds; (0, R, D) for none."""
    validation_losses: Tensor
    """(N, B) canonical validation losses; (0, B) for none."""
    compositions: Tensor
    """(P, S, C) `eval.thumbnails.compositions` of the samples."""
    training_compositions: Tensor
    """(K, C) the same of what it draws for the training captions, of one seed; (0, C) for none."""
    style: SampleFeatures
    """The pictures as the eye of `Reference.style` sees them; unscaled."""
    subject: SubjectSamples | None = None
    """What is seen of a subject or a face alone; None of a style."""
    image: SampleFeatures | None = None
    """As the eye of `Reference.image` sees them; None where that is None."""
    faces: SampleFeatures | None = None
    """As that of `Reference.faces` does."""

    @property
    def of_clip(self) -> SampleFeatures:
        """The pictures as the CLIP sees them."""
        return SampleFeatures(samples=self.samples, unrelated=self.unrelated)

    def within(self, budget: SampleBudget) -> Evidence:
        """The same as if it had been drawn for these prompts and seeds alone."""
        return replace(
            self,
            samples=self.samples[: budget.prompts, : budget.seeds],
            unrelated=self.unrelated[: budget.unrelated, : budget.seeds],
            compositions=self.compositions[: budget.prompts, : budget.seeds],
            training_compositions=self.training_compositions[: budget.training],
            subject=self.subject and self.subject.within(budget),
            image=self.image and self.image.within(budget),
            style=self.style.within(budget),
            faces=self.faces and self.faces.within(budget),
        )


def judge(
    reference: Reference,
    evidence: Evidence,
    history: Sequence[Evaluation],
    spec: EvalSpec,
    validations: Sequence[Validation] = (),
    failed: OnFailure = lambda name, line: None,
) -> Evaluation:
    """Judge what was seen of a checkpoint (`evidence`) against `reference`, by `spec`.

    `history` are the trial's earlier evaluations, `validations` the losses between them. `failed` is called with
    metrics of packages could not be taken.

    Raises:
        ValueError: the evidence is not of the prompts, seeds or images of the reference.
    """
    _check_shapes(reference, evidence)
    seen = _gather(reference, evidence, history, spec, validations)
    metrics = metric_values(seen, spec.metrics, failed)
    rating = rate(seen, metrics)
    measurable = _is_measurable(evidence)
    points, by_prompt = rating.score if measurable else WORST, rating.by_prompt
    fall = fall_of(points, by_prompt, history)
    signs = _signs(seen, metrics, fall)
    severe = severities(signs, spec.thresholds)
    index = math.nan if is_untold(signs) else overfit_index(severe)
    indices = [*(past.overfit_index for past in history), index]
    return Evaluation(
        step=evidence.step,
        score=points,
        score_se=rating.standard_error if measurable else math.nan,
        overfit_index=index,
        overfit=is_overfit(indices, spec.thresholds, spec.warmup_evaluations),
        words=explain(signs, severe),
        severities=severe | dict.fromkeys(missing_criteria(signs), math.nan),
        metrics=metrics | ({"fall": fall.share, "fall_t": fall.t} if fall else {}) | course.in_detail(seen),
        validation_losses=tuple(losses.image_means(evidence.validation_losses).tolist()),
        prompt_aims=rating.aims,
        prompt_scores=by_prompt,
        past_best=is_past_best(fall, spec.thresholds),
    )


def _gather(
    reference: Reference,
    evidence: Evidence,
    history: Sequence[Evaluation],
    spec: EvalSpec,
    validations: Sequence[Validation],
) -> Seen:
    """Reference and evidence as metrics take them."""
    own, of_training, base, base_of_training = _copies(reference, evidence)
    clip = _view(reference.of_clip, evidence.of_clip)
    images = _view(reference.image, evidence.image) if reference.image and evidence.image else clip
    return Seen(
        step=evidence.step,
        subject=_subject_view(reference.subject, evidence.subject),
        faces=_view(reference.faces, evidence.faces) if reference.faces and evidence.faces else None,
        clip=clip,
        images=images,
        style=_view(reference.style, evidence.style, reference.style_scale),
        compositions=View(
            samples=coarse(evidence.compositions),
            base_samples=coarse(reference.base_compositions),
            unrelated=coarse(evidence.compositions[:0]),
            base_unrelated=coarse(reference.base_compositions[:0]),
            train=coarse(reference.train_compositions),
            held_out=coarse(reference.held_out_compositions),
        ),
        prompts=reference.prompts,
        real_texts=reference.real_texts,
        captioned=reference.captioned,
        copied=own > 0,
        base_copied=base > 0,
        training_copied=of_training > 0,
        base_training_copied=base_of_training > 0,
        how_copied=torch.cat([own.flatten(), of_training]),
        validation_losses=evidence.validation_losses,
        base_validation_losses=reference.base_validation,
        history=history,
        validations=validations,
        spec=spec,
    )


def _copies(reference: Reference, evidence: Evidence) -> list[Tensor]:
    """How pictures copy, as in `find_copies`: the checkpoint's (P, S) and (K,), and the base's."""
    drawn = [
        evidence.compositions,
        evidence.training_compositions,
        reference.base_compositions,
        reference.base_training_compositions,
    ]
    train, held_out = reference.train_compositions, reference.held_out_compositions
    found = copying.find_copies(torch.cat([each.flatten(0, -2) for each in drawn]), train, held_out)
    parts = torch.split(found, [each.shape[:-1].numel() for each in drawn])
    return [part.reshape(each.shape[:-1]) for part, each in zip(parts, drawn, strict=True)]


def _view(reference: ReferenceFeatures, drawn: SampleFeatures, scale: Tensor | None = None) -> View:
    def to_scale(rows: Tensor) -> Tensor:
        return rows if scale is None else (rows / scale).float()

    return View(
        samples=to_scale(drawn.samples),
        unrelated=to_scale(drawn.unrelated),
        base_samples=to_scale(reference.base_samples),
        base_unrelated=to_scale(reference.base_unrelated),
        held_out=to_scale(reference.held_out),
        train=to_scale(reference.train),
    )


def _subject_view(reference: SubjectFeatures | None, drawn: SubjectSamples | None) -> SubjectView:
    if reference is None or drawn is None:
        return SubjectView()
    return SubjectView(
        alike=drawn.alike,
        base_alike=reference.base_alike,
        class_alike=drawn.of_class,
        ceiling=float(reference.ceiling),
        surroundings=reference.surroundings,
        faces_of_class=drawn.faces_of_class,
    )


def _signs(seen: Seen, metrics: Mapping[str, float], fall: Fall | None) -> OverfitSigns:
    """What the overfit index is made of."""
    return OverfitSigns(
        val_rise=metrics["val_rise"],
        val_t=metrics["val_t"],
        rose_in_a_row=metrics["val_rose_in_a_row"] == 1,
        copy_rate=metrics["copy_rate"],
        copies=int(seen.all_copied.sum()),
        num_samples=seen.all_copied.numel(),
        how_copied=copying.in_words(seen.how_copied),
        diversity=metrics["diversity"],
        prompt_spread=metrics["prompt_spread"],
        prompt_drop=metrics["prompt_drop"],
        drift=metrics["drift"],
        class_leak=metrics.get("class_leak"),
        fall=fall,
    )


def _is_measurable(evidence: Evidence) -> bool:
    return all(bool(seen.samples.isfinite().all()) for seen in (evidence.of_clip, evidence.style))


def fall_of(points: float, by_prompt: Sequence[float], history: Sequence[Evaluation]) -> Fall | None:
    """How far a score lies below the best of its trial's earlier evaluations; None without one.

    `by_prompt` are its P pseudo-values; the fall is paired over the prompts, since some are harder than others.
    """
    past = [each for each in history if math.isfinite(each.score)]
    if not past or not math.isfinite(points):
        return None
    best = max(past, key=value_of)
    own, theirs = (torch.tensor(tuple(values), dtype=torch.float64) for values in (by_prompt, best.prompt_scores))
    t = losses.paired_t(theirs, own) if len(theirs) == len(own) else math.nan
    return fall_from(points, best.score, t, best.step)


def validation_ratio(reference: Reference, validation_losses: Tensor) -> float:
    """Validation losses (N, B) as one ratio to the base's."""
    return losses.ratio_to_base(validation_losses, reference.base_validation)


def _check_shapes(reference: Reference, evidence: Evidence) -> None:
    views = (
        (reference.of_clip, evidence.of_clip),
        (reference.image, evidence.image),
        (reference.style, evidence.style),
        (reference.faces, evidence.faces),
    )
    whole = (*views, (reference.subject, evidence.subject))
    if any((view is None) != (seen is None) for view, seen in whole):
        raise ValueError(
            "evidence must be of the parts of the reference: image, faces and subject in both, or in neither"
        )
    pairs = [
        ("validation_losses", evidence.validation_losses, reference.base_validation),
        ("compositions", evidence.compositions, reference.base_compositions),
        ("training_compositions", evidence.training_compositions, reference.base_training_compositions),
    ]
    for view, seen in views:
        if view and seen:
            pairs += [("samples", seen.samples, view.base_samples), ("unrelated", seen.unrelated, view.base_unrelated)]
    for name, got, wanted in pairs:
        if got.shape != wanted.shape:
            raise ValueError(f"{name} must have the reference's shape {tuple(wanted.shape)}, got {tuple(got.shape)}")
