"""What the proof of the judge counts, on courses whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.judge_trials import anew
from benchmarks.judge_trials.analysis import auc, calls, lateness, rank_correlation, regrets, roc, truly_overfit
from benchmarks.judge_trials.ceiling import between_halves, falls, reach, scene_of
from benchmarks.judge_trials.courses import Checkpoint, Course, append_course, read_courses
from benchmarks.judge_trials.policies import Replay, in_random_order
from benchmarks.judge_trials.rejudge import rejudge_all
from benchmarks.judge_trials.searches import distance, interval
from benchmarks.judge_trials.sets import RESERVED_SETS, SETS, TUNED_SETS
from benchmarks.judge_trials.truth import Truth
from eval.evaluation import Evaluation
from eval.spec import EvalSpec, SampleBudget
from foundation.data.folder import read_folder
from sweeper.search.space import plan
from train.pocket.world import RESERVED_STYLES, scenes

CONFIG = plan(["+experiment=pencil", "eval.warmup_evaluations=0"]).config
SPEC = CONFIG.eval


def truth(quality: float, copied: float = 0.0) -> Truth:
    """Pictures around a quality, the same scatter every time."""
    each = tuple(quality + 0.02 * math.sin(3 * i) for i in range(32))
    return Truth(quality=sum(each) / 32, shown=quality, whole=quality, way=1.0, copied=copied, each=each)


def evaluation(step: int, score: float) -> Evaluation:
    metrics = {
        "val_rise": 0.0,
        "copy_rate": 0.0,
        "copies": 0.0,
        "diversity": 1.0,
        "prompt_spread": 1.0,
        "prompt_drop": 0.0,
        "drift": 0.0,
    }
    metrics |= {
        "style": score / 100,
        "val_loss": 1.0,
        "prompt_match": score,
        "val_ratio": 0.9,
        "cmmd": -score,
        "fid": -score,
    }
    return Evaluation(
        step=step,
        score=score,
        score_se=0.1,
        overfit_index=0.0,
        overfit=False,
        words="",
        severities={},
        metrics=metrics,
        validation_losses=(1.0,),
        prompt_scores=(score, 0.9 * score, 1.1 * score),
    )


def course(qualities: Sequence[float], number: int = 0, scores: Sequence[float] = ()) -> Course:
    """A trial whose score says the truth, unless told otherwise."""
    said = scores or [100 * quality for quality in qualities]
    points = [
        Checkpoint(evaluation(40 * (i + 1), said[i]), truth(quality), train_loss=-i)
        for i, quality in enumerate(qualities)
    ]
    return Course("pencil", number, {"lr": 10.0 ** -(number % 5)}, 0.1, points)


RISES, TURNS = course([0.2, 0.4, 0.6, 0.8]), course([0.4, 0.8, 0.55, 0.3])


def test_a_checkpoint_is_truly_overfit_below_the_best_before_it_or_when_it_copies() -> None:
    assert [truly_overfit(RISES, i) for i in range(4)] == [False] * 4
    assert [truly_overfit(TURNS, i) for i in range(4)] == [False, False, True, True]
    copying = Course("pencil", 0, {}, 0.1, [Checkpoint(evaluation(40, 50), truth(0.5, copied=0.2), 0.0)])
    assert truly_overfit(copying, 0)


def test_a_fall_within_the_noise_is_none() -> None:
    noisy = truth(0.5)
    shaken = Truth(0.44, 0, 0, 1, 0, each=tuple(0.44 + 0.4 * math.cos(5 * i) for i in range(32)))
    points = [Checkpoint(evaluation(40, 1), noisy, 0.0), Checkpoint(evaluation(80, 1), shaken, 0.0)]
    assert not truly_overfit(Course("pencil", 0, {}, 0.1, points), 1)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    values, truths = [0.1, 0.4, 0.35, 0.8, 0.4], [False, False, True, True, True]
    pairs = [(a > b) + 0.5 * (a == b) for a, t in zip(values, truths, strict=True) if t for b in (0.1, 0.4)]
    assert auc(values, truths) == pytest.approx(sum(pairs) / len(pairs))
    assert math.isnan(auc([1.0, 2.0], [True, True]))


def test_the_roc_curve_has_that_area() -> None:
    values, truths = [0.1, 0.5, 0.35, 0.8, 0.4], [False, False, True, True, True]
    false, true = roc(values, truths)
    area = sum((x - w) * (y + v) / 2 for w, x, v, y in zip(false, false[1:], true, true[1:], strict=False))
    assert area == pytest.approx(auc(values, truths))


def test_calls_and_lateness_of_a_judge_that_sees_the_score_fall() -> None:
    seen = calls([RISES, TURNS], SPEC)
    assert (seen.share_found, seen.false_alarms) == (1.0, 0.0)
    assert lateness([RISES, TURNS], SPEC) == [0]
    blind = course([0.4, 0.8, 0.6, 0.3], scores=[40.0, 50.0, 60.0, 70.0])
    assert lateness([blind], SPEC) == [None]
    assert calls([blind], SPEC).share_found == 0.0


def test_regret_is_what_the_choice_lacks_of_the_best() -> None:
    found = regrets([TURNS], SPEC)
    assert found["the judge"] == [pytest.approx(0.0, abs=1e-9)]
    assert found["last"] == [pytest.approx((0.8 - 0.3) / TURNS.best, abs=1e-6)]
    assert found["always step 40"] == [pytest.approx((0.8 - 0.4) / TURNS.best, abs=1e-6)]
    assert found["lowest training loss"] == found["last"]


def test_rejudging_with_the_same_history_finds_the_fall() -> None:
    judged = rejudge_all([point.evaluation for point in TURNS.checkpoints], SPEC)
    assert [each.past_best for each in judged] == [False, False, True, True]


def test_a_replay_stops_what_turned_and_keeps_its_best() -> None:
    others = [course([0.2, 0.3, 0.4, 0.45], number) for number in range(5)]
    ended = Replay([*others, TURNS], "ours", CONFIG).run()
    (turned,) = [each for each in ended if each.course is TURNS]
    assert turned.steps == 120
    assert turned.best_kept
    assert turned.quality == pytest.approx(TURNS.best)
    whole = Replay([*others, TURNS], "nothing stopped", CONFIG).run()
    assert sum(each.steps for each in whole) == 6 * 160


def test_the_median_stops_what_never_learned_but_only_after_enough_have_ended() -> None:
    good = [course([0.5, 0.6, 0.7, 0.8], number) for number in range(4)]
    idle = course([0.023, 0.021, 0.019, 0.015], 9)
    for policy in ("ours", "Optuna's median", "Optuna's patient median"):
        ended = Replay([*good, idle], policy, CONFIG).run()
        (stopped,) = [each for each in ended if each.course is idle]
        assert stopped.steps < 160, policy
    first = Replay([idle, *good], "ours", CONFIG).run()
    assert next(each for each in first if each.course is idle).steps == 160


def test_orders_differ_by_seed_and_hold_all() -> None:
    courses = [course([0.1], number) for number in range(6)]
    orders = {tuple(each.trial for each in in_random_order(courses, seed)) for seed in range(9)}
    assert len(orders) > 5
    assert all(sorted(order) == list(range(6)) for order in orders)


def test_distance_counts_choices_and_decades() -> None:
    assert distance({"lr": 1e-3, "rank": 8}, {"lr": 1e-3, "rank": 8}) == 0
    assert distance({"lr": 1e-3, "rank": 8}, {"lr": 2e-3, "rank": 4}) == pytest.approx(1 + math.log10(2))
    assert distance({"lr": 1e-3}, {"d_coef": 1.0}) == 2


def test_interval_holds_the_mean() -> None:
    mean, low, high = interval([0.0, 1.0, 2.0, 3.0, 4.0])
    assert low < mean == 2.0 < high


def test_a_set_holds_no_scene_twice_and_no_reserved_style_is_tuned_on(tmp_path: Path) -> None:
    assert not {each.style for each in TUNED_SETS} & {each.style for each in RESERVED_SETS}
    assert {each.style for each in RESERVED_SETS} == set(RESERVED_STYLES)
    chosen = SETS[1]
    folder = chosen.write(tmp_path)
    pictures, _ = read_folder(folder / "train", where="train")
    held_out, _ = read_folder(folder / "validation", where="validation")
    trained = {picture.caption for picture in pictures}
    assert len(trained) == len(pictures) == chosen.num_scenes
    asked = {scene.caption(chosen.style) for scene in chosen.truth_scenes()}
    assert not asked & trained
    assert not asked & {picture.caption for picture in held_out}
    assert len({picture.digest for picture in pictures}) == len(pictures)


def test_the_ceiling_is_the_auc_of_what_a_reader_sees_fall() -> None:
    qualities = np.array([[0.2, 0.4], [0.5, 0.7], [0.3, 0.3], [0.7, 0.7]])
    assert falls(qualities) == pytest.approx([-1.0, 0.5, -1 / 6])
    courses = [RISES, replace(TURNS, trial=1)]
    told = {id(each): np.array([point.truth.each for point in each.checkpoints]) for each in courses}
    assert reach(courses, lambda each: told[id(each)]) == 1.0
    assert reach(courses, lambda each: 1 - told[id(each)]) == 0.0
    assert between_halves(courses) == 1.0


def test_a_prompt_of_the_drawn_world_is_read_back_as_its_scene() -> None:
    for scene in scenes(3, 40, held_out=False):
        assert scene_of(scene.caption("pencil")) == scene
    with pytest.raises(ValueError, match="must be a caption of the drawn world"):
        scene_of("a dog on grass")


def test_courses_go_to_their_file_and_back(tmp_path: Path) -> None:
    for each in (RISES, TURNS):
        append_course(tmp_path / "courses.jsonl", each)
    again = read_courses(tmp_path / "courses.jsonl")
    assert [len(each.checkpoints) for each in again] == [4, 4]
    assert [point.evaluation.score for point in again[1].checkpoints] == pytest.approx([40, 80, 55, 30])
    assert [truly_overfit(again[1], i) for i in range(4)] == [truly_overfit(TURNS, i) for i in range(4)]


@pytest.mark.parametrize(
    ("scores", "index", "wanted"),
    [
        ((3.0, 50.0, 60.0), 0.0, (1, 1, 0, 0, 0)),
        ((40.0, 50.0, 60.0), 0.0, (2, 2, 2, 0, 0)),
        ((40.0, 50.0, 60.0), 0.6, (2, 4, 2, 0, 0)),
    ],
)
def test_a_trial_is_judged_anew_by_what_a_worker_would_draw(
    scores: tuple[float, ...], index: float, wanted: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def judge(
        reference: SampleBudget, evidence: SampleBudget, history: Sequence[Evaluation], spec: EvalSpec
    ) -> Evaluation:
        asked.append((reference, evidence, spec.usual))
        return replace(evaluation(40, scores[len(asked) - 1]), overfit_index=index)

    monkeypatch.setattr(anew, "judge", judge)
    seen: Any = SimpleNamespace(within=lambda asked: asked)
    spec = replace(SPEC, prompts=("a", "b"), seeds=(0, 1), tiebreak_seeds=(2, 3), screening_above=0.0)
    spec = replace(spec, screening_prompts=1)
    judged = anew._judge(seen, seen, [], spec)
    assert asked[-1] == (wanted, wanted, wanted)
    assert judged.score == scores[len(asked) - 1]


def test_ranks_agree_with_a_truth_that_orders_alike_and_not_with_one_upside_down() -> None:
    assert rank_correlation([RISES, TURNS], lambda point: point.truth.quality**3) == pytest.approx(1.0)
    assert rank_correlation([RISES, TURNS], lambda point: -point.truth.quality) == pytest.approx(-1.0)
