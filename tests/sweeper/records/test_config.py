"""The YAML of `conf/` and the dataclasses say the same, and what does not go together is refused."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch

from eval.spec import EvalSpec
from foundation.config.compose import compose, groups, options
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS, Config, parse_config, trial_config
from sweeper.records.study_spec import PrunerSpec, StudySpec
from train.spec import (
    AdapterSpec,
    LrSchedulerSpec,
    ObjectiveSpec,
    OptimizerSpec,
    TrainingSpec,
    TrialSpec,
    check_attention,
    check_installed,
)
from train.spec.lr_scheduler import CURVES
from train.spec.optimizer_kinds import OPTIMIZERS


def config(*overrides: str) -> Config:
    return parse_config(compose(overrides))


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(*overrides)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    "choice", [f"{group}={option}" for group in groups() if group != "experiment" for option in options(group)]
)
def test_every_option_composes_and_parses(choice: str) -> None:
    of_a_subject = ("data=mug", "kind=subject", "kind=face")
    extra = ["data.path=/pictures"] if choice == "data=folder" else []
    extra += ["eval.identity_features=/models"] if choice == "kind=face" else []
    config(choice, *extra, *(["eval.class_word=cup", "data.trigger=sks cup"] if choice in of_a_subject else []))


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_composes_and_parses(experiment: str) -> None:
    config(f"+experiment={experiment}")


def test_dataclass_defaults_are_the_yaml_defaults() -> None:
    default = config("optimizer=adamw", "base=sd15")
    assert default.adapter == AdapterSpec()
    assert replace(default.optimizer, beta1=None, beta2=None) == OptimizerSpec()
    assert default.optimizer.arguments() == OptimizerSpec().arguments()
    assert default.lr_scheduler == LrSchedulerSpec()
    assert default.objective == ObjectiveSpec()
    assert default.train == TrainingSpec()
    assert default.study.pruner == PrunerSpec()
    assert default.trial == TrialSpec(optimizer=default.optimizer)
    pocket = config().eval
    of_the_world = {name: getattr(pocket, name) for name in ("prompts", "final_prompts", "unrelated_prompts")}
    assert pocket == EvalSpec(**of_the_world)


def test_every_field_has_its_key_in_yaml_so_that_it_can_be_overridden() -> None:
    default = config()
    for group in dataclasses.fields(Config):
        own = (
            options(group.name) if group.name in ("adapter", "optimizer", "lr_scheduler", "launcher") else ()
        )  # with fields of their own
        composed = [compose([f"{group.name}={option}"]) for option in own] or [compose([])]
        composed += [compose([f"kind={kind}"]) for kind in options("kind")]  # which have fields of their own, too
        space = {"space"} if group.name in TRIAL_GROUPS else set()
        keys = set().union(*(each[group.name] for each in composed)) - space
        assert keys == {each.name for each in dataclasses.fields(getattr(default, group.name))}


def test_an_option_is_an_entry_of_its_table_and_a_file_of_its_name_with_what_it_takes() -> None:
    assert sorted(options("optimizer")) == sorted(OPTIMIZERS)
    assert sorted(options("lr_scheduler")) == sorted(CURVES)
    for group in ("optimizer", "lr_scheduler"):
        for option in options(group):
            assert getattr(config(f"{group}={option}"), group).name == option
    for name, curve in CURVES.items():
        own = set(compose([f"lr_scheduler={name}"])["lr_scheduler"]) - {"name", "warmup"}
        assert own == set(curve.fields)
    for name, kind in OPTIMIZERS.items():
        own = set(compose([f"optimizer={name}"])["optimizer"]) - {"name", "lr", "lr_scaling", "weight_decay"}
        own -= {"text_encoder_lr_ratio", "lora_plus_ratio", "lr_by", "settings", "space"}
        assert own == {*kind.fields, *(f"beta{i + 1}" for i in range(len(kind.betas)))}


def test_trial_groups_are_the_fields_of_a_trial() -> None:
    assert [*TRIAL_GROUPS, "views"] == [each.name for each in dataclasses.fields(TrialSpec)]  # these are of the data


def test_prompts_are_scenes_of_the_drawn_world() -> None:
    from train.drawn import NUM_UNSEEN, SEED
    from train.pocket.world import BACKGROUNDS, COLOURS, SHAPES, scenes

    spec, data = config().eval, config().data
    assert spec.prompts == () and len(spec.final_prompts) == 8  # the former are the held-out captions
    drawn = scenes(SEED, data.num_train + data.num_validation + NUM_UNSEEN, held_out=True)
    assert not {prompt.rpartition(", ")[0] for prompt in (*spec.prompts, *spec.final_prompts)} & set(map(str, drawn))
    for prompt in (*spec.prompts, *spec.final_prompts, *spec.unrelated_prompts):
        scene = prompt.rpartition(", ")[0]
        assert any(colour in scene for colour in COLOURS)
        assert any(shape in scene for shape in SHAPES)
        assert scene.endswith(tuple(BACKGROUNDS.values()))
    assert all(prompt.endswith(", {trigger}") for prompt in (*spec.prompts, *spec.final_prompts))


def test_the_main_job_is_twelve_trials_of_160_steps_judged_every_40() -> None:
    main = config("+experiment=pencil")
    assert (main.study.num_trials, main.train.steps, main.eval.every, main.train.batch_size) == (12, 160, 40, 4)
    assert (main.study.name, main.data.num_train, main.data.num_validation) == ("pencil", 24, 8)


def test_epochs_take_the_place_of_steps_wherever_those_were_set() -> None:
    for overrides in ([], ["+experiment=pencil"]):
        train = config(*overrides, "train.epochs=3").train
        assert (train.steps, train.epochs) == (None, 3)
    (problem,) = problems("train.epochs=3", "train.steps=5")
    assert problem == "one of train.steps and train.epochs must be set and the other null, got 5 and 3"


def test_the_published_pencil_experiment_is_the_same_study_on_the_real_set() -> None:
    real, main = config("+experiment=pencil", "base=sd15", "data=pencildrawing"), config("+experiment=pencil")
    assert real.data.path == "hf://datasets/litmonster0521/pencildrawing/caiqian_style.tar"
    assert (real.study.name, real.data.drawn, real.base.resolution) == ("pencildrawing", None, 512)
    assert (real.train, real.study.num_trials, real.eval.every) == (main.train, 12, 40)
    assert real.data.trigger == main.data.trigger
    local = config("+experiment=pencil", "base=sd15", "data=pencildrawing", "data.path=/my/caiqian_style.tar")
    assert local.data.path == "/my/caiqian_style.tar"


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_what_an_optimizer_is_told_is_what_its_constructor_takes(name: str) -> None:
    kind = OPTIMIZERS[name]
    constructor = getattr(importlib.import_module(kind.module), kind.class_name)
    parameters = inspect.signature(constructor).parameters
    assert {*kind.settings, *kind.given, *kind.fields.values()} <= set(parameters)
    assert not kind.betas or parameters["betas"].default == kind.betas
    spec = config(f"optimizer={name}").optimizer
    assert set(spec.arguments()) <= set(parameters)
    constructor([torch.nn.Parameter(torch.zeros(2, 2))], **spec.arguments())


def test_prodigys_own_fields_reach_it() -> None:
    arguments = config("optimizer=prodigy", "optimizer.d_coef=2", "optimizer.settings.d0=1e-5").optimizer.arguments()
    expected = {"d_coef": 2.0, "safeguard_warmup": True, "use_bias_correction": True, "d0": 1e-5, "lr": 1.0}
    assert expected.items() <= arguments.items()
    assert "beta3" not in arguments


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["adapter.text_encoder_rank=0"], "adapter.text_encoder_rank must be ≥ 1, got 0"),
        (["optimizer.text_encoder_lr_ratio=-1"], "optimizer.text_encoder_lr_ratio must be ≥ 0, got -1"),
        (["adapter.rank=0"], "adapter.rank must be ≥ 1, got 0"),
        (["train.steps=0", "eval.every=1"], "train.steps must be ≥ 1, got 0"),
        (["train.precision=fp8"], "train.precision must be one of fp32, bf16, fp16, got 'fp8'"),
        (
            ["adapter.targets=atention"],
            "adapter.targets must be one of attention, attention+ff, all-linear, all, a list of names or a reg",
        ),
        (["adapter.targets=[]"], "adapter.targets must name at least one layer, got none"),
        (["adapter.init=pisa"], "adapter.init must be true, gaussian, orthogonal, mica, olora, pissa or pissa_niter_<"),
        (["optimizer=lion", "+optimizer.d_coef=2"], "optimizer.d_coef is for prodigy only, got 2.0 with lion"),
        (["optimizer=prodigy", "optimizer.lr=1e-3"], "optimizer.lr must be between 0.1 and 10 for prodigy"),
        (["+optimizer.settings.epps=1"], "optimizer.settings.epps is unknown to adamw8bit"),
        (["+optimizer.settings.eps=small"], "optimizer.settings.eps must be a number, got 'small'"),
        (["lr_scheduler.warmup=0.1"], "lr_scheduler.warmup must be 0 for constant"),
        (["lr_scheduler=cosine", "+lr_scheduler.num_cycles=3"], "lr_scheduler.num_cycles must be 1 for cosine, got 3"),
        (["lr_scheduler=rex", "+lr_scheduler.end=0.1"], "lr_scheduler.end must be 0 for rex, got 0.1; it is for polyn"),
        (["lr_scheduler=one_cycle", "lr_scheduler.warmup=0"], "lr_scheduler.warmup must be > 0 for one_cycle"),
        (["optimizer=dadapt_adam", "optimizer.lr=1e-3"], "optimizer.lr must be between 0.1 and 10 for dadapt_adam"),
        (["optimizer=prodigy", "optimizer.lr_scaling=sqrt"], "optimizer.lr_scaling must be none for prodigy"),
        (["optimizer=sgd", "+optimizer.beta1=0.9"], "optimizer.beta1 is for adamw, adamw8bit, lion, lion8bit, prodigy"),
        (["+optimizer.beta3=0.9"], "optimizer.beta3 is for prodigy, came only, got 0.9 with adamw8bit; leave it out"),
        (["optimizer=sgd", "optimizer.momentum=1"], "optimizer.momentum must be < 1, got 1"),
        (["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=true"], "optimizer.nesterov looks ahead by"),
        (["optimizer=schedulefree_adamw", "optimizer.beta1=0"], "optimizer.beta1 must be > 0 for schedulefree_adamw"),
        (["train.ema_decay=1"], "train.ema_decay must be < 1, got 1"),
        (["train.save_precision=fp8"], "train.save_precision must be one of fp32, bf16, fp16, got 'fp8'"),
        (["train.attention=flash"], "train.attention must be one of sdpa, sliced, xformers, got 'flash'"),
        (["data=folder"], "there is no folder; set data.path"),
        (["data.path=/a", "data.drawn=pencil"], "both data.path=/a and data.drawn=pencil are set"),
        (["train.steps=20"], "eval.every must be ≤ train.steps (20)"),
        (["study.slots=0"], "study.slots must be auto or ≥ 1, got 0"),
        (["study.strengths=[0.5,0.5]"], "study: strengths must differ from one another"),
        (["study.strengths=[0]"], "study.strengths.0 must be > 0, got 0"),
        (
            ["eval.prompts=['a cup']", "eval.final_prompts=['a cup']"],
            "eval: final_prompts must hold none of prompts, which steer the trials, got 'a cup'",
        ),
        (["study.name=a/b"], "study.name must be text of the form"),
        (["study.objectives=[stile,drift]"], "study.objectives.0 must be one of score, style,"),
        (["study.objectives=[style]"], "study.objectives must be score alone, or two or three, got style alone"),
        (["study.objectives=[style,style]"], "study.objectives must differ from one another, got style, style"),
        (["study.objectives=[style,drift,kid,fid]"], "study.objectives must be at most 3 long"),
        (
            ["study.objectives=[style,drift]", "eval.unrelated_prompts=[a cup]"],
            "study.objectives: drift needs two eval.unrelated_prompts or more to be measured",
        ),
        (["study.objectives=[style,diversity]", "eval.seeds=[0]"], "study.objectives: diversity needs two eval.seeds"),
        (["study.objectives=[style,diversity]", "eval.screening_prompts=2"], "study.objectives: diversity needs eval"),
        (
            ["study.objectives=[style,drift]", "eval.screening_prompts=2"],
            "study.objectives: drift needs eval.screening_prompts=n",
        ),
        (["study.pruner.name=medain"], "study.pruner.name must be one of median, wilcoxon, asha, hyperband, none"),
        (["base=flux", "eval.sampler=ddim"], "eval.sampler must be own for base.family flux, got ddim"),
        (
            ["study.pruner.name=wilcoxon", "eval.screening_prompts=2"],
            "study.pruner.name=wilcoxon compares prompt by prompt",
        ),
        (
            ["study.pruner.name=wilcoxon", "eval.prompts=[a,b,c,d]"],
            "study.pruner.name=wilcoxon with p_threshold 0.05 needs 5 eval.prompts or more, got 4",
        ),
        (["study.objectives=[foo]"], "study.objectives.0 must be one of score, style"),
        (["study.name=Cache"], "study.name must not be that of what else lies in study.folder, got Cache"),
        (["data.path=''"], "data.path must be at least 1 characters long"),
        (
            ["study.sampler=tpo"],
            "study.sampler must be one of auto, tpe, gp, cmaes, random, grid, got 'tpo'; did you mean tpe?",
        ),
        (["base.lr_factor=x"], "base.lr_factor must be a number, got 'x'"),
        (["eval.thresholds.copy.alarm=0"], "eval.thresholds: copy.warn must be < copy.alarm"),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(overrides: list[str], words: str) -> None:
    (problem,) = problems(*overrides)
    assert problem.startswith(words)


def test_wilcoxon_takes_as_few_prompts_as_can_speak_against_a_trial() -> None:
    assert len(config("study.pruner.name=wilcoxon", "eval.prompts=[a,b,c,d,e]").eval.prompts) == 5
    config("study.pruner.name=wilcoxon", "study.pruner.p_threshold=0.1", "eval.prompts=[a,b,c,d]")
    config("study.pruner.name=wilcoxon", "eval.prompts=[]")  # captions stand in, and are looked at when they are known


def test_each_objective_has_its_direction_and_the_scores_is_the_studys() -> None:
    assert config().study.directions == ("maximize",)
    assert not config().study.has_front
    several = config("study.objectives=[score,drift,style]", "study.direction=minimize").study
    assert several.directions == ("minimize", "minimize", "maximize")
    assert several.has_front


def test_prodigy_with_restarts_needs_its_safeguard() -> None:
    overrides = ["optimizer=prodigy", "lr_scheduler=cosine_with_restarts"]
    config(*overrides)
    (problem,) = problems(*overrides, "optimizer.safeguard_warmup=false")
    assert problem.startswith("prodigy with cosine_with_restarts needs optimizer.safeguard_warmup=true")
    with pytest.raises(ConfigError):
        trial_config(
            {
                "optimizer": OptimizerSpec(name="prodigy", lr=1.0),
                "lr_scheduler": LrSchedulerSpec(name="cosine_with_restarts", num_cycles=2),
            }
        )


def test_prodigy_trains_a_text_encoder_at_the_rate_of_the_rest() -> None:
    overrides = ["optimizer=prodigy", "adapter.text_encoder=true"]
    assert config(*overrides).optimizer.text_encoder_lr_ratio == 1
    config("optimizer=prodigy", "optimizer.text_encoder_lr_ratio=0.5")  # counts for nothing
    (problem,) = problems(*overrides, "optimizer.text_encoder_lr_ratio=0.5")
    assert problem.startswith("optimizer.text_encoder_lr_ratio must be 1 (or 0) for prodigy")


def test_what_averages_already_takes_no_falling_rate_and_no_second_average() -> None:
    free = "optimizer=schedulefree_adamw"
    config(free)
    config(free, "lr_scheduler=constant_with_warmup")
    for name in set(CURVES) - {"constant", "constant_with_warmup"}:
        (problem,) = problems(free, f"lr_scheduler={name}")
        assert problem.startswith(f"schedulefree_adamw with lr_scheduler={name} averages late steps that hardly move")
    (problem,) = problems(free, "train.ema_decay=0.99")
    assert problem.startswith("train.ema_decay with schedulefree_adamw would average twice")


def test_dadapt_adam_knows_one_rate_for_all_parts() -> None:
    overrides = ["optimizer=dadapt_adam", "adapter.text_encoder=true"]
    config(*overrides)
    for ratio in ("0", "0.5"):
        (problem,) = problems(*overrides, f"optimizer.text_encoder_lr_ratio={ratio}")
        assert problem.startswith("optimizer.text_encoder_lr_ratio must be 1 for dadapt_adam")


def test_xformers_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_attention(TrainingSpec(attention="sliced"))
    with pytest.raises(ConfigError, match="train.attention xformers is not installed; run `pip install xformers`"):
        check_attention(TrainingSpec(attention="xformers"))


@pytest.mark.parametrize("name", sorted(name for name, kind in OPTIMIZERS.items() if kind.package != "torch"))
def test_an_optimizer_that_is_not_installed_is_refused_by_what_pip_calls_it(
    name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, package = OPTIMIZERS[name].module.partition(".")[0], OPTIMIZERS[name].package
    spec = OptimizerSpec(name=name, lr=1.0)
    check_installed(spec)
    monkeypatch.setattr("importlib.util.find_spec", lambda wanted: None if wanted == module else object())
    with pytest.raises(ConfigError, match=f"optimizer {name} is not installed; run `pip install {package}`"):
        check_installed(spec)


@pytest.mark.parametrize(
    ("study", "devices", "most"),
    [
        ({"num_trials": 12}, 1, 4),
        ({"num_trials": 12}, 2, 2),
        ({"num_trials": 12}, 3, 1),
        ({"num_trials": 12}, 8, 1),  # eight at once; four come after the first results
        ({"num_trials": 100}, 8, 4),
        ({"num_trials": 6}, 1, 6),  # all are drawn at random
        ({"num_trials": 6}, 4, 2),
        ({"num_trials": 7}, 1, 2),
        ({"num_trials": 7, "pruner": PrunerSpec(name="none")}, 1, 2),
        ({"num_trials": 30, "sampler": "grid", "pruner": PrunerSpec(name="none")}, 1, 30),
        ({"num_trials": 30, "sampler": "grid", "pruner": PrunerSpec(name="none")}, 8, 4),
        ({"num_trials": 30, "sampler": "random"}, 1, 10),
    ],
)
def test_only_trials_that_others_could_learn_from_wait_for_one_another(
    study: dict[str, Any], devices: int, most: int
) -> None:
    assert StudySpec(name="one", **study).most_on(devices) == most


def test_the_fingerprint_holds_what_a_score_depends_on_and_nothing_else() -> None:
    one = config()
    same = replace(one, study=replace(one.study, num_trials=99, slots=3, seed=5), launcher=one.launcher)
    same = replace(same, eval=replace(one.eval, final_prompts=()))
    assert "eval.metrics" not in one.fingerprint()  # no trial is scored by them
    other = replace(one, train=replace(one.train, steps=400))
    assert one.fingerprint() == same.fingerprint()
    differing = {name for name, value in one.fingerprint().items() if other.fingerprint()[name] != value}
    assert differing == {"train.steps"}
