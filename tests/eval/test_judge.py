"""The judge on feature sets whose truth is known: idle, good, copying, collapsed, drifting, diverged."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import ttest_1samp
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from eval.evaluation import Evaluation, Validation
from eval.feature_sets import ReferenceFeatures, SampleFeatures
from eval.judge import Evidence, judge
from eval.metrics import distribution
from eval.reference import Reference, by_prompt
from eval.spec import EvalSpec, SampleBudget
from eval.textures import scale_of
from eval.thumbnails import SIDE
from foundation.errors import DataError
from foundation.files.checked import save_checked

PROMPTS, SEEDS, WIDTH, UNRELATED = 8, 4, 48, 3
SPEC = EvalSpec(prompts=tuple(f"scene {i}" for i in range(PROMPTS)))
STYLE = torch.eye(WIDTH)[-1]


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed)) / math.sqrt(WIDTH)


def texts(count: int, first: int = 0) -> Tensor:
    """Orthogonal contents, one for each prompt."""
    return torch.eye(WIDTH)[first : first + count]


def drawn(contents: Tensor, style: float, seed: int, content: float = 1.0, spread: float = 0.5) -> Tensor:
    """Pictures (P, S, D) of `contents` (P, D): so much of the content, so much of the style, and chance."""
    chance = spread * noise(len(contents), SEEDS, seed=seed)
    return normalize(content * contents[:, None] + style * STYLE + chance, dim=-1)


def real(count: int, seed: int) -> Tensor:
    """Pictures of scenes of their own, in the style."""
    return normalize(noise(count, seed=seed) + 1.0 * STYLE, dim=-1)


def as_thumbnails(features: Tensor) -> Tensor:
    """Thumbnails (…, WIDTH of `eval.thumbnails`) as far from one another as the features (…, D): each has a pattern."""
    patterns = interpolate(noise(SIDE**2 // 4 * 3, seed=99).T.reshape(WIDTH, 3, SIDE // 2, -1), scale_factor=2.0)
    return 0.5 + 0.5 * features @ patterns.flatten(1)


def with_masks(thumbnails: Tensor) -> Tensor:
    return torch.cat([thumbnails, torch.ones(*thumbnails.shape[:-1], SIDE**2)], dim=-1)


TRAIN, HELD_OUT, BASE = real(24, 1), real(8, 2), drawn(texts(PROMPTS), 0.0, 3)
VIEW = ReferenceFeatures(
    train=TRAIN, held_out=HELD_OUT, base_samples=BASE, base_unrelated=drawn(texts(UNRELATED, PROMPTS), 0.0, 4)
)
REFERENCE = Reference(
    style=VIEW,  # in these tests all eyes see the same
    style_scale=scale_of(torch.cat([TRAIN, HELD_OUT]), (TRAIN.shape[1],)),
    real_texts=TRAIN[:0],
    captioned=torch.zeros(0, dtype=torch.int64),
    train=TRAIN,
    held_out=HELD_OUT,
    train_compositions=with_masks(as_thumbnails(TRAIN)),
    held_out_compositions=as_thumbnails(HELD_OUT),
    base_compositions=as_thumbnails(BASE),
    base_training_compositions=as_thumbnails(drawn(texts(2), 0.0, 9)[:, 0]),
    prompts=texts(PROMPTS),
    base_samples=BASE,
    base_unrelated=VIEW.base_unrelated,
    base_validation=torch.linspace(0.5, 1.5, 8 * 4, dtype=torch.float64).reshape(8, 4),
)


def losses(ratio: float, wobble: float = 0.01) -> Tensor:
    chance = torch.rand(8, 4, generator=torch.Generator().manual_seed(int(ratio * 1000)), dtype=torch.float64)
    return REFERENCE.base_validation * (ratio + wobble * ratio * (chance - 0.5))


def seen(step: int = 40, ratio: float = 0.3, **changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "step": step,
        "samples": drawn(texts(PROMPTS), 0.9, 3),
        "unrelated": drawn(texts(UNRELATED, PROMPTS), 0.2, 4),
        "validation_losses": losses(ratio),
    }
    values |= changes
    return Evidence(
        **{
            "compositions": as_thumbnails(values["samples"]),
            "training_compositions": REFERENCE.base_training_compositions,
            "style": SampleFeatures(samples=values["samples"], unrelated=values["unrelated"]),
            **values,
        }
    )


IDLE = seen(
    samples=REFERENCE.base_samples,
    unrelated=REFERENCE.base_unrelated,
    validation_losses=REFERENCE.base_validation,
)
GOOD = seen()
COPYING = seen(
    samples=normalize(REFERENCE.train.repeat(2, 1)[:32] + 0.15 * noise(32, seed=7), dim=-1).reshape(8, 4, -1)
)
FORGETFUL = seen(samples=drawn(texts(PROMPTS), 0.9, 3, content=0.5))
COLLAPSED = seen(samples=drawn(texts(PROMPTS), 0.9, 3, spread=0.05))
DRIFTED = seen(unrelated=drawn(texts(UNRELATED), 0.9, 4))


def test_an_idle_adapter_scores_zero_and_is_clean() -> None:
    evaluation = judge(REFERENCE, IDLE, [], SPEC)
    assert evaluation.score == pytest.approx(0.0, abs=1e-6)
    assert evaluation.overfit_index == 0.0
    assert evaluation.words == "no sign of overfit"
    assert evaluation.metrics["diversity"] >= 1.0 <= evaluation.metrics["prompt_spread"]
    assert evaluation.metrics["drift"] == pytest.approx(0.0, abs=1e-6)
    assert evaluation.metrics["val_ratio"] == pytest.approx(1.0)


def test_pictures_of_training_captions_are_looked_at_for_copies_too() -> None:
    by_heart = seen(training_compositions=as_thumbnails(TRAIN[:2]) + 0.01)
    assert judge(REFERENCE, GOOD, [], SPEC).metrics["copies"] == 0
    evaluation = judge(REFERENCE, by_heart, [], SPEC)
    looked_at = PROMPTS * SEEDS + 2
    assert evaluation.metrics["copies"] == 2 and evaluation.metrics["copy_rate"] == pytest.approx(2 / looked_at)
    assert f"copies in 2 of {looked_at} pictures (2 plain)" in evaluation.words
    lost = judge(REFERENCE, GOOD, [], SPEC).score - evaluation.score
    assert lost == pytest.approx(100 * _pictures_of(GOOD) * 2 / looked_at, rel=1e-6)


def _pictures_of(evidence: Evidence) -> float:
    """What the pictures add to the score, without copies, as a share of all that they can."""
    evaluation = judge(REFERENCE, evidence, [], SPEC)
    return (evaluation.score - 10 * (1 - evaluation.metrics["val_ratio"])) / 100


def test_a_good_adapter_scores_high_and_is_clean() -> None:
    evaluation = judge(REFERENCE, GOOD, [], SPEC)
    assert evaluation.score > 50
    assert 0 < evaluation.score_se < 10
    assert evaluation.overfit_index < 0.5
    assert evaluation.metrics["val_ratio"] == pytest.approx(0.3, rel=0.01)


def test_copying_scores_below_idle_plus_validation_and_is_named() -> None:
    evaluation = judge(REFERENCE, COPYING, [], SPEC)
    assert evaluation.severities["copy"] == 1.0
    assert evaluation.overfit_index == 1.0
    assert evaluation.words.startswith("copies in 32 of 34 pictures (32 plain)")
    assert evaluation.score < judge(REFERENCE, GOOD, [], SPEC).score - 40


def test_the_score_is_the_formula_over_the_metrics_that_are_shown() -> None:
    good = drawn(texts(PROMPTS), 0.9, 13, spread=1.0)  # so that its seeds are no copies of one another
    with_three_of_its_pictures = torch.cat([REFERENCE.train, good[2:5, 0]])
    known = with_masks(as_thumbnails(with_three_of_its_pictures))
    reference = replace(REFERENCE, train=with_three_of_its_pictures, train_compositions=known)
    evidence = seen(samples=torch.cat([good[:5], drawn(texts(3, 5), 0.3, 5)]))
    evaluation = judge(reference, evidence, [], SPEC)
    shown = evaluation.metrics
    assert shown["copy_rate"] == pytest.approx(3 / 34) and 0 < shown["style"] < 1 and 0 < shown["prompt_kept"] < 1
    pictures = shown["style"] * min(shown["prompt_kept"] / 0.8, 1) ** 2 * (1 - shown["copy_rate"])
    assert evaluation.score == pytest.approx(100 * pictures + 10 * (1 - shown["val_ratio"]))


def test_distances_are_against_held_out_pictures() -> None:
    shown = judge(REFERENCE, GOOD, [], SPEC).metrics
    generated = GOOD.samples.flatten(0, 1)
    assert shown["cmmd"] == distribution.cmmd(REFERENCE.held_out, generated)
    assert shown["fid"] == distribution.fid(REFERENCE.held_out, generated)
    assert shown["kid"] == pytest.approx(distribution.kid(48**0.5 * REFERENCE.held_out, 48**0.5 * generated))
    assert shown["image_similarity"] == pytest.approx(float((generated @ REFERENCE.held_out.T).mean()), abs=1e-6)


def test_each_sign_raises_its_own_criterion_and_no_other() -> None:
    for evidence, criterion in ((FORGETFUL, "prompt_drop"), (COLLAPSED, "diversity"), (DRIFTED, "drift")):
        severities = judge(REFERENCE, evidence, [], SPEC).severities
        quiet = judge(REFERENCE, GOOD, [], SPEC).severities
        assert severities[criterion] > quiet[criterion] + 0.3
        for other in set(severities) - {criterion, "diversity"}:
            assert severities[other] <= quiet[other] + 1e-9


def test_a_trial_that_turns_overfit_is_called_so_on_the_second_evaluation_after_the_warm_up() -> None:
    history: list[Evaluation] = []
    course = [(0.5, GOOD), (0.3, GOOD), (0.25, GOOD), (0.29, FORGETFUL), (0.32, FORGETFUL)]
    for number, (ratio, evidence) in enumerate(course, start=1):
        now = replace(evidence, step=40 * number, validation_losses=losses(ratio))
        history.append(judge(REFERENCE, now, history, SPEC))
    assert [evaluation.overfit for evaluation in history] == [False, False, False, False, True]
    assert history[-1].metrics["val_rise"] == pytest.approx(0.28, abs=0.02)
    assert history[-1].metrics["val_t"] > 2
    assert "validation loss 2" in history[-1].words and "prompt match down" in history[-1].words
    assert history[2].score == max(evaluation.score for evaluation in history)


def test_the_base_is_where_the_validation_loss_began() -> None:
    evaluation = judge(REFERENCE, replace(GOOD, validation_losses=losses(1.2)), [], SPEC)
    assert evaluation.metrics["val_rise"] == pytest.approx(0.2, abs=0.02)
    assert evaluation.severities["val_rise"] == 1.0


def test_a_rise_within_the_noise_of_the_images_counts_for_nothing() -> None:
    first = judge(REFERENCE, replace(GOOD, validation_losses=losses(0.3, wobble=0.0)), [], SPEC)
    one_image = losses(0.3, wobble=0.0)
    one_image[0] *= 3
    evaluation = judge(REFERENCE, replace(GOOD, validation_losses=one_image), [first], SPEC)
    assert evaluation.metrics["val_rise"] > 0.05
    assert evaluation.severities["val_rise"] == 0.0


def test_the_lowest_validation_loss_may_lie_between_two_evaluations() -> None:
    first = judge(REFERENCE, seen(40, 0.30), [], SPEC)
    dip = Validation(step=60, ratio=0.25, losses=tuple(losses(0.25).mean(1).tolist()))
    lost = Validation(step=70, ratio=math.nan, losses=(math.nan,) * 8)
    told = judge(REFERENCE, seen(80, 0.30), [first], SPEC, [dip, lost])
    assert told.metrics["val_rise"] == pytest.approx(0.30 / 0.25 - 1, rel=0.02)
    assert judge(REFERENCE, seen(80, 0.30), [first], SPEC).metrics["val_rise"] < 0.01
    assert Validation.from_json(json.loads(json.dumps(dip.to_json(), allow_nan=False))) == dip
    assert math.isnan(Validation.from_json(json.loads(json.dumps(lost.to_json(), allow_nan=False))).ratio)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_diverged_loss_is_the_worst_rise_and_does_not_break_later_evaluations(broken: float) -> None:
    evaluation = judge(REFERENCE, replace(GOOD, validation_losses=torch.full((8, 4), broken)), [], SPEC)
    assert evaluation.severities["val_rise"] == 1.0
    assert "no longer finite" in evaluation.words
    assert math.isfinite(evaluation.score) and evaluation.score < judge(REFERENCE, GOOD, [], SPEC).score
    later = judge(REFERENCE, GOOD, [evaluation], SPEC)
    assert later.severities["val_rise"] == 0.0


def test_broken_features_score_the_worst_there_is() -> None:
    evaluation = judge(REFERENCE, replace(GOOD, samples=torch.full_like(GOOD.samples, math.nan)), [], SPEC)
    assert evaluation.score == -100.0
    assert json.dumps(evaluation.to_json(), allow_nan=False)


@pytest.mark.parametrize("parts", ["nothing real", "one seed", "one prompt", "no validation", "one held-out picture"])
def test_what_is_missing_is_nan_and_nothing_fails(parts: str) -> None:
    reference, evidence = REFERENCE, GOOD
    none = torch.zeros(0, WIDTH)
    if parts == "nothing real":
        view = replace(VIEW, train=none, held_out=none)
        reference = replace(reference, train=none, held_out=none, style=view)
    elif parts == "one held-out picture":
        reference = replace(reference, held_out=HELD_OUT[:1], style=replace(VIEW, held_out=HELD_OUT[:1]))
    elif parts == "no validation":
        reference = replace(reference, base_validation=torch.zeros(0, 4))
        evidence = replace(evidence, validation_losses=torch.zeros(0, 4))
    elif parts == "one seed":
        one = replace(VIEW, base_samples=BASE[:, :1], base_unrelated=VIEW.base_unrelated[:, :1])
        reference = replace(reference, base_samples=one.base_samples, base_unrelated=one.base_unrelated, style=one)
        drawn_once = SampleFeatures(samples=evidence.samples[:, :1], unrelated=evidence.unrelated[:, :1])
        evidence = replace(evidence, samples=drawn_once.samples, unrelated=drawn_once.unrelated, style=drawn_once)
        reference = replace(reference, base_compositions=reference.base_compositions[:, :1])
        evidence = replace(evidence, compositions=evidence.compositions[:, :1])
    else:
        first = replace(VIEW, base_samples=BASE[:1], base_unrelated=VIEW.base_unrelated[:0])
        reference = replace(
            reference,
            base_samples=first.base_samples,
            prompts=reference.prompts[:1],
            base_unrelated=first.base_unrelated,
            style=first,
        )
        of_first = SampleFeatures(samples=evidence.samples[:1], unrelated=evidence.unrelated[:0])
        evidence = replace(evidence, samples=of_first.samples, unrelated=of_first.unrelated, style=of_first)
    evaluation = judge(reference, evidence, [], SPEC)
    assert math.isnan(evaluation.score) == (parts == "nothing real")
    assert math.isnan(evaluation.score_se) == (parts in ("nothing real", "one prompt"))
    assert math.isnan(evaluation.metrics["diversity"]) == (parts == "one seed")
    assert math.isnan(evaluation.metrics["drift"]) == (parts == "one prompt")
    assert math.isnan(evaluation.metrics["val_ratio"]) == (parts == "no validation")
    assert math.isnan(evaluation.metrics["fid"]) == (parts in ("nothing real", "one held-out picture"))
    # Where style cannot be told from content, learning it may look like lost diversity: one sign, so at most a half.
    assert 0 <= evaluation.overfit_index <= 0.5 and not evaluation.overfit


def test_an_evaluation_goes_to_json_and_back_unchanged() -> None:
    evaluation = judge(REFERENCE, replace(GOOD, validation_losses=torch.full((8, 4), math.inf)), [], SPEC)
    evaluation = replace(evaluation, score_se=math.nan)
    text = json.dumps(evaluation.to_json(), allow_nan=False)
    again = Evaluation.from_json(json.loads(text) | {"from_the_future": 1})
    assert json.dumps(again.to_json()) == text
    assert math.isnan(again.score_se) and again.metrics["val_rise"] == math.inf
    assert again.validation_losses == evaluation.validation_losses


def test_judging_is_deterministic() -> None:
    assert judge(REFERENCE, GOOD, [], SPEC) == judge(REFERENCE, GOOD, [], SPEC)


def test_a_trial_whose_score_falls_is_past_its_best_and_noise_is_not() -> None:
    weak, strong = (seen(samples=drawn(texts(PROMPTS), style, 3)) for style in (0.3, 0.9))
    strong_again = seen(80, samples=drawn(texts(PROMPTS), 0.9, 5))
    best = judge(REFERENCE, strong, [judge(REFERENCE, weak, [], SPEC)], SPEC)
    assert not best.past_best
    noise_only = judge(REFERENCE, strong_again, [best], SPEC)
    assert not noise_only.past_best
    assert abs(noise_only.metrics["fall"]) < SPEC.thresholds.past_best
    fallen = judge(REFERENCE, replace(weak, step=120), [best, noise_only], SPEC)
    assert fallen.past_best
    highest = max(best, noise_only, key=lambda each: each.score)
    assert fallen.metrics["fall"] == pytest.approx((highest.score - fallen.score) / highest.score)
    differences = torch.tensor(highest.prompt_scores) - torch.tensor(fallen.prompt_scores)
    assert fallen.metrics["fall_t"] == pytest.approx(ttest_1samp(differences.numpy(), 0).statistic, rel=1e-4)
    assert fallen.metrics["fall_t"] > SPEC.thresholds.paired_t
    assert fallen.words.startswith("score ") and f"below its best, of step {highest.step}" in fallen.words


def test_evidence_of_other_prompts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"samples must have the reference's shape \(8, 4, 48\), got \(7, 4, 48\)"):
        judge(REFERENCE, replace(GOOD, samples=GOOD.samples[:7]), [], SPEC)


def test_a_reference_is_read_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "reference.safetensors"
    REFERENCE.save(path)
    assert judge(Reference.load(path), GOOD, [], SPEC) == judge(REFERENCE, GOOD, [], SPEC)
    path.write_bytes(b"torn")
    with pytest.raises(DataError, match="is damaged"):
        Reference.load(path)
    save_checked(path, {"other": torch.zeros(1)})
    with pytest.raises(DataError, match="is no such file"):
        Reference.load(path)
    with pytest.raises(FileNotFoundError):
        Reference.load(tmp_path / "none")


def test_a_reference_must_fit_together() -> None:
    with pytest.raises(ValueError, match="for 7 prompts"):
        replace(REFERENCE, prompts=REFERENCE.prompts[:7])
    with pytest.raises(ValueError, match="must be finite"):
        replace(REFERENCE, base_validation=torch.full((8, 4), math.nan))


def test_pictures_are_shaped_prompt_by_prompt() -> None:
    x = torch.arange(12.0).reshape(6, 2)
    assert by_prompt(x, 3)[1, 0].tolist() == [6.0, 7.0]
    assert by_prompt(x[:0], 3).shape == (0, 3, 2)
    with pytest.raises(ValueError, match="4 seeds, got 6"):
        by_prompt(x, 4)


def test_eyes_of_their_own_that_see_as_the_clip_does_change_nothing() -> None:
    reference, evidence = replace(REFERENCE, image=REFERENCE.of_clip), replace(GOOD, image=GOOD.of_clip)
    assert judge(reference, evidence, [], SPEC) == judge(REFERENCE, GOOD, [], SPEC)


def test_an_eye_that_only_one_side_looked_with_is_refused() -> None:
    with pytest.raises(ValueError, match="evidence must be of the parts of the reference"):
        judge(replace(REFERENCE, image=REFERENCE.of_clip), GOOD, [], SPEC)
    with pytest.raises(ValueError, match="samples must have the reference's shape"):
        narrow = SampleFeatures(samples=GOOD.samples[..., :9], unrelated=GOOD.unrelated[..., :9])
        judge(replace(REFERENCE, image=REFERENCE.of_clip), replace(GOOD, image=narrow), [], SPEC)


def test_fewer_prompts_and_seeds_are_judged_as_if_the_others_had_not_been_drawn() -> None:
    view = ReferenceFeatures(train=TRAIN, held_out=HELD_OUT, base_samples=BASE, base_unrelated=REFERENCE.base_unrelated)
    reference, evidence = replace(REFERENCE, image=view), replace(GOOD, image=GOOD.of_clip)
    few = len(REFERENCE.prompts) - 1
    fewer = replace(VIEW, base_samples=BASE[:few, :2], base_unrelated=VIEW.base_unrelated[:2, :2])
    alone = replace(
        REFERENCE,
        prompts=REFERENCE.prompts[:few],
        base_samples=fewer.base_samples,
        base_unrelated=fewer.base_unrelated,
        base_compositions=REFERENCE.base_compositions[:few, :2],
        base_training_compositions=REFERENCE.base_training_compositions[:1],
        style=fewer,
    )
    looked_at = SampleFeatures(samples=GOOD.samples[:few, :2], unrelated=GOOD.unrelated[:2, :2])
    only = replace(
        GOOD,
        samples=looked_at.samples,
        unrelated=looked_at.unrelated,
        compositions=GOOD.compositions[:few, :2],
        training_compositions=GOOD.training_compositions[:1],
        style=looked_at,
    )
    asked = SampleBudget(few, 2, 2, 1)
    assert judge(reference.within(asked), evidence.within(asked), [], SPEC) == judge(alone, only, [], SPEC)
