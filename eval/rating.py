"""The score of what was seen by the kind of pictures: `eval.score` for a style, `eval.subject_score` for others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eval import score as of_style
from eval import subject_score as of_subject
from eval.metrics import pictures
from eval.metrics.identity import identities_of
from eval.metrics.likeness import likeness_shares_of
from eval.metrics.seen import Seen


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """A checkpoint's."""

    score: float
    """Points; 0 is the base."""
    standard_error: float
    """Its standard error, points; NaN with one prompt."""
    by_prompt: tuple[float, ...]
    """(P,) what each prompt adds to the score: its pseudo-values."""
    aims: tuple[float, ...]
    """(P,) how far each prompt's pictures have come to what is learned: style fidelity, or likeness."""


def rate(seen: Seen, metrics: Mapping[str, float]) -> Rating:
    """Score what was `seen`, of which these `metrics` were taken."""
    match, base_match = pictures.prompt_matches_of(seen)
    copies = {
        "copied": seen.copied,
        "base_copied": seen.base_copied,
        "training_copied": seen.training_copied,
        "base_training_copied": seen.base_training_copied,
    }
    val_ratio = metrics["val_ratio"] if len(seen.validation_losses) else None
    draws = seen.spec.bootstrap_draws
    if seen.spec.kind == "style":
        parts = of_style.Parts(
            style=pictures.style_way_of(seen),
            match=match,
            base_match=base_match,
            real_match=pictures.real_match_of(seen),
            val_ratio=val_ratio,
            taste=seen.spec.taste,
            **copies,
        )
        return Rating(
            score=of_style.score(parts),
            standard_error=of_style.standard_error(parts, draws),
            by_prompt=tuple(of_style.pseudo_values(parts).tolist()),
            aims=tuple(of_style.styles_by_prompt(parts).tolist()),
        )
    # Where the prompt asks for the person and no face is seen, nothing of the way to the person was gone.
    likeness = identities_of(seen).nan_to_num(0.0) if seen.faces is not None else likeness_shares_of(seen)
    subject = of_subject.SubjectParts(
        likeness=likeness,
        match=match,
        base_match=base_match,
        class_leak=metrics["class_leak"],
        background_leak=metrics["background_leak"],
        val_ratio=val_ratio,
        weights=seen.spec.subject_score,
        taste=seen.spec.taste,
        **copies,
    )
    return Rating(
        score=of_subject.score(subject),
        standard_error=of_subject.standard_error(subject, draws),
        by_prompt=tuple(of_subject.pseudo_values(subject).tolist()),
        aims=tuple(likeness.mean(1).tolist()),
    )
