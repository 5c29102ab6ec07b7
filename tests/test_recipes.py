"""What CONTRIBUTING.md says is to be touched to add a thing is enough, and no more: each registry against its files."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from eval.metrics.registry import METRICS, function_of
from foundation.bases.families import FAMILIES
from foundation.bases.registry import code_of
from foundation.config.installed import Registry
from sweeper.launchers import LAUNCHERS
from sweeper.records.config import Config
from tests.acme_package import examples
from train.optimizers import build_optimizer
from train.spec import OptimizerSpec
from train.spec.optimizer_kinds import OPTIMIZERS

ROOT = Path(__file__).parents[1]
MOST_FILES = {"an optimizer": 2, "a metric": 2, "a family": 3, "a launcher": 2}
ROWS = dict(re.findall(r"^\| (an? [^|]+?) \| (.+) \|$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE))


def named(group: str) -> set[str]:
    """The `name` or family that the options of a group have."""
    key = "family" if group == "base" else "name"
    options = [yaml.safe_load(file.read_text()) for file in (ROOT / "conf" / group).glob("*.yaml")]
    return {option[key] for option in options if key in option}


@pytest.mark.parametrize("what", MOST_FILES)
def test_a_recipe_names_so_many_files(what: str) -> None:
    files = [each for each in re.findall(r"`([^`]+)`", ROWS[what]) if "/" in each]
    new = len(re.findall(r"\ba module (?:beside it|in)\b", ROWS[what]))
    known = [each for each in files if each.endswith((".py", ".yaml"))]
    assert 2 <= len(known) + new <= MOST_FILES[what], ROWS[what]
    assert all((ROOT / each).exists() for each in files if "NAME" not in each), files


@pytest.mark.parametrize(
    ("registry", "group"),
    [(OPTIMIZERS, "optimizer"), (FAMILIES, "base"), (LAUNCHERS, "launcher")],
    ids=["optimizer", "base", "launcher"],
)
def test_an_entry_and_its_yaml_go_together(registry: Registry[Any], group: str) -> None:
    assert named(group) == set(registry.built_in)


@pytest.mark.parametrize("name", LAUNCHERS.built_in)
def test_a_launcher_is_found_by_its_module(name: str) -> None:
    place = ROOT / "sweeper" / "launchers"
    assert (place / f"{name}.py").is_file() or (place / name / "launcher.py").is_file()
    assert all(hasattr(LAUNCHERS[name], method) for method in ("check", "start", "send", "wait", "kill", "shut_down"))


@pytest.mark.parametrize("name", FAMILIES.built_in)
def test_a_familys_code_loads_its_pipeline(name: str) -> None:
    code = code_of(name)
    assert (code.family, code.pipeline_class.__name__) == (name, FAMILIES[name].pipeline)


@pytest.mark.parametrize("name", METRICS.built_in)
def test_a_metrics_function_is_there(name: str) -> None:
    assert callable(function_of(name)) and METRICS[name].description


@pytest.mark.parametrize("name", OPTIMIZERS.built_in)
def test_an_entry_is_all_that_an_optimizer_needs(name: str) -> None:
    spec = OptimizerSpec(name=name, lr=1.0 if OPTIMIZERS[name].adaptive else 1e-3)
    optimizer = build_optimizer(spec, [torch.nn.Parameter(torch.ones(4, 4))], [], 1)
    assert type(optimizer).__name__ == OPTIMIZERS[name].class_name


def test_a_group_is_a_field_a_default_and_its_yaml() -> None:
    root = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text())
    defaults: dict[str, str] = {}
    for each in root["defaults"]:
        defaults |= each if isinstance(each, dict) and not next(iter(each)).startswith("override") else {}
    del defaults["kind"]  # which sets others' fields, and is chosen by data.kind
    assert set(defaults) == {field.name for field in dataclasses.fields(Config)}
    assert all((ROOT / "conf" / group / f"{option}.yaml").is_file() for group, option in defaults.items())


def test_a_package_needs_no_more_files_than_we_do() -> None:
    """Beside its pyproject.toml."""
    files = [name for name in examples() if name.startswith("acme_sweeper/")]
    of = {"optimizer": "optimizers|optimizer/", "launcher": "launchers|launcher/", "family": "families|etch"}
    counts = {kind: len([name for name in files if re.search(pattern, name)]) for kind, pattern in of.items()}
    assert counts == {"optimizer": 2, "launcher": 2, "family": 3}
