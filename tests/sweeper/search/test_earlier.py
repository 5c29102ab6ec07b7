"""What earlier studies say: read in this study's words, trusted as far as it agrees, and kept for the study's life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from foundation.errors import ConfigError, StudyError
from sweeper.search.dimension import Choices, Dimension, Numbers, Params, Space
from sweeper.search.earlier import read_earlier
from sweeper.search.evidence import Evidence, as_trials, shown_of, trust, turn_of
from sweeper.search.sampling import distribution_of, suggest
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search

RATE = Dimension(name="optimizer.lr", key="optimizer.lr", domain=Numbers(low=1e-5, high=1e-1, log=True))
RANK = Dimension(name="adapter.rank", key="adapter.rank", domain=Choices(of=(4, 8, 16, 32)))
STEPS = Dimension(name="train.steps", key="train.steps", domain=Numbers(low=100, high=900, step=100))
SPACE = Space(dimensions=(RATE, RANK, STEPS))
DATABASE = "studies.db"
LOW_RATES_WIN = Evidence("old", tuple({"optimizer.lr": 10.0**-power} for power in (5, 4, 3, 2, 1)))


def told(*pairs: tuple[float, float]) -> list[tuple[Params, float]]:
    return [({"optimizer.lr": rate, "adapter.rank": 8, "train.steps": 100}, score) for rate, score in pairs]


def test_trust_begins_at_a_half_grows_where_trials_agree_and_ends_where_they_do_not() -> None:
    assert trust(LOW_RATES_WIN, [], SPACE) == 0.5
    agrees = told((1e-5, 40.0), (1e-4, 30.0), (1e-2, 20.0), (1e-1, 1.0))
    assert trust(LOW_RATES_WIN, agrees, SPACE) == pytest.approx(2 * (6 + 3) / (6 + 4) - 1)
    against = [(params, -score) for params, score in agrees]
    assert trust(LOW_RATES_WIN, against, SPACE) == 0.0
    alike = told((1e-5, 7.0), (1e-1, 7.0))
    assert trust(LOW_RATES_WIN, alike, SPACE) == 0.5  # equal scores say nothing


@pytest.mark.parametrize("sign", [1, -1])
def test_earlier_trials_have_values_of_this_study_and_none_beats_its_best(sign: int) -> None:
    own = told((1e-5, 40.0), (1e-4, 30.0), (1e-2, 20.0), (1e-1, 1.0))
    shown = as_trials(shown_of([LOW_RATES_WIN], own, SPACE), own, SPACE, sign)
    values = [sign * float(each.value or 0.0) for each in shown]
    assert values == sorted(values, reverse=True)
    assert min(values) > 1.0 and max(values) < 40.0
    assert [each.params["optimizer.lr"] for each in shown] == [each["optimizer.lr"] for each in LOW_RATES_WIN.points]
    assert LOW_RATES_WIN.within(SPACE).points == ()  # they lack two dimensions
    assert shown_of([LOW_RATES_WIN], [(params, -score) for params, score in own], SPACE) == []


def test_few_of_many_are_shown_from_the_best_to_the_worst() -> None:
    points = tuple({"train.steps": 100, "adapter.rank": 4, "optimizer.lr": 10.0 ** -(1 + n / 25)} for n in range(100))
    one, other = shown_of([Evidence("a", points), Evidence("b", points)], [], SPACE)
    assert one.points == other.points == (points[0], points[99])  # ½ · 10 / 2, rounded to even, of each


def test_every_other_first_trial_is_an_earlier_studys_its_best_first_as_long_as_it_is_trusted() -> None:
    whole = {"train.steps": 100, "adapter.rank": 4, "optimizer.lr": 1e-4}
    studies = [Evidence("whole", (whole, whole)), LOW_RATES_WIN]
    turns = [turn_of(studies, [], SPACE, place) for place in range(6)]
    assert [turn and turn.study.study for turn in turns] == ["whole", None, "old", None, "whole", None]
    assert [turn.point for turn in turns if turn] == [whole, {}, {}]
    against = told((1e-5, 1.0), (1e-4, 20.0), (1e-2, 30.0), (1e-1, 40.0))
    assert turn_of([LOW_RATES_WIN], against, SPACE, 0) is None


@pytest.mark.parametrize("dimension", [RATE, RANK, STEPS, replace(RATE, domain=Numbers(low=1, high=8, step=1))])
def test_optuna_knows_a_dimension_as_of_a_trial_that_was_drawn(dimension: Dimension) -> None:
    trial = optuna.create_study().ask()
    suggest(trial, dimension)
    assert trial.distributions == {dimension.name: distribution_of(dimension)}


def searched(folder: Path, *overrides: str) -> Plan:
    return plan(["+experiment=pencil", f"study.folder={folder}", "study.recipes=null", *overrides])


def make(request: Plan, scores: Mapping[int, float], pruned: int | None = None) -> list[Params]:
    """A study with these scores; a trial more where one is pruned, and one that has not ended."""
    folder = Path(request.config.study.folder)
    search = Search.open(request.config, request.space, folder / DATABASE)
    drawn = [search.ask()[1] for _ in range(len(scores) + 2)]
    for number, score in scores.items():
        search.tell_complete(number, score)
    if pruned is not None:
        search.report(pruned, 40, 99.0)
        search.tell_pruned(pruned, "hopeless")
    return drawn


def test_trials_are_read_best_first_the_pruned_last_and_what_runs_is_told(tmp_path: Path) -> None:
    drawn = make(searched(tmp_path, "study.name=old"), {0: 10.0, 1: 30.0, 2: 20.0}, pruned=3)
    now = searched(tmp_path, "study.name=new", "study.learn_from=[old]", "train.steps=80", "eval.every=40")
    earlier = read_earlier(now, DATABASE)
    (evidence,) = earlier.evidence
    assert list(evidence.points) == [drawn[1], drawn[2], drawn[0], drawn[3]]
    shaped, steps = earlier.notes
    assert shaped == (
        "study.learn_from: 4 trials of study old shape the first draws; 1 that had not ended say nothing yet"
    )
    assert steps.startswith("study old had train.steps=160, this one has 80: learning rates that were best there may")
    elsewhere = searched(tmp_path / "other", "study.name=new", f"study.learn_from=[{tmp_path}/old]")
    assert [each.points for each in read_earlier(elsewhere, DATABASE).evidence] == [evidence.points]


def test_what_was_fixed_or_called_otherwise_is_read_in_this_studys_words(tmp_path: Path) -> None:
    request = searched(
        tmp_path,
        "study.name=raw",
        "adapter.rank=4",
        "optimizer=lion",
        "optimizer.lr=2e-3,4e-3",
        "adapter.alpha_ratio=0.5",
    )
    make(request, {0: 10.0, 1: 30.0})
    now = searched(tmp_path, "study.name=new", "study.learn_from=[raw]")
    earlier = read_earlier(now, DATABASE)
    (evidence,) = earlier.evidence
    for point in evidence.points:  # rates are those that layers feel, of the trial's own rank and alpha
        trial = now.trial(point)
        assert (trial.optimizer.name, trial.adapter.rank) == ("lion", 4)
        assert trial.optimizer.lr == pytest.approx(2e-3) or trial.optimizer.lr == pytest.approx(4e-3)


def test_trials_outside_of_the_space_and_studies_that_say_nothing_are_left_out_in_a_line(tmp_path: Path) -> None:
    make(searched(tmp_path, "study.name=ranks", "adapter.rank=64,128"), {0: 10.0, 1: 30.0})
    make(searched(tmp_path, "study.name=other", "base=sd15"), {0: 10.0})
    make(searched(tmp_path, "study.name=failed"), {})
    names = ("ranks", "other", "failed")
    now = searched(tmp_path, "study.name=new", f"study.learn_from=[{','.join(names)}]")
    earlier = read_earlier(now, DATABASE)
    assert earlier.evidence == ()
    ranks, other, failed = earlier.notes
    assert ranks.startswith("study.learn_from: study ranks is left out, none of its 2 trials lies in this space")
    assert other.startswith("study.learn_from: study other is left out, its base is another one: base.name=sd15, here")
    assert failed.startswith("study.learn_from: study failed is left out, it has no trial with a score; 2 that had not")


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere", "holds no study nowhere"), ("new", "names the study itself; leave new out")],
)
def test_a_study_that_is_not_there_or_the_study_itself_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=said):
        read_earlier(searched(tmp_path, "study.name=new", f"study.learn_from=[{name}]"), DATABASE)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("study.sampler=random", "learn_from is for samplers that learn, got sampler=random"),
        ("study.objectives=[style,drift]", "learn_from takes one objective, got style, drift"),
    ],
)
def test_a_study_that_cannot_learn_from_others_says_so(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(["+experiment=pencil", "study.learn_from=[old]", override, "eval.screening_prompts=null"])


def test_a_study_keeps_what_it_was_told_when_it_goes_on(tmp_path: Path) -> None:
    request = searched(tmp_path, "study.name=new", "study.learn_from=[old]")
    database = tmp_path / DATABASE
    good = {"optimizer": "lion", "optimizer=lion:layer_lr": 1e-3, "optimizer=lion:weight_decay": 0.05}
    whole = {**good, "adapter.rank": 8, "adapter.alpha_ratio": 1, "adapter.targets": "attention"}
    evidence = Evidence("old", ({**whole, "lr_scheduler": "cosine"},) * 3)
    first = Search.open(request.config, request.space, database, earlier=[evidence])
    drawn = [first.ask()[1] for _ in range(2)]
    again = Search.open(request.config, request.space, database, earlier=[])  # the old one is gone
    other = Search.open(replace(request.config, study=replace(request.config.study, name="x")), request.space)
    assert drawn[0] == {**whole, "lr_scheduler": "cosine"} != other.ask()[1]
    alone = Search.open(request.config, request.space, earlier=[evidence])
    assert [alone.ask()[1] for _ in range(3)] == [*drawn, again.ask()[1]]


def test_earlier_trials_that_are_right_help_and_wrong_ones_cost_nothing() -> None:
    """The best true score after nine trials, over eight searches; `benchmarks.learn_from` has more of them."""
    from benchmarks.learn_from import SEEN, found

    request = plan(["+experiment=pencil", "study.recipes=null"])
    at = SEEN.index(9)
    means = {
        which: float(np.mean([found(request, which, seed, SEEN[at])[at] for seed in range(8)]))
        for which in ("none", "the same", "wrong")
    }
    assert means["the same"] > means["none"]
    assert means["wrong"] > means["none"] - 3.0
