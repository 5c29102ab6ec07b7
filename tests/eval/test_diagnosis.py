"""Each course of a trial gets the word that people would have for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from eval.diagnosis import DiagnosisName, diagnose
from eval.evaluation import WORST, Evaluation, value_of


def seen(
    step: int, score: float, style: float = 0.5, ratio: float = 0.8, index: float = 0.0, *, past_best: bool = False
) -> Evaluation:
    return Evaluation(
        step=step,
        score=score,
        score_se=2.0,
        overfit_index=index,
        overfit=index >= 0.75,
        words="copies in 9 of 32 pictures" if index else "no sign of overfit",
        severities={},
        metrics={"style": style, "val_ratio": ratio},
        validation_losses=(ratio,),
        past_best=past_best,
    )


@pytest.mark.parametrize(
    ("course", "kind", "because"),
    [
        ([seen(40, 20.0), seen(80, 30.0), seen(120, 30.2)], "good", "it learned, and nothing turned for the worse"),
        ([seen(40, 20.0), seen(80, 26.0)], "underfit", "it gained 6.0 points in its last 40 steps"),
        ([seen(40, 30.0), seen(80, 24.5)], "good", "lost 5.5 points after step 40 without a sign of overfit"),
        ([seen(40, 6.0, 0.08)], "underfit", "it went 8 % of the way to the style"),
        ([seen(40, 0.2, 0.01, 0.99), seen(80, 0.6, 0.02, 0.98)], "too weak", "it went 2 % of the way to the style"),
        ([seen(40, 6.0, 0.06), seen(80, 6.6, 0.07)], "too weak", "it came to 6.6 of the 100 points that real pictures"),
        ([seen(40, 9.0), seen(80, 2.6)], "too weak", "it came to 9.0 of the 100 points that real pictures have"),
        ([seen(40, 50.0), seen(80, 40.0, index=0.9)], "overfit", "at step 80: copies in 9 of 32 pictures"),
        ([seen(40, 50.0), seen(80, 30.0, past_best=True)], "overfit", "at step 80: its score fell far below its best"),
        ([seen(40, -9.0, 0.2, 1.2), seen(80, -20.0, 0.2, 1.9)], "diverged", "never came below the base's"),
        ([seen(40, 30.0), seen(80, -90.0, math.nan, math.inf)], "diverged", "no longer a number"),
    ],
)
def test_a_course_has_its_word(course: Sequence[Evaluation], kind: DiagnosisName, because: str) -> None:
    diagnosis = diagnose(course)
    assert diagnosis is not None
    assert diagnosis.kind == kind and because in diagnosis.because


OFTEN = "evaluate more often (a smaller eval.every): "


@pytest.mark.parametrize(
    ("course", "advice"),
    [
        ([seen(40, 50.0), seen(80, 40.0, index=0.9)], f"{OFTEN}its best is its first evaluation, so a better"),
        ([seen(40, 50.0), seen(80, 30.0, past_best=True)], f"{OFTEN}its best is its first evaluation, so a better"),
        ([seen(40, 50.0, index=0.9)], f"{OFTEN}it was overfit when judged, so"),
        (
            [seen(40, 50.0, index=0.8), seen(80, 40.0, index=0.9)],
            f"{OFTEN}it was overfit at its first evaluation",
        ),
        ([seen(40, 30.0), seen(80, 60.0), seen(120, 40.0, index=0.9)], "its best checkpoint is kept, fewer steps lead"),
        ([seen(40, 30.0)], f"{OFTEN}it was evaluated once, so a better checkpoint may lie before; narrow the space"),
        ([seen(40, 30.0), seen(80, 24.0)], f"{OFTEN}its best is its first evaluation, so a better"),
        ([seen(40, 20.0), seen(80, 30.0), seen(120, 30.5)], "narrow the space around it"),
        ([seen(40, 20.0), seen(80, 26.0)], "give it more steps, a higher learning rate or a higher rank"),
        ([seen(40, 6.0, 0.08)], "give it more steps, a higher learning rate or a higher rank"),
        ([seen(40, 0.2, 0.01, 0.99)], "raise the learning rate, alpha or the steps, or adapt more layers"),
        ([seen(40, -9.0, 0.2, 1.2)], "lower the learning rate, warm it up, or clip gradients harder"),
    ],
)
def test_the_advice_is_true_of_the_course(course: Sequence[Evaluation], advice: str) -> None:
    diagnosis = diagnose(course)
    assert diagnosis is not None and diagnosis.advice.startswith(advice)
    assert "earlier checkpoint" not in diagnosis.advice  # the best one is kept already


def test_one_evaluation_is_enough_and_none_says_nothing() -> None:
    assert diagnose([]) is None
    first = diagnose([seen(40, 30.0)])
    assert first is not None and first.kind == "good"


def test_without_real_pictures_only_the_loss_speaks() -> None:
    course = [seen(40, math.nan, math.nan, 0.9), seen(80, math.nan, math.nan, 0.8)]
    diagnosis = diagnose(course)
    assert diagnosis is not None and diagnosis.kind == "good"


def test_what_cannot_be_measured_ranks_below_every_score_and_breaks_no_comparison() -> None:
    unmeasured = [value_of(seen(40, score)) for score in (math.nan, math.inf, -math.inf)]
    assert unmeasured == [WORST] * 3
    assert value_of(seen(40, -99.0)) > WORST
    diagnosis = diagnose([seen(40, math.nan), seen(80, 30.0)])
    assert diagnosis is not None and diagnosis.because == "it gained 130.0 points in its last 40 steps"
