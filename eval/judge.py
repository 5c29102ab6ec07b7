"""The judgement of one checkpoint, from features and losses alone: no model, no disk, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from eval.evaluation import WORST, Evaluation, Validation, value_of
from eval.feature_sets import ReferenceFeatures, SampleFeatures
from eval.metrics import copying, distribution, losses, similarity, spread
from eval.overfit import (
    Fall,
    OverfitSigns,
    explain,
    fall_from,
    is_overfit,
    is_past_best,
    is_untold,
    overfit_index,
    severities,
    unmeasured,
)
from eval.reference import Reference
from eval.score import Parts, pseudo_values, score, standard_error
from eval.spec import EvalSpec, SampleBudget


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
    """(P, S, C) `eval.thumbnails` of the samples."""
    image: SampleFeatures | None = None
    """The pictures as the eye of `Reference.image` sees them; None where that is None."""
    style: SampleFeatures | None = None
    """As the eye of `Reference.style` sees them; None where that is None."""

    @property
    def of_clip(self) -> SampleFeatures:
        """The pictures as the CLIP sees them."""
        return SampleFeatures(samples=self.samples, unrelated=self.unrelated)

    @property
    def of_images(self) -> SampleFeatures:
        """The pictures as they are compared with others."""
        return self.image or self.of_clip

    @property
    def of_style(self) -> SampleFeatures:
        """The pictures as style fidelity is measured on them."""
        return self.style or self.of_images

    def within(self, asked: SampleBudget) -> Evidence:
        """The same as if it had been drawn for these prompts and seeds alone."""
        return replace(
            self,
            samples=self.samples[: asked.prompts, : asked.seeds],
            unrelated=self.unrelated[: asked.unrelated, : asked.seeds],
            compositions=self.compositions[: asked.prompts, : asked.seeds],
            image=self.image and self.image.within(asked),
            style=self.style and self.style.within(asked),
        )


def judge(
    reference: Reference,
    evidence: Evidence,
    history: Sequence[Evaluation],
    spec: EvalSpec,
    validations: Sequence[Validation] = (),
) -> Evaluation:
    """Judge a checkpoint against `reference`, given the trial's earlier evaluations and the losses between them.

    Raises:
        ValueError: the evidence is not of the prompts, seeds or images of the reference.
    """
    _check_shapes(reference, evidence)
    axis = _axis(reference.of_clip)
    samples, base_samples = _contents(reference.of_clip, evidence.of_clip, axis)
    prompts = similarity.without_axis(reference.prompts, axis)
    copies, base_copies = _copied(reference, evidence.compositions), _copied(reference, reference.base_compositions)
    course = _course(reference, evidence, history, validations, spec.thresholds.rises)
    parts = Parts(
        style=_style(reference.of_style, evidence.of_style),
        match=similarity.prompt_matches(samples, prompts),
        base_match=similarity.prompt_matches(base_samples, prompts),
        copied=copies,
        base_copied=base_copies,
        val_ratio=course["val_ratio"] if len(evidence.validation_losses) else None,
    )
    measurable = _is_measurable(evidence)
    points, by_prompt = score(parts) if measurable else WORST, tuple(pseudo_values(parts).tolist())
    fall = fall_of(points, by_prompt, history)
    signs = OverfitSigns(
        val_rise=course["val_rise"],
        val_t=course["val_t"],
        rose_in_a_row=course["val_rose_in_a_row"] == 1,
        copy_rate=copying.copy_rate(copies, base_copies) if _shows_copies(reference) else math.nan,
        copies=int(copies.sum()),
        num_samples=copies.numel(),
        diversity=_diversity(reference.of_images, evidence.of_images),
        prompt_drop=similarity.prompt_drop(samples, base_samples, prompts),
        drift=spread.drift(evidence.of_images.unrelated, reference.of_images.base_unrelated),
        fall=fall,
    )
    severe = severities(signs, spec.thresholds)
    index = math.nan if is_untold(signs) else overfit_index(severe)
    indices = [*(past.overfit_index for past in history), index]
    return Evaluation(
        step=evidence.step,
        score=points,
        score_se=standard_error(parts, spec.bootstrap_draws) if measurable else math.nan,
        overfit_index=index,
        overfit=is_overfit(indices, spec.thresholds, spec.warmup_evaluations),
        words=explain(signs, severe),
        severities=severe | dict.fromkeys(unmeasured(signs), math.nan),
        metrics=_metrics(reference, evidence, signs, parts) | course,
        validation_losses=tuple(losses.image_means(evidence.validation_losses).tolist()),
        prompt_styles=tuple(parts.style.mean(1).tolist()),
        prompt_scores=by_prompt,
        past_best=is_past_best(fall, spec.thresholds),
    )


def _is_measurable(evidence: Evidence) -> bool:
    return all(bool(seen.samples.isfinite().all()) for seen in (evidence.of_clip, evidence.of_style))


def _shows_copies(reference: Reference) -> bool:
    """Whether there are training pictures enough to tell a copy of one by."""
    return len(reference.train_compositions) >= copying.MIN_TRAIN


def _copied(reference: Reference, compositions: Tensor) -> Tensor:
    """Which pictures (P, S, C) copy a training picture, (P, S)."""
    return copying.copied(compositions, reference.train_compositions, reference.held_out_compositions)


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


def _course(
    reference: Reference,
    evidence: Evidence,
    history: Sequence[Evaluation],
    validations: Sequence[Validation],
    rises: int,
) -> dict[str, float]:
    """The validation loss and its way here; the base itself is where the way began.

    Its lowest value may lie between two evaluations. Whether it rises is asked of the evaluations alone, which lie far
    enough apart.
    """
    now = losses.image_means(evidence.validation_losses)  # (N,)
    if not len(now):
        return {"val_ratio": math.nan, "val_rise": math.nan, "val_t": math.nan, "val_rose_in_a_row": math.nan}
    base = losses.image_means(reference.base_validation)
    past = [base, *(torch.tensor(tuple(past.validation_losses), dtype=torch.float64) for past in history)]
    past = [values for values in past if bool(values.isfinite().all())]
    series = [float(values.mean()) for values in [*past, now]]
    between = [torch.tensor(tuple(each.losses), dtype=torch.float64) for each in validations]
    between = [values for values in between if bool(values.isfinite().all())]
    best = min([*past, *between], key=lambda values: float(values.mean()))
    finite = math.isfinite(series[-1])
    ratios = losses.bin_ratios(evidence.validation_losses, reference.base_validation)
    return {
        "val_loss": series[-1],
        "val_ratio": validation_ratio(reference, evidence.validation_losses),
        "val_rise": losses.generalization_loss([float(best.mean()), series[-1]]) / 100 if finite else math.inf,
        "val_t": losses.paired_log_t(now, best) if finite else math.inf,
        "val_rose_in_a_row": float(losses.rose_in_a_row(series, rises)),
        **{f"val_ratio_bin{number}": float(ratio) for number, ratio in enumerate(ratios)},
    }


def _axis(view: ReferenceFeatures) -> Tensor | None:
    """The learned style's direction (D,)."""
    return similarity.style_axis(view.base_samples, torch.cat([view.train, view.held_out]))


def _contents(view: ReferenceFeatures, seen: SampleFeatures, axis: Tensor | None) -> tuple[Tensor, Tensor]:
    """Samples and the base's samples, both (P, S, D), the learned style taken out."""
    return similarity.without_axis(seen.samples, axis), similarity.without_axis(view.base_samples, axis)


def _diversity(view: ReferenceFeatures, seen: SampleFeatures) -> float:
    return spread.diversity(*_contents(view, seen, _axis(view)))


def _style(view: ReferenceFeatures, seen: SampleFeatures) -> Tensor:
    return similarity.style_shares(seen.samples, view.base_samples, view.held_out, view.train)


def _metrics(reference: Reference, evidence: Evidence, signs: OverfitSigns, parts: Parts) -> dict[str, float]:
    generated = evidence.samples.flatten(0, 1)  # (P·S, D)
    texts = reference.prompts.repeat_interleave(evidence.samples.shape[1], dim=0)  # (P·S, D)
    pictures, held_out = evidence.of_images.samples.flatten(0, 1), reference.of_images.held_out
    coordinates = math.sqrt(pictures.shape[1])  # KID's kernel expects coordinates of unit size, not unit vectors
    return {
        "style": float(parts.style.mean()),
        "prompt_match": similarity.clip_score(generated, texts),
        "prompt_kept": float(parts.match.mean() / parts.base_match.mean().clamp(min=similarity.MIN_MARGIN)),
        "prompt_drop": signs.prompt_drop,
        "copy_rate": signs.copy_rate,
        "copies": math.nan if math.isnan(signs.copy_rate) else float(signs.copies),
        "diversity": signs.diversity,
        "drift": signs.drift,
        "leak": _leak(reference.of_style, evidence.of_style),
        "image_similarity": similarity.image_similarity(pictures, held_out),
        "fid": distribution.fid(held_out, pictures),
        "kid": distribution.kid(held_out * coordinates, pictures * coordinates),
        "cmmd": distribution.cmmd(reference.held_out, generated),  # CLIP's by definition
        **({"fall": signs.fall.share, "fall_t": signs.fall.t} if signs.fall else {}),
    }


def _leak(view: ReferenceFeatures, seen: SampleFeatures) -> float:
    """Style fidelity on prompts that did not ask for the style: shown, decides nothing (a style may be wanted so)."""
    if not len(view.base_unrelated):
        return math.nan
    shares = similarity.style_shares(seen.unrelated, view.base_unrelated, view.held_out, view.train)
    return float(shares.mean())


def _check_shapes(reference: Reference, evidence: Evidence) -> None:
    views = (
        (reference.of_clip, evidence.of_clip),
        (reference.image, evidence.image),
        (reference.style, evidence.style),
    )
    if any((view is None) != (seen is None) for view, seen in views):
        raise ValueError("evidence must be of the eyes of the reference: image and style in both, or in neither")
    pairs = [
        ("validation_losses", evidence.validation_losses, reference.base_validation),
        ("compositions", evidence.compositions, reference.base_compositions),
    ]
    for view, seen in views:
        if view and seen:
            pairs += [("samples", seen.samples, view.base_samples), ("unrelated", seen.unrelated, view.base_unrelated)]
    for name, got, wanted in pairs:
        if got.shape != wanted.shape:
            raise ValueError(f"{name} must have the reference's shape {tuple(wanted.shape)}, got {tuple(got.shape)}")
