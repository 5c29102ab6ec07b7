"""`--cfg` and its like take what a run takes, and show it as the study sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

from foundation.config.config_files import CONFIG
from foundation.config.presets import CONF
from foundation.errors import ConfigError
from sweeper.printed import print_config
from sweeper.search.space import plan


def job(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert print_config([*arguments, "--cfg", "job"]) == []
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("resolve", [[], ["--resolve"]])
def test_without_sweeps_and_fixed_dimensions_it_is_what_hydra_prints(
    resolve: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["+experiment=pencil", "objective.snr_gamma=5"]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        own = hydra.compose(CONFIG, overrides)
    assert print_config([*overrides, "--cfg=job", *resolve]) == []
    assert capsys.readouterr().out == OmegaConf.to_yaml(own, resolve=bool(resolve))


def test_what_is_searched_stands_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [
        *("+experiment=pencil", "adapter.rank=4,8", "optimizer=choice(lion, adamw)", "lr_scheduler=cosine"),
        *("optimizer.lr=tag(log, interval(1e-4,1e-3))", "train.seed=range(0,3)", "optimizer.weight_decay=0.02"),
        *("adapter.targets='[to_q,to_v]','[to_k]'", "+optimizer.settings.use_triton=false,true"),
    ]
    config = job(capsys, *overrides)
    assert config["adapter"]["rank"] == "4,8"
    assert config["adapter"]["targets"] == "'[to_q,to_v]','[to_k]'"
    assert config["train"]["seed"] == "range(0,3)"
    assert config["optimizer"]["name"] == "lion" and config["optimizer"]["weight_decay"] == 0.02
    assert config["optimizer"]["lr"] == "tag(log, interval(1e-4,1e-3))"
    assert config["optimizer"]["settings"] == {"use_triton": "false,true"}
    assert config["lr_scheduler"]["name"] == "cosine"
    assert config["optimizer"]["space"] == {}
    assert config["study"]["space"] == {
        "adapter.alpha_ratio": "choice(0.25, 0.5, 1, 2)",
        "optimizer": "choice(lion, adamw)",
    }


def test_only_what_the_study_searches_is_in_the_space(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["+experiment=pencil_ranks", "optimizer=lion", "optimizer.lr=3e-4"]
    config = job(capsys, *overrides)
    assert config["study"]["space"] == {"adapter": "choice(ranks/r4, ranks/r8, ranks/r8_text)"}
    shown = {*config["study"]["space"], *(f"optimizer.{key}" for key in config["optimizer"]["space"])}
    assert {each.key for each in plan(overrides).space.dimensions} == shown


def test_a_part_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_config(["--package", "adapter", "-c", "job", "adapter.rank=4,8"]) == []
    said = capsys.readouterr().out
    assert said.startswith("# @package adapter\nname: lora\nrank: 4,8\n")
    assert print_config(["-p", "adapter.rank", "-c", "job", "adapter.rank=4,8"]) == []
    assert capsys.readouterr().out == "4,8\n"
    with pytest.raises(ConfigError, match="--package adaptr: the config has no such part"):
        print_config(["-p", "adaptr", "-c", "job"])


def test_hydra_gets_no_sweep_to_print_anything_else() -> None:
    given = ["adapter.rank=4,8", "--info", "config", "optimizer=lion,adamw", "train.seed=3"]
    assert print_config(given) == [
        *("--info", "config", "train.seed=3", "optimizer=lion"),
        *("++adapter.rank='4,8'", "++study.space.optimizer='lion,adamw'"),
    ]


def test_what_is_wrong_is_said_as_a_run_says_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        print_config(
            ["--cfg", "job", "adapter.rnak=4,8", "study.num_trials=1,2", "optimizer=lin", "train.seed=range(1"]
        )
    heads = [line.partition(",")[0] for line in caught.value.problems]
    assert heads[0].startswith("train.seed=range(1 cannot be parsed")
    assert [head.split()[0] for head in heads[1:]] == ["optimizer", "adapter.rnak", "study.num_trials"]
