"""What docs/extending.md says: its examples, and a package that brings one of each."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from eval.judge import judge
from eval.metrics.measuring import said_once
from foundation.bases.folder import EMBEDDED
from foundation.config.compose import compose, options
from foundation.config.presets import search_presets
from foundation.errors import ConfigError
from sweeper.search.space import plan
from sweeper.study.run import run_study
from tests import acme_package
from tests.acme_package import examples, install_acme
from tests.eval import test_judge
from tests.sweeper.test_study import SMALL
from train.spec import OptimizerSpec

ROOT = Path(__file__).parents[1]


def test_the_preset_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "conf/optimizer/gentle.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(examples()["conf/optimizer/gentle.yaml"])
    monkeypatch.chdir(tmp_path)
    search_presets([])
    optimizer = compose(["optimizer=gentle", "base=sd15"])["optimizer"]
    assert (optimizer["name"], optimizer["lr"]) == ("adamw", 3e-5)
    assert optimizer["space"] == {"lr": "tag(log, interval(1e-05, 0.0001))"}


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package that is installed, not imported before or after."""
    site = install_acme(tmp_path / "site", wrong=True)
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == acme_package.NAME]:
        del sys.modules[name]


def problem(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        plan([*overrides, "+experiment=pencil"])
    (line,) = set(caught.value.problems)
    return line


def test_a_packages_options_and_names_stand_beside_ours(acme: Path) -> None:
    assert "signs" in options("optimizer") and "noted" in options("launcher") and "lines" in options("tracking")
    config = plan(["optimizer=signs", "launcher=noted", "tracking=lines", "base=etch"]).config
    assert (config.optimizer.name, config.launcher.name, config.tracking.name) == ("signs", "noted", "lines")
    assert (config.base.family, config.base.lr_factor) == ("etch", 1.0)
    assert config.optimizer.kind.class_name == "Signs"
    assert problem("optimizer=adamw", "optimizer.name=sings").endswith("got 'sings'; did you mean signs?")


def test_a_built_in_name_stays_ours(acme: Path) -> None:
    assert OptimizerSpec(name="adamw").kind.class_name == "AdamW"


@pytest.mark.parametrize(
    ("overrides", "group"),
    [
        (["optimizer=signs", "optimizer.name=broken"], "sweeper.optimizers"),
        (["launcher.name=broken"], "sweeper.launchers"),
        (["eval.metrics=[broken]"], "sweeper.metrics"),
        (["study.objectives=[score,broken]"], "sweeper.metrics"),
        (["tracking.name=broken"], "sweeper.trackers"),
        (["base.family=broken"], "sweeper.families"),
    ],
)
def test_a_broken_entry_point_is_one_line_with_its_package(
    overrides: list[str], group: str, acme: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        run_study(["+experiment=pencil", f"study.folder={tmp_path / 'runs'}", *overrides])
    (line,) = caught.value.problems
    assert line.removeprefix("optimizer: ").removeprefix("base: ").removeprefix("eval: ") == (
        f"the package acme-wrong (its entry point broken of {group}) cannot be loaded: "
        "ModuleNotFoundError: No module named 'acme_is_not_there'"
    )
    assert not (tmp_path / "runs").exists()
    assert plan(["optimizer=lion"]).config.optimizer.name == "lion"  # nobody else is bothered


def test_a_thing_of_another_kind_is_one_line_too(acme: Path) -> None:
    line = problem("optimizer=signs", "optimizer.name=odd")
    assert line.endswith(
        "must be a train.spec.optimizer_kinds.OptimizerKind, got acme_sweeper.optimizers:Signs, a type"
    )


def test_a_metric_is_chosen_by_its_name_and_else_not_imported(acme: Path) -> None:
    assert plan(["+experiment=pencil"]).config.eval.metrics == ()
    assert f"{acme_package.NAME}.metrics" not in sys.modules
    config = plan(["+experiment=pencil", "study.objectives=[score,nearest]", "eval.metrics=[raises]"]).config
    assert config.with_objectives_measured().eval.metrics == ("raises", "nearest")
    assert config.study.directions == ("maximize", "maximize")
    assert problem("eval.metrics=[nearst]").endswith("got 'nearst'; did you mean nearest?")
    assert problem("eval.metrics=[style]").startswith("eval.metrics.0 must be one of broken, ")
    assert problem("study.objectives=[score,nearst]").endswith("got 'nearst'; did you mean nearest?")


def test_without_any_package_a_metrics_name_says_so() -> None:
    said = "must be an entry point of sweeper.metrics, and no installed package has one, got 'nearest'"
    assert problem("eval.metrics=[nearest]") == f"eval.metrics.0 {said}"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "eval.metrics=[fall]",
            "fall of sweeper.metrics) has the name of a number of the judge's own; it needs another",
        ),
        ("eval.metrics=[late]", "acme_sweeper.broken:late: ModuleNotFoundError: No module named 'acme_is_not_there'"),
        ("study.objectives=[score,talks]", "talks of sweeper.metrics) says no direction, so it can be no objective"),
    ],
)
def test_a_metric_that_cannot_be_used_is_one_line(override: str, words: str, acme: Path) -> None:
    assert "the package acme-wrong (its entry point " in problem(override) and problem(override).endswith(words)


def test_a_metric_that_fails_is_not_measured_said_once_and_changes_no_other_number(acme: Path) -> None:
    reference, evidence = test_judge.REFERENCE, test_judge.GOOD
    lines: list[str] = []
    failed = said_once(lines.append)
    alone = judge(reference, evidence, [], test_judge.SPEC)
    spec = replace(test_judge.SPEC, metrics=("raises", "nearest", "spoils", "talks"))
    first = judge(reference, evidence, [], spec, failed=failed)
    for found in (first, judge(reference, evidence, [], spec, failed=failed)):
        assert {name: found.metrics[name] for name in alone.metrics} == alone.metrics
        assert (found.score, found.severities) == (alone.score, alone.severities)
        likeness = evidence.samples.flatten(0, 1) @ reference.held_out.T
        assert found.metrics["nearest"] == pytest.approx(float(likeness.max(1).values.mean()))
        assert found.metrics["spoils"] == pytest.approx(float(reference.prompts.sum()))
        assert math.isnan(found.metrics["raises"]) and math.isnan(found.metrics["talks"])
    package = "the package acme-wrong (its entry point {} of sweeper.metrics) failed"
    assert lines == [
        f"metric raises is not measured: {package.format('raises')}: ZeroDivisionError: division by zero",
        f"metric talks is not measured: {package.format('talks')}: TypeError: it returned '0.5', which is no number",
    ]


def etched(folder: Path) -> Path:
    """The embedded base as one of the package's family."""
    for file in EMBEDDED["pocket"].rglob("*"):
        copy = folder / file.relative_to(EMBEDDED["pocket"])
        if file.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(file)
    index = folder / "model_index.json"
    known = json.loads(index.read_text())
    index.unlink()
    index.write_text(json.dumps({**known, "_class_name": "EtchPipeline"}))
    return folder


def test_a_study_uses_each_of_them(acme: Path, tmp_path: Path) -> None:
    folder, note = tmp_path / "runs", tmp_path / "note"
    overrides = [
        *("base=etch", f"base.path={etched(tmp_path / 'etch')}", "base.resolution=64", "base.lr_factor=10"),
        *("optimizer=signs", "launcher=noted", "tracking=lines", f"+launcher.settings.note={note}"),
        *("study.name=acme", "study.num_trials=1", "train.steps=2", "eval.every=2", f"study.folder={folder}"),
        *("study.objectives=[score,nearest]", "eval.metrics=[raises]"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sweeper", *SMALL, *overrides],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(acme), str(ROOT)]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(note.read_text().splitlines()) == {"worker 0"}
    trial = yaml.safe_load(next(folder.glob("acme/trials/*/config.yaml")).read_text())
    assert (trial["optimizer"]["name"], trial["base"]["family"]) == ("signs", "etch")
    evaluation = json.loads(next(folder.glob("acme/trials/*/evaluations.jsonl")).read_text().splitlines()[0])
    assert -1 < evaluation["metrics"]["nearest"] < 1 and evaluation["metrics"]["raises"] is None
    said = "metric raises is not measured: the package acme-wrong (its entry point raises of sweeper.metrics) failed"
    assert done.stdout.replace("\n", " ").count(said) == 1
    card = (folder / "acme/best/card.md").read_text()
    (row,) = (line.split(" | ") for line in card.splitlines() if line.startswith("| nearest | "))
    assert -1 < float(row[1]) < 1 and -1 < float(row[3]) < 1
    assert row[-1] == "likeness to the nearest held-out picture; higher is better |"
    assert "nearest (higher is better)" in card and "| raises |" not in card
    seen = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    assert [name for name, _ in seen if name in ("start_study", "end_trial", "register_champion", "end_study")] == [
        *("start_study", "end_trial", "register_champion", "end_study")
    ]
    assert ["start_trial", 0] in seen and ["log_evaluation", 0] in seen
    assert not (folder / "mlflow.db").exists()
    again = yaml.safe_load((folder / "acme" / "study.yaml").read_text())
    assert again["config"]["optimizer"]["lr"] == trial["optimizer"]["lr"]
