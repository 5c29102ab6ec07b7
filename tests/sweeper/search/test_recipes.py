"""Known good settings as a study's first trials."""

from __future__ import annotations

import pytest

from foundation.errors import ConfigError
from sweeper.search.recipes import recipes_in
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search

ONE = "+study.recipes.mine={optimizer: lion, optimizer.lr: 2e-4, adapter.rank: 12, adapter.alpha_ratio: 0.5}"
OTHERS = [f"study.recipes.{name}=null" for name in ("adamw", "lion", "prodigy")]
NONE = "study.recipes=null"


@pytest.fixture(scope="module")
def default() -> Plan:
    return plan(["+experiment=pencil"])


def test_the_first_trials_have_the_recipes_to_the_last_value(default: Plan) -> None:
    recipes = recipes_in(default)
    assert not recipes.notes
    search = Search.open(default.config, default.space, first=recipes.first)
    trials = [default.trial(search.ask()[1]).trial for _ in range(4)]
    made = [(each.optimizer.name, each.optimizer.lr, each.adapter.rank, each.lr_scheduler.name) for each in trials]
    assert made[:3] == [
        ("adamw8bit", 1e-3, 16, "constant"),
        ("lion", 3e-4, 16, "cosine"),
        ("prodigy", 1.0, 16, "cosine"),
    ]
    assert made[3] not in made[:3]


def test_a_recipe_takes_the_nearest_numbers_of_the_space_and_the_sampler_draws_what_it_leaves_open() -> None:
    request = plan([*OTHERS, ONE])
    (point,) = recipes_in(request).first
    assert (point["optimizer"], point["adapter.rank"], point["adapter.alpha_ratio"]) == ("lion", 16, 0.5)
    assert point["optimizer=lion:layer_lr"] == pytest.approx(1.5e-4)  # 2e-4 · .5 · √(12/16) is below the range
    assert "lr_scheduler" not in point
    drawn = Search.open(request.config, request.space, first=[point]).ask()[1]
    assert {**drawn, **point} == drawn and "lr_scheduler" in drawn


def test_recipes_of_other_optimizers_are_left_out_and_counted_but_not_those_of_its_8_bit_kin() -> None:
    recipes = recipes_in(plan(["optimizer=adamw"]))
    assert [each["optimizer.layer_lr"] for each in recipes.first] == [1e-3]
    assert recipes.notes == ("not among the first trials: lion, prodigy (the study trains with optimizer=adamw)",)
    chosen = recipes_in(plan(["optimizer=choice(adamw,came)"]))
    assert [each["optimizer"] for each in chosen.first] == ["adamw"]
    (note,) = chosen.notes
    assert note == "not among the first trials: lion, prodigy (the study trains with optimizer=adamw|came)"


def test_a_null_that_the_study_does_not_search_leaves_the_recipe_out() -> None:
    mine = "+study.recipes.mine={train.ema_decay: null, adapter.rank: 8}"
    searched = "train.ema_decay={}"
    (note,) = recipes_in(plan([*OTHERS, mine, searched.format("0.9,0.99")])).notes
    assert note.startswith("not among the first trials: mine (the study searches train.ema_decay in choice(0.9, 0.99)")
    (point,) = recipes_in(plan([*OTHERS, mine, searched.format("null,0.9")])).first
    assert (point["train.ema_decay"], point["adapter.rank"]) == (None, 8)


@pytest.mark.parametrize("without", ["study.sampler=grid", "study.narrow_from=earlier", NONE])
def test_a_grid_and_a_study_around_an_earlier_one_have_none(without: str) -> None:
    settled = ["optimizer=adamw", "optimizer.lr=1e-4"]
    assert recipes_in(plan([*settled, without])).first == ()


def test_one_can_be_taken_away_and_there_are_no_more_than_trials() -> None:
    kept = recipes_in(plan(["study.recipes.adamw=null", "study.num_trials=1"]))
    assert [each["optimizer"] for each in kept.first] == ["lion"]


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ("{optimizer: adamwx}", "study.recipes.mine: optimizer must be one of"),
        (
            "{eval.every: 3}",
            "study.recipes.mine: eval cannot be set; what may differ from trial to trial is in adapter",
        ),
        ("{adapter.rank: 0}", "study.recipes.mine: adapter.rank must be"),
        ("{adapter.rnk: 3}", "study.recipes.mine: adapter.rnk is unknown"),
    ],
)
def test_a_recipe_of_nonsense_is_one_line(recipe: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipes_in(plan([f"+study.recipes.mine={recipe}"]))
    (line,) = caught.value.problems
    assert line.startswith(problem)
