"""Who is hopeless beside whom: courses whose right answer is known, and Optuna's own pruners decision by decision."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from eval.evaluation import Evaluation
from foundation.config.compose import compose
from sweeper.records.config import Config, parse_config
from sweeper.records.study_spec import PrunerSpec
from sweeper.records.trials import Trial
from sweeper.study.pruning import bracket, why_hopeless
from train.reports import StepReport
from train.spec import OptimizerSpec, TrialSpec

EVERY = 40
NO_PATIENCE: dict[str, Any] = {"patience": 0, "min_improvement": math.inf}
"""So that a comparison waits for nothing but the warm-up, as Optuna's do."""


@pytest.fixture(scope="module")
def base() -> Config:
    overrides = ["+experiment=pencil", "train.steps=360", f"eval.every={EVERY}", "eval.screening_prompts=null"]
    return parse_config(compose(overrides))


def test_without_patience_a_trial_that_still_rises_may_end(base: Config) -> None:
    others = rising(10.0, 20.0, 30.0, 40.0)
    for patience, ends in ((1, False), (None, True)):
        config = with_pruner(base, patience=patience)
        assert (reasons(config, others, [1.0, 3.0, 5.0])[2] is not None) == ends


def test_what_rises_fast_is_not_hopeless_for_being_late(base: Config) -> None:
    others = rising(10.0, 20.0, 30.0, 40.0)  # the median at step 120 is 15
    config = with_pruner(base, patience=None, lookahead=1.0)
    slowly, fast, fallen = [1.0, 4.0, 9.0], [1.0, 4.0, 10.0], [1.0, 14.0, 13.0]
    assert (
        reasons(config, others, slowly)[2]
        == "best score 9 (soon 14, at its pace) is below the median 15 of 4 at step 120"
    )
    assert reasons(config, others, fast) == [None] * 3
    assert reasons(config, others, fallen)[2] == "best score 14 is below the median 15 of 4 at step 120"
    assert reasons(with_pruner(base, patience=None), others, fast)[2] is not None
    at_once = with_pruner(base, patience=None, lookahead=1.0, warmup_evaluations=0)  # the median at step 40 is 5
    assert reasons(at_once, others, [2.0]) == [
        "best score 2 (soon 4, at its pace) is below the median 5 of 4 at step 40"
    ]
    assert reasons(at_once, others, [3.0]) == [None]
    falling = rising(1.0, 2.0, 3.0, 4.0)  # and 1.5, where less is better
    config = with_pruner(base, patience=None, lookahead=1.0, direction="minimize")
    assert reasons(config, falling, [9.0, 6.0, 4.0])[2] == (
        "best score 4 (soon 2, at its pace) is above the median 1.5 of 4 at step 120"
    )
    assert reasons(config, falling, [9.0, 6.0, 3.0]) == [None] * 3


def with_pruner(base: Config, *, direction: str = "maximize", **pruner: Any) -> Config:
    patient = {"startup_trials": 4, "warmup_evaluations": 2, "lookahead": 0.0, "patience": 1}
    study = replace(base.study, pruner=PrunerSpec(**patient | pruner), direction=direction)  # type: ignore[arg-type]
    return replace(base, study=study)


def seen(step: int, score: float, styles: Sequence[float] = (), index: float = 0.0) -> Evaluation:
    return Evaluation(
        step=step,
        score=score,
        score_se=0.0,
        overfit_index=index,
        overfit=False,
        words="",
        severities={},
        metrics={},
        validation_losses=(),
        prompt_aims=tuple(styles),
    )


def trial(number: int, scores: Sequence[float], status: Any = "running", **kept: Any) -> Trial:
    made = Trial(number=number, params={}, spec=TrialSpec(), folder=Path(), clean=0.5, status=status)
    made.evaluations = [seen(EVERY * i, score, **kept) for i, score in enumerate(scores, start=1)]
    return made


def rising(*ends: float, steps: int = 5) -> list[Trial]:
    """Finished trials whose scores rise evenly to their ends."""
    courses = [[end * i / steps for i in range(1, steps + 1)] for end in ends]
    return [trial(number, scores, "finished") for number, scores in enumerate(courses)]


def reasons(config: Config, others: list[Trial], scores: Sequence[float], number: int = 99) -> list[str | None]:
    """What is said of a trial after each of its evaluations."""
    courses = [trial(number, scores[:count]) for count in range(1, len(scores) + 1)]
    return [why_hopeless(each, [*others, each], config) for each in courses]


def test_median_ends_what_is_behind_and_no_longer_rises_after_the_warm_up(base: Config) -> None:
    base = with_pruner(base)
    assert reasons(base, rising(10.0, 20.0, 30.0), [1.0] * 5) == [None] * 5  # too few finished trials to judge by
    others = rising(10.0, 20.0, 30.0, 40.0)
    behind = reasons(base, others, [3.0, 2.0, 2.0, 2.0, 2.0])
    assert behind[:2] == [None, None]  # the warm-up
    assert behind[2] == "best score 3 is below the median 15 of 4 at step 120"
    assert reasons(base, others, [1.0, 2.5, 4.0, 5.5, 7.0]) == [None] * 5  # behind, but rising
    assert reasons(base, others, [1.0, 1.4, 1.8, 2.2, 2.6])[2]  # rising by less than what counts as a rise
    assert reasons(base, others, [30.0, 20.0, 16.0, 10.0, 5.0]) == [None] * 5  # falling, but its best is ahead
    assert reasons(base, others, [15.0] * 3) == [None] * 3  # a tie speaks for nobody
    assert reasons(base, others, [math.nan] * 3)[2] == "best score -100 is below the median 15 of 4 at step 120"
    running = [replace(each, status="running") for each in others]
    assert reasons(base, running, [1.0] * 5) == [None] * 5  # only finished trials are a measure


def test_the_rules_look_the_other_way_when_the_score_is_to_fall(base: Config) -> None:
    others = rising(1.0, 2.0, 3.0, 4.0)
    config = with_pruner(base, direction="minimize")
    assert reasons(config, others, [9.0, 9.5, 9.5])[2] == "best score 9 is above the median 1.5 of 4 at step 120"
    assert reasons(config, others, [0.1, 0.2, 0.2]) == [None] * 3
    config = with_pruner(base, direction="minimize", name="asha")
    assert reasons(config, others, [9.0, 9.0])[1] == "score 9 is not among the best 1 of 5 that came to step 80"
    assert reasons(config, others, [0.1, 0.1]) == [None, None]


def test_asha_keeps_the_best_share_of_those_that_came_as_far_and_asks_only_there(base: Config) -> None:
    config = with_pruner(base, name="asha", warmup_evaluations=1, reduction_factor=2)  # rungs at 40, 80, 160, 320
    others = rising(10.0, 20.0, 30.0, 40.0, 50.0)  # at step 40: 2, 4, 6, 8, 10
    assert reasons(config, others, [5.0])[0] == "score 5 is not among the best 3 of 6 that came to step 40"
    assert reasons(config, others, [6.0]) == [None]
    course = reasons(config, others, [7.0, 13.0, 1.0, 40.0])  # at step 80 the third is 12, at 120 is no rung
    assert course == [None] * 4
    assert reasons(config, others, [7.0, 11.0])[1] == "score 11 is not among the best 3 of 6 that came to step 80"
    # Whoever came to a rung counts there, however it ended.
    pruned = [replace(each, status="pruned", number=each.number + 5) for each in others]
    assert reasons(config, [*others, *pruned], [5.0])[0] == (
        "score 5 is not among the best 5 of 11 that came to step 40"
    )
    assert reasons(config, others[:3], [-9.0, -9.0]) == [None, None]  # three have finished, four are asked for
    assert reasons(with_pruner(base, name="none"), others, [-9.0] * 5) == [None] * 5


def test_a_step_that_passes_a_rung_is_judged_there(base: Config) -> None:
    """Evaluations need not fall on a rung: the first from there on counts, of everybody."""
    config = with_pruner(base, name="asha", warmup_evaluations=1, reduction_factor=2)
    others = rising(10.0, 20.0, 30.0, 40.0)
    late = trial(9, [1.0])
    late.evaluations = [seen(120, 5.0)]
    assert why_hopeless(late, [*others, late], config) == "score 5 is not among the best 2 of 5 that came to step 40"


def test_hyperband_halves_within_brackets_that_begin_at_different_rungs(base: Config) -> None:
    config = with_pruner(base, name="hyperband", warmup_evaluations=1)  # rungs at 40, 120, 360
    brackets = {number: bracket(number, config) for number in range(60)}
    assert set(brackets.values()) == {0, 1, 2}
    same = [number for number, found in brackets.items() if found == 0]
    first_at = {found: next(n for n in range(60, 300) if bracket(n, config) == found) for found in (0, 1, 2)}
    others = [trial(number, [10.0] * 9, "finished") for number in brackets]
    assert reasons(config, others, [1.0, 1.0, 1.0], first_at[0])[0] == (
        f"score 1 is not among the best {(len(same) + 1) // 3} of {len(same) + 1} that came to step 40 in its bracket"
    )
    later = reasons(config, others, [1.0, 1.0, 1.0], first_at[1])
    assert later[:2] == [None, None]
    assert later[2] is not None
    assert reasons(config, others, [1.0] * 8, first_at[2]) == [None] * 8


STYLES = (0.3, 0.5, 0.4, 0.8, 0.2, 0.6, 0.7, 0.45)


def lowered(by: Sequence[float] | float) -> tuple[float, ...]:
    return tuple(float(each) for each in np.array(STYLES) - by)


def compared(config: Config, styles: Sequence[float], score: float, theirs: Sequence[float] = STYLES) -> str | None:
    """What is said of a trial that no longer rises, beside five finished ones of which number 2 is the best."""
    others = [trial(n, [s, s, s], "finished", styles=t) for n, s, t in _OTHERS]
    others[2].evaluations = [replace(each, prompt_aims=tuple(theirs)) for each in others[2].evaluations]
    own = trial(9, [score] * 3, styles=styles)
    return why_hopeless(own, [*others, own], config)


_OTHERS = [(0, 10.0, (0.0,) * 8), (1, 20.0, (0.1,) * 8), (2, 50.0, STYLES), (3, 30.0, (0.2,) * 8), (4, 5.0, (0.0,) * 8)]


def test_wilcoxon_ends_what_is_behind_the_best_in_nearly_every_prompt(base: Config) -> None:
    config = with_pruner(base, name="wilcoxon")
    steps = (0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.22, 0.24)
    assert compared(config, lowered(steps), 20.0) == (  # all eight against it: p is a half to the eighth
        "style is behind trial 2's in 8 of 8 prompts at step 120, p = 0.0039"
    )
    assert (
        compared(config, lowered([0.3, 0.3, -0.3, -0.3, 0.3, -0.3, 0.3, -0.3]), 20.0) is None
    )  # here less, there more
    assert compared(config, lowered(0.0), 20.0) is None  # equal
    assert compared(config, lowered([-0.2] * 8), 20.0) is None  # ahead
    assert compared(config, lowered(steps), 60.0) is None  # its score is ahead: it keeps its prompts better
    assert compared(config, (*lowered(steps)[:7], math.nan), 20.0) is None  # what was not measured proves nothing
    assert compared(config, lowered(steps), 20.0, theirs=STYLES[:5]) is None
    assert compared(config, lowered([0.1] * 6 + [-0.9] * 2), 20.0) is None  # behind in six, far ahead in two


def test_wilcoxon_waits_for_a_trial_that_rises_and_takes_it_at_its_best(base: Config) -> None:
    config = with_pruner(base, name="wilcoxon")
    others = [trial(n, [s, s, s], "finished", styles=t) for n, s, t in _OTHERS]
    behind = lowered(0.1)
    own = trial(9, [10.0, 20.0, 30.0], styles=behind)
    assert why_hopeless(own, [*others, own], config) is None
    own = trial(9, [20.0, 20.0, 20.0], styles=behind)
    assert why_hopeless(own, [*others, own], config)
    own.evaluations[0] = replace(own.evaluations[0], prompt_aims=STYLES)  # it was as good once
    assert why_hopeless(own, [*others, own], config) is None
    # An overfit trial is no measure, however high it scores.
    spoilt = [replace(each, evaluations=[replace(e, overfit_index=0.9) for e in each.evaluations]) for each in others]
    assert why_hopeless(trial(9, [20.0] * 3, styles=behind), [*others[:2], spoilt[2], *others[3:]], config) is None


def test_wilcoxon_looks_ahead_too(base: Config) -> None:
    others = [trial(n, [s, s, s], "finished", styles=t) for n, s, t in _OTHERS]  # the best has 50 points
    own = trial(9, [4.0, 20.0, 36.0], styles=lowered(0.1))
    for lookahead, ends in ((0.0, True), (0.5, True), (1.0, False)):
        config = with_pruner(base, name="wilcoxon", patience=None, lookahead=lookahead)
        assert (why_hopeless(own, [*others, own], config) is not None) == ends


def test_wilcoxon_looks_at_the_best_trial_at_the_same_step_or_where_it_ended(base: Config) -> None:
    config = with_pruner(base, name="wilcoxon")
    others = [trial(n, [s, s, s], "finished", styles=t) for n, s, t in _OTHERS]
    best = others[2]
    best.evaluations += [seen(160, 90.0, (0.99,) * 8)]  # what it became later is no measure at step 120
    own = trial(9, [45.0, 45.0, 45.0], styles=lowered(-0.01))
    assert why_hopeless(own, [*others, own], config) is None
    best.evaluations = best.evaluations[:2]  # it was stopped there
    own = trial(9, [45.0, 45.0, 45.0], styles=lowered(0.1))
    reason = why_hopeless(own, [*others, own], config)
    assert reason is not None and reason.endswith("at step 80, p = 0.0039")


def test_wilcoxons_decisions_are_those_of_optunas_pruner(base: Config) -> None:
    generator = np.random.default_rng(0)
    ended = 0
    for _ in range(150):
        config = with_pruner(base, name="wilcoxon", startup_trials=1, warmup_evaluations=0, **NO_PATIENCE)
        theirs = generator.uniform(0, 1, 8)
        own = np.clip(theirs - generator.normal(0.1, 0.2, 8), -1, 1)
        best = trial(0, [0.0, 100 * theirs.mean()], "finished", styles=tuple(theirs))
        now = trial(1, [-100.0, 100 * own.mean()], styles=tuple(own))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            pruner = optuna.pruners.WilcoxonPruner(p_threshold=config.study.pruner.p_threshold, n_startup_steps=0)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        for styles, value in ((theirs, float(theirs.mean())), (own, None)):
            asked = study.ask()
            for prompt, style in enumerate(styles):
                asked.report(float(style), prompt)
            if value is not None:
                study.tell(asked, value)
        expected = asked.should_prune()
        assert (why_hopeless(now, [best, now], config) is not None) == expected
        ended += expected
    assert 20 < ended < 130


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("name", ["median", "asha", "hyperband"])
def test_decisions_are_those_of_optunas_pruner(base: Config, name: str, direction: str) -> None:
    """Thirty trials, four at a time, each with a random walk for a course."""
    config = with_pruner(
        base, name=name, direction=direction, startup_trials=1, warmup_evaluations=1, reduction_factor=2, **NO_PATIENCE
    )
    pruner = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=EVERY + 1),
        "asha": optuna.pruners.SuccessiveHalvingPruner(min_resource=EVERY, reduction_factor=2),
        "hyperband": optuna.pruners.HyperbandPruner(EVERY, config.train.steps, reduction_factor=2),
    }[name]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=config.study.name, direction=direction, pruner=pruner)
    generator = np.random.default_rng(1)
    trials: list[Trial] = []
    running: list[tuple[Trial, optuna.Trial]] = []
    outcomes = []
    while len(trials) < 30 or running:
        # The first comes alone, since here nobody ends before one has finished, and with Optuna's halving they may.
        while len(trials) < 30 and len(running) < (4 if any(t.status == "finished" for t in trials) else 1):
            trials.append(trial(len(trials), []))
            running.append((trials[-1], study.ask()))
        own, asked = running[generator.integers(len(running))]
        step = len(own.evaluations) * EVERY + EVERY
        before = own.evaluations[-1].score if own.evaluations else 0.0
        own.evaluations.append(seen(step, before + float(generator.normal(0, 5))))
        asked.report(own.evaluations[-1].score, step)
        reason, expected = why_hopeless(own, trials, config), asked.should_prune()
        assert (reason is not None) == expected, (own.number, step, reason)
        outcomes.append(expected)
        if expected or step == config.train.steps:
            own.status = "pruned" if expected else "finished"
            study.tell(asked, **({"state": TrialState.PRUNED} if expected else {"values": own.evaluations[-1].score}))
            running.remove((own, asked))
    assert 5 <= sum(outcomes) <= 28
    assert sum(each.status == "finished" for each in trials) >= 2


def test_a_trial_is_not_ended_by_less_than_its_score_may_err(base: Config) -> None:
    base = with_pruner(base, warmup_evaluations=0, patience=None, lookahead=1.0, margin=0.5)
    others = rising(10.0, 20.0, 30.0, 40.0)

    def said(score: float, error: float) -> str | None:
        one = trial(99, [score])
        one.evaluations[0] = replace(one.evaluations[0], score_se=error)
        return why_hopeless(one, [*others, one], base)

    median = 5.0  # of 2, 4, 6 and 8
    assert said(median / 2 - 0.1, 0.0) and said(median / 2 - 0.1, 0.1)  # twice that is where its pace takes it
    assert said(median / 2 - 0.1, 0.5) is None
    assert said(median / 2 - 0.1, math.nan)


def test_an_optimizer_that_seeks_its_rate_is_given_until_it_has_it(base: Config) -> None:
    base = with_pruner(base, warmup_evaluations=0, patience=None)
    others = rising(10.0, 20.0, 30.0, 40.0)

    def said(optimizer: str, *peaks: float) -> list[bool]:
        found = []
        for count in range(1, len(peaks) + 1):
            one = trial(99, [0.0] * count)
            lr = 1e-4 if optimizer == "adamw" else 1.0
            one.spec = replace(one.spec, optimizer=OptimizerSpec(name=optimizer, lr=lr))
            one.peak_rates = list(peaks[:count])
            found.append(why_hopeless(one, [*others, one], base) is not None)
        return found

    assert said("adamw", 1e-4, 1e-4) == [True, True]
    assert said("prodigy", 1e-6, 1e-5, 8e-4, 8.4e-4, 8.4e-4) == [False, False, False, True, True]
    assert said("dadapt_adam", 1e-6, 1e-6) == [False, True]


def test_a_resumed_trial_knows_its_rates_as_if_it_had_never_stopped() -> None:
    rates = [1e-6, 4e-6, 2e-6, 9e-6, 8e-6, 3e-6]
    reports = [StepReport(slot=0, step=step, loss=1.0, lr=rate, grad_norm=1.0) for step, rate in enumerate(rates, 1)]
    whole, again = trial(0, []), trial(0, [])
    for step in (2, 4, 6):
        whole.take_steps(reports[step - 2 : step])
        whole.take_evaluation(seen(step, 0.0))
    again.resume(4, whole.evaluations[:2], reversed(reports[:4]))
    again.take_steps(reports[4:])
    again.take_evaluation(whole.evaluations[2])
    assert again.peak_rates == whole.peak_rates == [4e-6, 9e-6, 9e-6] and again.step == whole.step == 6
