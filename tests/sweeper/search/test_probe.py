"""Ladders of learning rates: what is trained, and where the ranges go by losses that are known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.search.dimension import Numbers
from sweeper.search.probe import Ladder, finding_of, ladders, lowest
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search

PENCIL = ["+experiment=pencil", "optimizer=choice(adamw8bit,lion,prodigy)"]
BASE = (1.0, 0.8, 1.2)


@pytest.fixture(scope="module")
def asked() -> Plan:
    return plan([*PENCIL, "study.num_trials=20", "train.steps=600"])


@pytest.fixture(scope="module")
def ladder(asked: Plan) -> Ladder:
    return ladders(asked.space, asked.config.study, 600, [])[0]


def test_each_range_of_rates_has_a_ladder_within_a_tenth_of_the_studys_steps(asked: Plan, ladder: Ladder) -> None:
    found = ladders(asked.space, asked.config.study, 600, [])
    assert [each.dimension.name for each in found] == ["optimizer=adamw8bit:layer_lr", "optimizer=lion:layer_lr"]
    assert sum(each.steps * len(each.points) for each in found) <= 0.1 * 20 * 600
    domain = ladder.dimension.domain
    assert isinstance(domain, Numbers)
    assert (ladder.rates[0], ladder.rates[-1]) == (pytest.approx(domain.low / 3), pytest.approx(domain.high * 3))
    apart = {round(math.log(high / low), 9) for low, high in zip(ladder.rates, ladder.rates[1:], strict=False)}
    assert len(apart) == 1
    for point, rate in zip(ladder.points, ladder.rates, strict=True):
        assert asked.space.counting(point) and point["optimizer"] == "adamw8bit"
        spec = asked.trial(point).trial
        assert spec.optimizer.name == "adamw8bit" and spec.adapter.rank == point["adapter.rank"]
        assert point[ladder.dimension.name] == pytest.approx(rate, rel=1e-3)


def test_all_but_the_rate_is_as_in_a_known_point_of_the_same_optimizer(asked: Plan) -> None:
    lion = {"optimizer": "lion", "adapter.rank": 32, "optimizer=lion:layer_lr": 1e-3}
    first, second = ladders(asked.space, asked.config.study, 600, [lion])
    assert {point["adapter.rank"] for point in second.points} == {32}
    assert {point["adapter.rank"] for point in first.points} == {16}  # the middle of what is searched


@pytest.mark.parametrize("words", ["study.probe=never", "study.num_trials=3", "optimizer.lr=0.5", "optimizer=prodigy"])
def test_no_ladder_where_none_is_wanted_or_can_tell(words: str) -> None:
    short = plan([*PENCIL, "study.num_trials=20", "train.steps=600", words])
    assert ladders(short.space, short.config.study, 600, []) == []


def test_always_is_as_short_as_it_must_be() -> None:
    short = plan([*PENCIL, "study.num_trials=4", "study.probe=always"])
    assert {each.steps for each in ladders(short.space, short.config.study, 160, [])} == {10}


def test_a_parabola_through_three_losses_has_its_lowest_point_between_the_rungs() -> None:
    rates = [10.0**-each for each in (5, 4, 3, 2)]
    losses = [[(math.log10(rate) + 3.3) ** 2] for rate in rates]
    assert lowest(rates, losses) == pytest.approx(10**-3.3)
    assert lowest(rates, [[3.0], [2.0], [1.0], []]) == 1e-3  # one neighbour could not go on
    assert lowest(rates, [[1.0], [2.0], [3.0], [4.0]]) == 1e-5


def test_the_range_moves_to_the_rate_that_learns_most_and_stays_as_wide(ladder: Ladder) -> None:
    wanted = ladder.rates[2]
    losses = [[b * (0.5 + 0.1 * abs(math.log(rate / wanted))) for b in BASE] for rate in ladder.rates]
    found, domain = finding_of(ladder, losses, BASE, 600), ladder.dimension.domain
    assert isinstance(domain, Numbers)
    centre = wanted * (ladder.steps / 600) ** 0.4
    assert math.sqrt(found.low * found.high) == pytest.approx(centre, rel=5e-3)
    assert found.high / found.low == pytest.approx(domain.high / domain.low, rel=1e-2)
    assert f"the rate {wanted:.2g} learns most" in found.words and "trials of 600 search" in found.words


def test_a_base_that_learns_nothing_for_sure_leaves_the_range(ladder: Ladder) -> None:
    by_chance = [[0.9, 0.9, 1.2], *[[*BASE]] * 4, []]
    found, domain = finding_of(ladder, by_chance, BASE, 600), ladder.dimension.domain
    assert isinstance(domain, Numbers) and (found.low, found.high) == (domain.low, domain.high)
    assert "lowers the validation loss surely" in found.words


def test_a_moved_range_is_drawn_from_for_good_and_recipes_go_to_its_ends(asked: Plan, tmp_path: Path) -> None:
    config = replace(asked.config, study=replace(asked.config.study, sampler="random"))
    name = "optimizer=adamw8bit:layer_lr"
    recipe = {"optimizer": "adamw8bit", "adapter.rank": 16, name: 1e-3}

    def search() -> Search:
        return Search.open(config, asked.space, tmp_path / "studies.db", first=[recipe])

    new = search()
    new.move({name: (1e-5, 3e-5)})
    _, first = new.ask()
    assert (first["optimizer"], first["adapter.rank"], first[name]) == ("adamw8bit", 16, 3e-5)
    rates = [params[name] for _, params in (search().ask() for _ in range(12)) if name in params]
    assert rates and all(1e-5 <= rate <= 3e-5 for rate in rates)  # type: ignore[operator]
