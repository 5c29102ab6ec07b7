"""The space shrinks around what worked, and holds what worked."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper.search.database import config_of, ranking_of
from sweeper.search.dimension import Choices, Dimension, Numbers, Params, Space
from sweeper.search.narrowing import changes, differences, narrow
from sweeper.search.space import plan

RANKS = Choices(of=(2, 4, 8, 16, 32, 64))
RATES = Numbers(low=1e-5, high=1e-1, log=True)
SPACE = Space(
    dimensions=(
        Dimension(name="optimizer", key="optimizer", domain=Choices(of=("adamw", "lion", "prodigy"))),
        Dimension(name="adapter.rank", key="adapter.rank", domain=RANKS),
        Dimension(name="train.steps", key="train.steps", domain=Numbers(low=100, high=900, step=100)),
        Dimension(name="optimizer=lion:lr", key="optimizer.lr", domain=RATES, condition=("optimizer", "lion")),
        Dimension(name="optimizer=adamw:lr", key="optimizer.lr", domain=RATES, condition=("optimizer", "adamw")),
    )
)


def tried(optimizer: str, rank: int, steps: int, lr: float) -> Params:
    return {"optimizer": optimizer, "adapter.rank": rank, "train.steps": steps, f"optimizer={optimizer}:lr": lr}


BEST = [tried("lion", 8, 400, 1e-3), tried("lion", 16, 500, 2e-3), tried("lion", 8, 400, 1e-3)]
RANKING = [*BEST, *(tried("adamw", 64, 900, 1e-1) for _ in range(9))]


def test_each_kind_of_dimension_shrinks_around_the_best_quarter() -> None:
    space, _ = narrow(SPACE, RANKING)
    domains = {each.name: each.domain for each in space.dimensions}
    assert domains["optimizer"] == Choices(of=("lion",))
    assert domains["adapter.rank"] == Choices(of=(4, 8, 16, 32))  # a neighbour on each side
    assert domains["train.steps"] == Numbers(low=200, high=700, step=100)
    assert "optimizer=adamw:lr" not in domains  # adamw cannot be chosen any more
    rate = domains["optimizer=lion:lr"]
    assert isinstance(rate, Numbers)
    assert (rate.low, rate.high) == (pytest.approx(1e-4, rel=1e-3), pytest.approx(2e-2, rel=1e-3))  # a decade each


def test_what_was_narrowed_is_said_from_what_to_what() -> None:
    space, first = narrow(SPACE, RANKING)
    assert changes(SPACE, space, len(first)) == (
        "narrowed: optimizer from choice(adamw, lion, prodigy) to choice(lion); "
        "adapter.rank from choice(2, 4, 8, 16, 32, 64) to choice(4, 8, 16, 32); "
        f"train.steps from {SPACE.fingerprint()['train.steps']} to {space.fingerprint()['train.steps']}; "
        f"optimizer=lion:lr from {SPACE.fingerprint()['optimizer=lion:lr']} to "
        f"{space.fingerprint()['optimizer=lion:lr']}; optimizer=adamw:lr is gone with its option; "
        "3 of the best are tried first"
    )
    assert changes(SPACE, SPACE, 0) == "narrowed: nothing, the best lie all over the space"


def test_where_steps_differ_it_is_said_unless_they_are_searched() -> None:
    before, now = {"train.steps": "40", "base.name": "pocket"}, {"train.steps": "160", "base.name": "pocket"}
    (line,) = differences("small", before, now, set())
    assert line.startswith("study small had train.steps=40, this one has 160: learning rates that were best there may")
    assert differences("small", before, now, {"train.steps"}) == []
    assert differences("small", {}, now, set()) == []


def test_the_best_come_first_and_lie_in_the_new_space() -> None:
    space, first = narrow(SPACE, RANKING)
    assert first == BEST
    assert all(space.within(params) == params for params in first)


def test_what_the_best_do_not_tell_of_stays_as_it_is_and_they_are_not_tried_whole() -> None:
    known = [{"adapter.rank": 8}] * 4
    space, first = narrow(SPACE, known)
    assert [each.domain for each in space.dimensions if each.name != "adapter.rank"] == [
        each.domain for each in SPACE.dimensions if each.name != "adapter.rank"
    ]
    assert first == []


def test_an_unordered_choice_keeps_what_occurs_and_values_from_elsewhere_are_passed_over() -> None:
    space, _ = narrow(SPACE, [tried("prodigy", 7, 5000, 1.0), tried("adamw", 4, 100, 1e-5)])
    domains = {each.name: each.domain for each in space.dimensions}
    assert domains["optimizer"] == Choices(of=("adamw", "prodigy"))
    assert domains["adapter.rank"] == Choices(of=(2, 4, 8))
    assert domains["train.steps"] == Numbers(low=100, high=300, step=100)


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(StudyError, match="searched nothing of what this one searches"):
        narrow(SPACE, [{"eval.other": 1}])


def test_an_unknown_study_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"study\.narrow_from: .* holds no study before"):
        ranking_of("before", tmp_path / "studies.db", "maximize")


def test_a_study_without_a_finished_trial_is_no_start_and_others_come_best_first(tmp_path: Path) -> None:
    from sweeper.search.study import Search

    asked = plan(["+experiment=pencil", "study.name=before", "study.sampler=random"])
    search = Search.open(asked.config, asked.space, tmp_path / "studies.db")
    with pytest.raises(StudyError, match="study before has no finished trial"):
        ranking_of("before", tmp_path / "studies.db", "maximize")
    drawn = [search.ask() for _ in range(3)]
    for (number, _), score in zip(drawn, (10.0, 30.0, 20.0), strict=True):
        search.tell_complete(number, score)
    ranking = ranking_of("before", tmp_path / "studies.db", "maximize")
    assert ranking == [drawn[1][1], drawn[2][1], drawn[0][1]]
    assert config_of("before", tmp_path / "studies.db")["train.steps"] == str(asked.config.train.steps)
    space, first = narrow(asked.space, ranking)
    assert first == ranking
    after = plan(["+experiment=pencil", "study.name=after", "study.narrow_from=before"])
    again = Search.open(after.config, space, tmp_path / "studies.db", first=first)
    assert not again.has_trials
    assert [again.ask()[1] for _ in range(3)] == ranking
    with pytest.raises(StudyError, match="holds no study nowhere; there are after, before"):
        ranking_of("nowhere", tmp_path / "studies.db", "maximize")
