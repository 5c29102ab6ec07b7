"""What is searched: Hydra's grammar, conditional spaces, and who replaces whom."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from foundation.config.compose import parse_overrides
from foundation.data.spec import Views
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS
from sweeper.search.dimension import Choices, Dimension, Numbers, Space
from sweeper.search.space import Plan, domain_of, plan
from train.spec.optimizer_kinds import OPTIMIZERS

ALONE = ["optimizer=adamw", "optimizer.lr=1e-3", "lr_scheduler=constant"]
ALONE += ["adapter.rank=8", "adapter.alpha_ratio=1", "adapter.targets=attention"]
"""Everything that is searched by default, settled."""


def domains(*overrides: str) -> dict[str, str]:
    return plan(overrides).space.fingerprint()


def domain(sweep: str) -> Choices | Numbers:
    (override,), _ = parse_overrides([sweep])
    return domain_of(override)


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan(overrides)
    return list(caught.value.problems)


@pytest.fixture(scope="module")
def default() -> Plan:
    return plan(["+experiment=pencil"])


def test_the_default_space_is_conditional_on_the_optimizer_and_follows_the_base(default: Plan) -> None:
    assert default.space.fingerprint() == {
        "optimizer": "choice(adamw8bit, lion, prodigy)",
        "lr_scheduler": "choice(constant, constant_with_warmup, cosine)",
        "adapter.rank": "choice(4, 8, 16, 32)",
        "adapter.alpha_ratio": "choice(0.25, 0.5, 1, 2)",
        "adapter.targets": "choice(attention, attention+ff)",
        "optimizer=adamw8bit:layer_lr": "of layers, log, 0.0003 to 0.008",
        "optimizer=lion:layer_lr": "of layers, log, 0.00015 to 0.0015",
        "optimizer=lion:weight_decay": "log, 0.03 to 0.1",
        "optimizer=prodigy:d_coef": "log, 0.3 to 3.0",
    }
    assert domains("base=sd15")["optimizer=adamw8bit:layer_lr"] == "of layers, log, 3e-05 to 0.0008"


def test_the_largest_of_whole_numbers_is_known_whatever_it_depends_on(default: Plan) -> None:
    assert default.space.largest("adapter.rank", fixed=16) == 32
    assert default.space.largest("train.batch_size", fixed=4) == 4
    swept = plan(["adapter.rank=tag(log,int,interval(2,48))"]).space
    assert swept.largest("adapter.rank", fixed=16) == 48


def test_only_what_counts_becomes_an_override(default: Plan) -> None:
    params = {"optimizer": "lion", "lr_scheduler": "cosine", "adapter.rank": 4, "adapter.alpha_ratio": 0.5}
    params |= {
        "adapter.targets": "attention+ff",
        "optimizer=lion:layer_lr": 0.0001,
        "optimizer=lion:weight_decay": 0.05,
    }
    params |= {"optimizer=adamw8bit:layer_lr": 0.009}
    overrides = default.space.overrides(params)
    assert overrides == [
        "optimizer=lion",
        "lr_scheduler=cosine",
        "adapter.rank=4",
        "adapter.alpha_ratio=0.5",
        "adapter.targets=attention+ff",
        "optimizer.lr=0.0001",
        "optimizer.weight_decay=0.05",
    ]
    trial = default.trial(params).trial
    assert (trial.optimizer.name, trial.optimizer.lr, trial.optimizer.beta2) == (
        "lion",
        4e-4,
        0.99,
    )  # of rank 4, alpha 2
    assert (trial.lr_scheduler.name, trial.adapter.rank, trial.adapter.targets) == ("cosine", 4, "attention+ff")


def test_a_sweep_on_the_command_line_replaces_a_dimension_or_adds_one() -> None:
    found = domains("+experiment=pencil", "adapter.rank=2,64", "objective.snr_gamma=null,5")
    assert found["adapter.rank"] == "choice(2, 64)"
    assert found["objective.snr_gamma"] == "choice(null, 5)"
    assert len(found) == 10


def test_a_sweep_replaces_what_each_option_searched() -> None:
    found = domains("optimizer=adamw,lion", "optimizer.lr=tag(log, interval(1e-4, 1e-3))")
    assert found["optimizer.lr"] == "log, 0.0001 to 0.001"
    assert [name for name in found if name.endswith(":lr")] == []
    assert "optimizer=lion:weight_decay" in found


def test_a_plain_value_removes_its_dimension_from_the_study_and_from_every_option() -> None:
    asked = plan(["optimizer=choice(adamw,lion)", "optimizer.lr=1e-3", "adapter.rank=8"])
    assert not {"adapter.rank", "optimizer.lr", "optimizer=adamw:lr", "optimizer=lion:lr"} & set(
        asked.space.fingerprint()
    )
    assert (asked.config.optimizer.lr, asked.config.adapter.rank) == (1e-3, 8)
    for option in ("adamw", "lion"):
        point = {each.name: each.domain.corners()[0] for each in asked.space.dimensions} | {"optimizer": option}
        assert asked.trial(point).optimizer.lr == 1e-3


def test_a_plain_group_option_leaves_its_own_space_unconditional() -> None:
    found = plan(["optimizer=lion"]).space
    assert "optimizer" not in found.fingerprint()
    assert next(each for each in found.dimensions if each.key == "optimizer.lr").condition is None


def test_a_sweep_over_a_key_of_some_options_counts_only_for_these() -> None:
    found = plan(["optimizer=adamw,prodigy", "optimizer.d_coef=1,2"]).space
    (dimension,) = [each for each in found.dimensions if each.key == "optimizer.d_coef"]
    assert (dimension.name, dimension.condition) == ("optimizer=prodigy:d_coef", ("optimizer", "prodigy"))
    assert str(dimension.domain) == "choice(1, 2)"


def test_what_is_of_the_text_encoder_counts_only_where_that_is_trained() -> None:
    asked = [*ALONE, "adapter.text_encoder_rank=2,4", "optimizer.text_encoder_lr_ratio=0.1,1"]
    found = plan([*asked, "adapter.text_encoder=true,false"]).space
    assert [each.condition for each in found.dimensions] == [None, *[("adapter.text_encoder", True)] * 2]
    points = list(found.points())
    assert len(points) == 5 and {"adapter.text_encoder": False} in points
    assert all(each.condition is None for each in plan([*asked, "adapter.text_encoder=true"]).space.dimensions)
    assert problems(*asked, "adapter.text_encoder=false,true", "adapter.text_encoder_rank=0,4") == [
        "adapter.text_encoder_rank must be ≥ 1, got 0"
    ]


def test_of_two_overrides_for_one_key_the_later_counts() -> None:
    assert domains("adapter.rank=8", "adapter.rank=4,8")["adapter.rank"] == "choice(4, 8)"
    assert "adapter.rank" not in domains("adapter.rank=4,8", "adapter.rank=8")


def test_a_range_leaves_its_end_out_as_in_hydras_grid() -> None:
    assert domain("adapter.rank=range(1,3)").values() == (1, 2)
    assert domain("adapter.rank=range(4,17,4)").values() == (4, 8, 12, 16)
    assert domain("adapter.rank=range(4,16,4)").values() == (4, 8, 12)
    assert domain("adapter.rank=range(3,0,-1)").values() == (1, 2, 3)
    assert domain("train.seed=range(3)").values() == (0, 1, 2)
    assert domain("adapter.dropout=range(0,0.9,0.3)").values() == (0.0, 0.3, 0.6)
    assert domain("adapter.dropout=range(0,0.3,0.1)").values() == (0.0, 0.1, 0.2)


def test_an_interval_has_both_ends_and_takes_the_tags_log_and_int() -> None:
    assert domain("adapter.dropout=interval(0,0.3)") == Numbers(low=0.0, high=0.3)
    assert domain("optimizer.lr=tag(log,interval(1e-5,1e-3))") == Numbers(low=1e-5, high=1e-3, log=True)
    whole = domain("adapter.rank=tag(int,interval(1,8))")
    assert whole == domain("adapter.rank=int(interval(1,8))") == Numbers(low=1, high=8, step=1)
    assert whole.values() == tuple(range(1, 9))
    assert domain("adapter.rank=tag(log,int,interval(1,64))") == Numbers(low=1, high=64, step=1, log=True)


def test_choices_keep_their_types_and_their_text() -> None:
    assert domain("objective.snr_gamma=null,5,2.5").values() == (None, 5, 2.5)
    assert domain("adapter.rslora=true,false").values() == (True, False)
    assert domain("adapter.targets=choice([to_q,to_v],attention)").values() == ("[to_q,to_v]", "attention")
    assert domain("adapter.rank=sort(8,4)").values() == (4, 8)
    assert domain("+optimizer.settings.eps=1e-8,1e-6").values() == (1e-8, 1e-6)


def test_every_value_of_a_choice_comes_through_hydra_as_it_was_written() -> None:
    asked = plan([*ALONE[:-1], "adapter.targets=choice([to_q,'to,v'],attention)", "objective.snr_gamma=null,5"])
    targets = [asked.trial(point).adapter.targets for point in asked.space.points()]
    assert targets == [("to_q", "to,v"), ("to_q", "to,v"), "attention", "attention"]
    assert [asked.trial(point).objective.snr_gamma for point in asked.space.points()] == [None, 5.0, None, 5.0]


def test_glob_takes_the_options_of_a_group() -> None:
    assert domains("optimizer=glob(adam*)")["optimizer"] == "choice(adamw, adamw8bit)"
    assert problems("optimizer=glob(x*)")[0] == "optimizer=glob(x*): there is nothing to choose from"


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ("adapter.rank=shuffle(4,8)", "shuffle has no meaning here"),
        ("adapter.rank=tag(log,range(1,9))", "tags are for intervals"),
        ("adapter.rank=tag(slow,interval(1,9))", "the tags of an interval are log, int and layer, got slow"),
        ("adapter.dropout=tag(log,interval(0,1))", "an interval that is even in the logarithm starts above 0, got 0.0"),
        ("adapter.dropout=interval(0.3,0.1)", "an interval goes from a finite low to a finite high, got 0.3 to 0.1"),
        ("adapter.rank=tag(int,interval(1,2.5))", "the ends of an interval of whole numbers are whole, got 1.0 to 2.5"),
        ("adapter.rank=range(3,1)", "the range from 3 to 1 in steps of 1 is empty"),
        ("adapter.rank=range(1,3,0)", "a range needs finite numbers and a step that is not 0"),
        ("adapter.rank=4,4", "4 and 4 are the same"),
        ("adapter.rank=1,true", "1 and true are the same"),
        ("adapter.dropout=0,nan", "nan is not finite"),
        ("adapter.rank=glob(*)", "glob is for the options of a group"),
    ],
)
def test_a_sweep_that_means_nothing_is_refused_with_the_reason(sweep: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        domain(sweep)


def test_a_refused_sweep_is_reported_as_it_was_written() -> None:
    (problem,) = problems(*ALONE, "adapter.rank=shuffle(4,8)")
    assert problem.startswith("adapter.rank=shuffle(4,8): shuffle has no meaning here")


def test_only_what_makes_a_trial_can_be_searched() -> None:
    for key in ("study.num_trials", "eval.every", "data.name", "+experiment", "base"):
        (problem,) = problems(f"{key}=3,4", *ALONE)
        assert problem.startswith(f"{key.lstrip('+')} cannot be searched; what may differ")
    assert problems("foo.bar=1,2", *ALONE)[0].startswith("foo.bar is unknown, got '1,2'")


def test_what_of_the_data_shapes_a_trial_is_searched_and_the_rest_is_refused_with_its_reason() -> None:
    request = plan(
        ["+experiment=pencil", "data.flip=true,false", "data.repeats=choice(2,3)", "data.crop=center,random"]
    )
    names = {each.name for each in request.space.dimensions}
    assert {"data.flip", "data.repeats", "data.crop"} <= names
    assert request.config.data.views == Views(flip=True, repeats=2)  # the first of each
    params = {"optimizer": "adamw8bit", "lr_scheduler": "constant", "adapter.rank": 4, "adapter.alpha_ratio": 1}
    params |= {"adapter.targets": "attention", "optimizer=adamw8bit:layer_lr": 3e-4}
    params |= {"data.flip": False, "data.repeats": 3, "data.crop": "random"}
    assert request.trial(params).trial.views == Views(repeats=3, crop="random")
    for sweep, why in {
        "data.holdout=0.2,0.3": "all trials are judged by the same held-out pictures",
        "data.trigger=a,b": "the judge draws by the same prompts",
        "data.mask=none,alpha": "the judge looks under the same masks",
        "data.regularization_count=5,6": "regularisation pictures are read or drawn once",
        "data.bucket_step=8,16": "set it once; data.buckets can be searched",
        "base.resolution=32,64": "trials share what the base draws .* data.resolution can be",
    }.items():
        (problem,) = problems(sweep, *ALONE)
        assert re.match(f"{sweep.partition('=')[0]} cannot be searched: {why}", problem)
    assert problems("data.repeats=0,1", "data.resolution=60,64", *ALONE) == [
        "data.repeats must be ≥ 1, got 0",
        "data.resolution must be a multiple of 8, got 60",
    ]


def test_every_option_and_corner_is_checked_before_anything_starts() -> None:
    found = problems(
        "adapter.rank=0,4",
        "objective.noise_offset=interval(0,2)",
        "optimizer=lion,lin",
        "lr_scheduler=constant,linear",
        "lr_scheduler.warmup=0.1",
        "optimizer.weight_decay=interval(-1,0)",
    )
    assert found == [
        f"optimizer must be one of {', '.join(sorted(OPTIMIZERS))}, got lin; did you mean lion?",
        "adapter.rank must be ≥ 1, got 0",
        "optimizer.weight_decay must be ≥ 0, got -1.0",
        "lr_scheduler.warmup must be 0 for constant, got 0.1; use lr_scheduler=constant_with_warmup",
        "objective.noise_offset must be ≤ 1, got 2.0",
    ]


def test_options_that_are_not_chosen_are_not_held_against_anyone() -> None:
    assert "lr_scheduler" in domains("lr_scheduler=linear,cosine", "lr_scheduler.warmup=0.2")  # the default is constant


def test_combinations_that_do_not_go_together_are_found_before_anything_starts() -> None:
    overrides = [
        "optimizer=prodigy",
        "lr_scheduler=cosine,cosine_with_restarts",
        "optimizer.safeguard_warmup=true,false",
    ]
    (problem,) = problems(*overrides)
    assert problem.startswith("prodigy with cosine_with_restarts needs optimizer.safeguard_warmup=true")


def test_a_study_may_have_no_space_of_its_own() -> None:
    assert set(domains("~study.space", "optimizer=adamw")) == {"optimizer.layer_lr"}


def test_a_space_in_yaml_takes_sweeps_only() -> None:
    (problem,) = problems("optimizer=adamw", "optimizer.space.lr=0.1")
    assert problem.startswith("optimizer.space: optimizer.lr=0.1 is a single value; a sweep is wanted")
    (problem,) = problems("optimizer=adamw", "optimizer.space.lr='choice(1'")
    assert problem.startswith("optimizer.space: optimizer.lr=choice(1 cannot be parsed")


def test_points_are_all_combinations_that_count() -> None:
    choose = Dimension(name="optimizer", key="optimizer", domain=Choices(of=("a", "b")))
    only_a = Dimension(
        name="optimizer=a:x", key="optimizer.x", domain=Numbers(low=1, high=3, step=1), condition=("optimizer", "a")
    )
    rank = Dimension(name="rank", key="adapter.rank", domain=Choices(of=(4, 8)))
    space = Space(dimensions=(choose, only_a, rank))
    points = list(space.points())
    expected = [{"optimizer": "a", "optimizer=a:x": x, "rank": r} for x, r in itertools.product((1, 2, 3), (4, 8))]
    assert points == [*expected, {"optimizer": "b", "rank": 4}, {"optimizer": "b", "rank": 8}]
    assert space.is_finite()
    assert (space.num_points(at_most=100), space.num_points(at_most=5)) == (8, 5)


def test_a_finite_space_bounds_the_number_of_trials() -> None:
    assert plan([*ALONE[:3], "adapter.alpha_ratio=1", "adapter.targets=attention"]).config.study.num_trials == 4
    assert plan([*ALONE]).config.study.num_trials == 1
    assert plan(["optimizer=adamw"]).config.study.num_trials == 12


def test_groups_are_drawn_before_what_depends_on_them(default: Plan) -> None:
    keys = [each.key in TRIAL_GROUPS for each in default.space.dimensions]
    assert keys == sorted(keys, reverse=True)


def test_all_optimizers_and_curves_are_searched_together_each_with_its_own_space() -> None:
    found = plan(
        ["optimizer=glob(*)", "lr_scheduler=constant,constant_with_warmup", "optimizer.momentum=0.5,0.9"]
    ).space
    conditions = {each.condition for each in found.dimensions if each.group == "optimizer" and each.condition}
    assert conditions == {("optimizer", name) for name in OPTIMIZERS}
    assert found.fingerprint()["optimizer=sgd:momentum"] == "choice(0.5, 0.9)"
    curves = plan(["optimizer=adamw", "lr_scheduler=glob(*)", "lr_scheduler.power=interval(1,3)"]).space
    assert curves.fingerprint()["lr_scheduler=polynomial:power"] == "1.0 to 3.0"


def test_how_weights_are_averaged_and_saved_is_searched_and_what_is_the_bases_is_not() -> None:
    searched = ["train.ema_decay=null,0.99", "train.save_precision=fp32,bf16", "optimizer.lr_scaling=none,sqrt,linear"]
    assert {each.partition("=")[0] for each in searched} <= set(domains(*ALONE, *searched))
    for sweep in (
        "train.attention=sdpa,sliced",
        "train.precision=fp32,bf16",
        "train.compile=off,regional",
        "train.cuda_graphs=true,false",
    ):
        (problem,) = problems(*ALONE, sweep)
        assert problem.startswith(f"{sweep.partition('=')[0]} cannot be searched; it is one for the whole study")


def test_null_in_a_studys_space_takes_a_dimension_away() -> None:
    taken = "++study.space={adapter.rank: null, optimizer.lr: null}"
    assert set(domains("optimizer=lion", taken)) == set(domains("optimizer=lion")) - {
        "adapter.rank",
        "optimizer.layer_lr",
    }


def test_the_ranks_of_the_published_experiment_are_a_grid_of_three() -> None:
    asked = plan(["+experiment=pencil_ranks", "base=sd15", "data=pencildrawing"])
    assert (asked.config.study.sampler, asked.config.study.num_trials) == ("grid", 3)
    trials = [asked.trial(point) for point in asked.space.points()]
    assert [(each.adapter.rank, each.adapter.text_encoder) for each in trials] == [(4, False), (8, False), (8, True)]
    first = trials[0]
    for each in trials[1:]:
        assert replace(each, adapter=first.adapter) == first
    assert replace(trials[2].adapter, text_encoder=False) == trials[1].adapter == replace(first.adapter, rank=8)


def test_a_learning_rate_of_layers_becomes_each_trials_own_by_its_rank_and_alpha() -> None:
    request = plan(["optimizer=adamw", "optimizer.lr=tag(log,layer,interval(1e-4,1e-3))"])
    assert request.space.fingerprint()["optimizer.layer_lr"] == "of layers, log, 0.0001 to 0.001"
    same = {"lr_scheduler": "constant", "adapter.targets": "attention", "optimizer.layer_lr": 2e-4}
    made = {
        (rank, ratio): request.trial({**same, "adapter.rank": rank, "adapter.alpha_ratio": ratio}).optimizer.lr
        for rank, ratio in ((16, 1), (4, 1), (4, 0.25), (32, 2))
    }
    assert made == {(16, 1): 2e-4, (4, 1): 4e-4, (4, 0.25): 1.6e-3, (32, 2): 7.071e-05}


def test_only_learning_rates_are_of_layers() -> None:
    (problem,) = problems("adapter.dropout=tag(layer,interval(0.1,0.2))")
    assert problem.endswith("the tag layer is for optimizer.lr alone")
    (problem,) = problems("optimizer=adamw", "optimizer.lr=tag(int,layer,interval(1,2))")
    assert "are no whole numbers" in problem
