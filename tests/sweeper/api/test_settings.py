"""Settings from Python mean what the same words mean on the command line."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sweeper
from foundation.config.compose import compose
from foundation.errors import ConfigError
from sweeper import Sweep, choice, interval, run_study
from sweeper.api.settings import overrides_of
from sweeper.search.space import plan

ROOT = Path(__file__).parents[3]


def test_a_mapping_plans_the_study_that_the_command_line_plans() -> None:
    ours = overrides_of(
        {
            "+experiment": "pencil",
            "train": {"steps": np.int64(80), "batch_size": choice(1, 2)},
            "optimizer": choice("lion", "adamw"),
            "optimizer.lr": interval(1e-4, 1e-2, log=True),
            "adapter.rank": interval(4, 8),
            "data.flip": True,
            "eval.prompts": ["a cup, {trigger}", "it's"],
            "study.narrow_from": None,
            "study.space": {"adapter.alpha_ratio": "choice(1,2)"},
            "study.seed": Sweep("3"),
        }
    )
    typed = [
        *("+experiment=pencil", "train.steps=80", "train.batch_size=1,2", "optimizer=lion,adamw"),
        *("optimizer.lr=tag(log,interval(1e-4,1e-2))", "adapter.rank=tag(int,interval(4,8))", "data.flip=true"),
        *("eval.prompts=['a cup, {trigger}','it\\'s']", "study.narrow_from=null"),
        *("study.space={adapter.alpha_ratio: 'choice(1,2)'}", "study.seed=3"),
    ]
    assert plan(ours).config == plan(typed).config
    assert plan(ours).space.fingerprint() == plan(typed).space.fingerprint()


@pytest.mark.parametrize(
    "text", ["null", "true", "1e-3", "a,b", "it's a \\ {b}", "${oc.env:HOME}", "choice(1,2)", " x ", "~/here", ""]
)
def test_a_text_is_that_text(text: str) -> None:
    (override,) = overrides_of({"data.trigger": text})
    if "${" in text:  # which the configuration resolves, as anywhere in it
        assert compose([override], resolve=False)["data"]["trigger"] == text
    else:
        assert compose([override])["data"]["trigger"] == text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("+experiment=pencil", "must be a mapping"),
        ({"a=b": 1}, "the name of a setting"),
        ({"train.steps": float("nan")}, "train.steps must be a plain value"),
        ({"train.steps": object()}, "train.steps must be a plain value"),
        ({"eval.thresholds": {1: 2}}, "a mapping with the key 1"),
        ([3], "an override must be a text"),
    ],
)
def test_what_no_override_can_say_is_a_line(settings: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        overrides_of(settings)  # type: ignore[arg-type]


def test_an_empty_sweep_is_a_line() -> None:
    with pytest.raises(ConfigError, match="needs a value"):
        choice()
    with pytest.raises(ConfigError, match="the lower one first"):
        interval(2, 1)


def test_all_mistakes_of_a_study_are_raised_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run_study({"study.folder": tmp_path / "runs", "adapter.rank": "four", "optimizer.lrr": 1}, progress=False)
    assert len(caught.value.problems) == 2
    assert not list(tmp_path.iterdir())


def test_every_name_that_is_offered_is_there_and_the_package_is_light() -> None:
    assert all(getattr(sweeper, name) for name in sweeper.__all__)
    heavy = {"torch", "optuna", "mlflow", "pandas", "hydra", "numpy"}
    code = f"import sys, sweeper; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_offered_is_none() -> None:
    assert not hasattr(sweeper, "nothing")


def test_what_is_offered_is_typed_and_documented() -> None:
    for name in sweeper.__all__:
        offered = getattr(sweeper, name)
        assert offered.__doc__, name
        if dataclasses.is_dataclass(offered):
            assert not [each.name for each in dataclasses.fields(offered) if each.type is None]
