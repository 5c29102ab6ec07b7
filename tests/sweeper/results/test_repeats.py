"""Finalists trained with several seeds: the best mean wins, and both spreads and the lead's interval are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from eval.evaluation import Evaluation
from sweeper.records.messages import Rescored
from sweeper.records.trainings import Training, name_of, number_of
from sweeper.results.fresh import Fresh
from sweeper.results.how_chosen import how_chosen, lead_of_settings
from sweeper.results.lead import lead_of_means
from sweeper.results.repeats import Repeats
from sweeper.search.space import plan
from tests.sweeper.fake_worker import OVERRIDES, evaluation, trial
from tests.sweeper.results.test_strength import judged

ONCE_MORE = 1_000_000


def fresh_of(scores: dict[int, list[Evaluation | None]]) -> Fresh:
    """Finalists by number, each with a fresh evaluation a training; None is one that left no checkpoint."""
    trainings, rescored = [], {}
    for number, evaluations in scores.items():
        for repeat, each in enumerate(evaluations):
            made = trial(Training(number, repeat).number, *([evaluation(40)] if each else []))
            trainings.append(made)
            if each:
                rescored[made.number] = Rescored(
                    trial=made.number, evaluation=each, base=each, pictures=made.folder, base_pictures=made.folder
                )
    return Fresh.of(trainings, [rescored])


def test_a_training_has_one_number_and_one_name() -> None:
    for training, name, folder in (
        (Training(7), "7", "0007"),
        (Training(7, 1), "7.1", "0007.1"),
        (Training(12345, 99, "refit"), "12345.99 refit", "12345.99-refit"),
        (Training(7, kind="refit"), "7 refit", "0007-refit"),
        (Training(7, kind="mean"), "7 mean", "0007-mean"),
        (Training(7, kind="soup"), "7 soup", "0007-soup"),
    ):
        assert Training.of(training.number) == training
        assert (str(training), training.folder) == (name, folder)
        assert Training.of_name(name) == Training.of_name(folder) == training
        assert number_of(name_of(training.number)) == training.number
    assert Training(7).number == 7
    assert Training.of_name("0007.partial") is None


def test_the_best_mean_wins_and_its_best_training_is_taken() -> None:
    fresh = fresh_of({3: [judged(70, 70), judged(20, 20)], 7: [judged(55, 55), judged(60, 60)]})
    assert fresh.winner.number == Training(7, 1).number
    assert [each.trial for each in fresh.settings] == [7, 3]
    assert fresh.scores == {3: 70.0, ONCE_MORE + 3: 20.0, 7: 55.0, ONCE_MORE + 7: 60.0}


def test_a_clean_training_goes_before_a_better_overfit_one() -> None:
    fresh = fresh_of({3: [judged(70, 70, index=0.9), judged(50, 50)], 7: [judged(90, 90, index=0.9)] * 2})
    assert fresh.winner.number == Training(3, 1).number


def test_a_training_without_a_checkpoint_counts_as_the_base() -> None:
    fresh = fresh_of({3: [judged(50, 70), None], 7: [judged(40, 40), judged(42, 42)]})
    assert fresh.winner.number == Training(7, 1).number
    assert fresh.settings[1].scores == {3: 60.0, ONCE_MORE + 3: 0.0}
    assert fresh.settings[1].prompt_means == [25.0, 35.0]


def test_both_spreads_are_those_of_the_table_of_scores() -> None:
    table = np.random.default_rng(0).normal(50, 10, (3, 6))
    own = fresh_of({3: [judged(*row) for row in table]}).settings[0]
    assert own.mean == pytest.approx(table.mean())
    assert own.seed_sd == pytest.approx(table.mean(1).std(ddof=1))
    assert own.prompt_se == pytest.approx(table.mean(0).std(ddof=1) / math.sqrt(6))


def test_where_prompts_are_alike_the_interval_is_student_s_of_two_samples() -> None:
    """Without any chance in the prompts there is the seeds' alone, pooled over the settings: the classic t-test."""
    ones, others = [50.0, 61.0, 57.0], [40.0, 52.0, 45.0]
    fresh = fresh_of({3: [judged(*[score] * 4) for score in ones], 7: [judged(*[score] * 4) for score in others]})
    lead = lead_of_means(*fresh.settings, fresh.settings)
    expected = ttest_ind(ones, others).confidence_interval(0.95)
    assert (lead.low, lead.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@pytest.mark.parametrize("of_seeds", [0.0, 2.0, 8.0])
@pytest.mark.parametrize("of_prompts", [0.0, 6.0])
def test_the_interval_holds_the_true_lead_as_often_as_it_says(of_seeds: float, of_prompts: float) -> None:
    """Three settings, two trainings each, eight prompts: crossed chance of seeds, prompts, and both together."""
    chance, held, times = np.random.default_rng(1), 0, 400
    for _ in range(times):
        settings = [drawn(chance, mean, of_seeds, of_prompts) for mean in (60.0, 55.0, 40.0)]
        lead = lead_of_means(settings[0], settings[1], settings)
        held += lead.low <= 5.0 <= lead.high
    assert 0.94 <= held / times <= 1.0


def drawn(chance: np.random.Generator, mean: float, of_seeds: float, of_prompts: float) -> Repeats:
    table = mean + chance.normal(0, of_seeds, (2, 1)) + chance.normal(0, of_prompts, 8) + chance.normal(0, 3, (2, 8))
    scores = dict(enumerate(table.mean(1).tolist()))
    return Repeats(trial=0, scores=scores, prompt_scores=table.tolist(), best=0, is_clean=True)


def test_a_lead_within_the_noise_is_said_to_be_one() -> None:
    close = {3: [judged(40, 50, 60), judged(44, 52, 66)], 7: [judged(41, 52, 60), judged(46, 53, 66)]}
    words = lead_of_settings(fresh_of(close).settings)
    assert words.startswith("Trial 7's mean is +1.0 points above trial 3's, the next (95 % interval ")
    assert words.endswith(
        "over 2 training seeds and 3 prompts), which is within the noise: either may have the better settings."
    )
    far = {3: [judged(10, 12, 11), judged(11, 12, 11)], 7: [judged(80, 82, 81), judged(81, 82, 80)]}
    assert lead_of_settings(fresh_of(far).settings).endswith("which is surely better.")
    assert "one prompt cannot tell" in lead_of_settings(fresh_of({3: [judged(1.0)] * 2, 7: [judged(2.0)] * 2}).settings)
    assert lead_of_settings(fresh_of({3: [judged(1, 2)], 7: [judged(2, 3)]}).settings) == ""


def test_how_it_was_chosen_names_the_means_and_the_training() -> None:
    fresh = fresh_of({3: [judged(70, 70), judged(20, 20)], 7: [judged(55, 55), judged(60, 60)]})
    final = fresh.rescored[fresh.winner.number].evaluation
    words = how_chosen(
        fresh.winner, fresh.rescored, final, (), fresh.settings, fresh.comparison, plan(OVERRIDES).config
    )
    assert "Trials 7, 3 were trained with 2 training seeds each" in words
    assert "the best mean score won: trial 7's, 57.5." in words
    assert "Of its trainings this is the one with the best clean score, its repeat 7.1." in words
    assert "Trial 7's mean is +12.5 points above trial 3's" in words
