"""A study of several objectives in Optuna: its front, its constraint, its database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from foundation.config.compose import compose
from foundation.errors import StudyError
from sweeper.records.config import Config, parse_config
from sweeper.records.urls import sqlite_url
from sweeper.search.database import ranking_of
from sweeper.search.dimension import Choices, Dimension, Numbers, Space
from sweeper.search.study import Search

LR = Dimension(name="optimizer.lr", key="optimizer.lr", domain=Numbers(low=1e-5, high=1e-1, log=True))
RANK = Dimension(name="adapter.rank", key="adapter.rank", domain=Choices(of=(4, 8, 16, 32)))
SPACE = Space(dimensions=(LR, RANK))


@pytest.fixture(scope="module")
def config() -> Config:
    asked = parse_config(compose(["+experiment=pencil", "eval.screening_prompts=null"]))
    study = replace(asked.study, objectives=("style", "prompt_match", "drift"), startup_trials=4)
    return replace(asked, study=study)


def beaten(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether `other` is at least as good in all of style, prompt match and drift, and better in one."""
    pairs = [(other[0], one[0]), (other[1], one[1]), (-other[2], -one[2])]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def test_the_front_is_what_nothing_clean_beats_and_the_sampler_lives_with_every_end(config: Config) -> None:
    """Against brute force, with trials of every end, four at a time."""
    generator = np.random.default_rng(0)
    search = Search.open(config, SPACE)
    running = [search.ask()[0] for _ in range(4)]
    clean: dict[int, tuple[float, ...]] = {}
    for turn in range(30):
        number = running.pop(0)
        search.report(number, 40, float(turn))
        values = tuple(float(v) for v in generator.integers(0, 6, 3))  # few values, so that there are ties
        if turn % 5 == 1:
            search.tell_pruned(number, "hopeless")
        elif turn % 5 == 2:
            search.constrain(number, 0.3)
            search.tell_pruned(number, "looks overfit")
        elif turn % 5 == 3:
            search.constrain(number, 0.2)
            search.tell_complete(number, 99.0, "least overfit", (9.0, 9.0, -9.0))  # beats all, but is not clean
        else:
            search.constrain(number, -0.1)
            search.tell_complete(number, float(turn), "all steps done", values)
            clean[number] = values
        running.append(search.ask()[0])
    front = [n for n, values in clean.items() if not any(beaten(values, other) for other in clean.values())]
    assert search.front() == sorted(front)
    assert 1 < len(front) < len(clean)
    assert [past.value for past in search.ended_trials() if past.status == "pruned"] == [None] * 12


def test_a_resumed_study_has_its_front_and_its_scores(config: Config, tmp_path: Path) -> None:
    search = Search.open(config, SPACE, tmp_path / "studies.db")
    for number, excess in enumerate((-0.1, 0.2)):
        search.ask()
        search.constrain(number, excess)
        search.tell_complete(number, 10.0 + number, "all steps done", (float(number), 0.0, 0.0))
    search.ask()
    search.tell_pruned(2, "hopeless")
    again = Search.open(config, SPACE, tmp_path / "studies.db")
    assert again.front() == search.front() == [0]
    assert [past.value for past in again.ended_trials()] == [10.0, 11.0, None]
    stored = optuna.load_study(study_name="pencil", storage=sqlite_url(tmp_path / "studies.db")).trials
    assert [each.constraints for each in stored] == [{"overfit": -0.1}, {"overfit": 0.2}, {}]


def test_a_constraint_noted_again_after_a_crash_is_replaced(config: Config) -> None:
    search = Search.open(config, SPACE)
    for excess in (0.4, -0.2):
        number, _ = search.ask() if excess > 0 else (0, {})
        search.constrain(number, excess)
    search.tell_complete(0, 10.0, "", (1.0, 1.0, 1.0))
    assert search.front() == [0]


def test_the_sampler_goes_where_the_clean_front_is(config: Config) -> None:
    """Style wants a high rate, drift a low one, and above 1e-2 every trial is overfit: the middle is worth a look."""
    search = Search.open(config, SPACE)
    rates = []
    for _ in range(60):
        number, params = search.ask()
        place = np.log10(float(params["optimizer.lr"] or 0.0))
        rates.append(place)
        search.constrain(number, 0.4 if place > -2 else -0.4)
        values = (place, -abs(place + 3), max(0.0, place + 3))  # nothing is gained below 1e-3
        search.tell_complete(number, 0.0, "", values)
    late = [-3.5 < place < -2 for place in rates[30:]]
    assert np.mean(late) > 0.6  # by chance: 0.375
    assert all(rates[number] <= -2 for number in search.front())


@pytest.mark.parametrize(
    "pair",
    [(("score",), ("style", "drift")), (("style", "drift"), ("score",)), (("style", "drift"), ("drift", "style"))],
)
def test_other_objectives_under_the_same_name_are_refused(
    config: Config, tmp_path: Path, pair: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    was, now = (replace(config, study=replace(config.study, objectives=names)) for names in pair)  # type: ignore[arg-type]
    Search.open(was, SPACE, tmp_path / "studies.db").ask()
    with pytest.raises(StudyError) as caught:
        Search.open(now, SPACE, tmp_path / "studies.db")
    assert str(caught.value) == (
        f"study pencil exists and is another one: study.objectives was {', '.join(pair[0])}, "
        f"is now {', '.join(pair[1])}; set study.name to a new name, or ask for what it was to resume it"
    )


def test_a_later_study_starts_from_its_best_scores(config: Config, tmp_path: Path) -> None:
    search = Search.open(config, SPACE, tmp_path / "studies.db")
    drawn = [search.ask() for _ in range(3)]
    for (number, _), score in zip(drawn, (10.0, 30.0, 20.0), strict=True):
        search.tell_complete(number, score, "", (-score, 0.0, 0.0))
    ranking = ranking_of("pencil", tmp_path / "studies.db", "maximize")
    assert ranking == [drawn[1][1], drawn[2][1], drawn[0][1]]
