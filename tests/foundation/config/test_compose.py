"""Composition is Hydra's own, and every wrong override is named at once."""

from __future__ import annotations

from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from foundation.config.compose import compose, groups, options
from foundation.config.config_files import CONFIG
from foundation.config.presets import CONF
from foundation.errors import ConfigError

OPTIONS = ", ".join(options("optimizer"))


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["+experiment=pencil"],
        ["base=sd15", "optimizer=prodigy", "optimizer.d_coef=2", "adapter.rank=8", "adapter.rank=9"],
        ["+optimizer.settings.eps=1e-7", "++optimizer.settings.eps=1e-6", "~train.seed", "adapter.targets=[to_q,to_v]"],
        ["objective.snr_gamma=5", "data.trigger='a, b = c'", "eval.seeds=[1,2]", "study.name=${train.steps}"],
    ],
)
def test_what_is_composed_equals_what_hydra_itself_composes(overrides: list[str]) -> None:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        own = OmegaConf.to_container(hydra.compose(CONFIG, overrides), resolve=True)
    assert compose(overrides) == own
    compose(["base=sd15", "+experiment=pencil", "data.path=/elsewhere", "optimizer=lion"])
    assert compose(overrides) == own  # what was composed in between left no trace


def test_hydra_may_be_at_work_already_and_is_left_as_it_was() -> None:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3", job_name="outer"):
        before = GlobalHydra.instance().hydra
        assert compose(["optimizer=lion", "train.seed=77"])["train"]["seed"] == 77
        assert GlobalHydra.instance().hydra is before
    assert not GlobalHydra.instance().is_initialized()


def test_a_composed_config_is_the_callers_own() -> None:
    compose()["adapter"]["rank"] = -1
    assert compose()["adapter"]["rank"] == 16


def test_what_was_composed_before_is_composed_anew_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["+experiment=pencil", "data.path=.", "data.trigger='${oc.env:WORDS}'"]
    for folder, words in (("cats", "a cat"), ("dogs", "a cat"), ("dogs", "a dog"), ("cats", "a cat")):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        monkeypatch.setenv("WORDS", words)
        config = compose(asked)
        assert (config["study"]["name"], config["data"]["trigger"]) == (folder, words)


def test_learning_rates_in_yaml_follow_the_base_and_on_the_command_line_are_absolute() -> None:
    pocket, sd15 = compose(["optimizer=adamw"])["optimizer"], compose(["optimizer=adamw", "base=sd15"])["optimizer"]
    assert (pocket["lr"], pocket["space"]["lr"]) == (1e-3, "tag(log, layer, interval(0.0003, 0.008))")
    assert (sd15["lr"], sd15["space"]["lr"]) == (1e-4, "tag(log, layer, interval(3e-05, 0.0008))")
    assert compose(["optimizer=adamw", "optimizer.lr=1e-4"])["optimizer"]["lr"] == 1e-4


@pytest.mark.parametrize("name", ["prodigy", "dadapt_adam"])
def test_an_optimizer_that_finds_its_step_size_begins_higher_where_steps_are_few(name: str) -> None:
    def start(*overrides: str) -> object:
        return compose([f"optimizer={name}", *overrides])["optimizer"]["settings"]["d0"]

    assert (start("base=sd15", "train.steps=9000"), start("base=sd15", "train.epochs=10")) == (1e-6, 1e-6)
    assert (start("base=sd15", "train.steps=1600"), start("base=pocket", "train.steps=1600")) == (3e-6, 3e-5)
    assert start("train.steps=60") == start("train.steps=160") == 3e-4  # a third of AdamW's recipe there
    assert start("train.steps=60", "optimizer.settings.d0=1e-5") == 1e-5


def test_a_folder_takes_the_place_of_the_drawn_set() -> None:
    drawn, folder = compose()["data"], compose(["data.path=/pictures/my dog"])["data"]
    assert (drawn["name"], drawn["drawn"], drawn["trigger"]) == ("pencil", "pencil", "in pencil style")
    assert (folder["name"], folder["drawn"], folder["trigger"]) == ("my-dog", None, "")
    assert compose(["+experiment=pencil", "data.path=/dogs"])["study"]["name"] == "dogs"


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Fotos für Zoë", "Fotos-fur-Zoe"), ("猫", "folder"), ("_2024_", "2024"), ("x" * 300, "x" * 80)],
)
def test_a_study_can_bear_the_name_of_any_folder(folder: str, name: str) -> None:
    assert compose(["+experiment=pencil", f"data.path='/pictures/{folder}'"])["study"]["name"] == name


def test_all_wrong_overrides_are_named_together() -> None:
    found = problems(
        "optimizer=lin",
        "adapter.rnak=8",
        "train.lr=1",
        "adapter.rank=choice(4",
        "+experimnt=pencil",
        "adapter.rank=8",
        "nonsense",
    )
    heads = [line.partition(";")[0] for line in found]
    assert heads == [
        "adapter.rank=choice(4 cannot be parsed: no viable alternative at input 'choice(4'",
        "nonsense cannot be parsed: write key=value",
        f"optimizer must be one of {OPTIONS}, got 'lin'",
        "adapter.rnak is unknown, got 8",
        "train.lr is unknown, got 1",
        "experimnt is unknown, got 'pencil'",
    ]
    tails = [line.rpartition("; ")[2] for line in found[2:]]
    assert tails == [
        "did you mean lion?",
        "did you mean adapter.rank?",
        "did you mean optimizer.lr?",
        "did you mean experiment?",
    ]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("+experiment=pencl", "experiment must be one of mug, pencil, pencil_ranks, got 'pencl'; did you mean pencil?"),
        ("experiment=pencil", "experiment=pencil: experiment has no default; write +experiment=pencil"),
        ("+optimizer=lion", "+optimizer=lion: optimizer is there already; write optimizer=lion"),
        ("+adapter.rank=8", "+adapter.rank=8: adapter.rank is there already; write adapter.rank=8"),
        ("optimizer=null", f"optimizer must be one of {OPTIONS}, got null"),
        ("optimizer=[lion,adamw]", f"optimizer must be one of {OPTIONS}, got ['lion', 'adamw']"),
        ("optimizer@x=lion", "optimizer@x=lion: @x is not for this config; write optimizer=lion"),
        ("optimizer.settings.eps=1", "optimizer.settings.eps=1: settings are added; write +optimizer.settings.eps=1"),
        ("adapter.rank=${nope}", "adapter.rank=${nope}: Interpolation key 'nope' not found"),
        ("adapter.rank=choise(4)", "adapter.rank=choise(4) cannot be parsed: Unknown function 'choise'"),
        ("adapter.rank='4", "adapter.rank='4 cannot be parsed: quotes are not balanced"),
        ("adapter.rank=4,8", "adapter.rank=4,8 is a sweep; a single value is wanted"),
        ("hydra.nope=1", "hydra.nope=1: Hydra's own settings are not for this command"),
        ("hydra/launcher=basic", "hydra/launcher=basic: Hydra's own settings are not for this command"),
        ("+experiment@hydra.x=pencil", "+experiment@hydra.x=pencil: Hydra's own settings are not"),
        ("+experiment=../../conf/experiment/pencil", "experiment must be one of mug, pencil, pencil_ranks, got"),
        ("~adapter", "~adapter: every group is needed; leave it as it is"),
        ("~adapter.rnak", "adapter.rnak is unknown, got null"),
    ],
)
def test_each_kind_of_wrong_override_has_its_line(override: str, words: str) -> None:
    (problem,) = problems(override)
    assert problem.startswith(words)
    assert "\n" not in problem


def test_groups_and_options_are_the_files_of_conf() -> None:
    assert groups() == tuple(sorted(folder.name for folder in CONF.iterdir() if folder.is_dir()))
    assert options("data") == ("folder", "mug", "pencil", "pencildrawing")
    assert options("nope") == ()


def test_no_yaml_names_code() -> None:
    assert not [file for file in CONF.rglob("*.yaml") if "_target_" in file.read_text()]
