"""`~` is the home in every path that a person gives: each field of the config, each argument of each command."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

import eval.request as judging
import foundation.adapters.merge.request as merging
import foundation.data.prepare.request as preparing
from foundation.config.home import address_at_home, at_home
from foundation.errors import UserError
from sweeper import clean, dashboard
from sweeper import study_command as study
from sweeper.export_files import export
from sweeper.export_request import parse
from sweeper.records.config import Config
from sweeper.reference.fields import fields_of
from sweeper.search.space import plan
from train import command as training

NO_PATHS = {
    *("base.name", "base.family", "data.name", "study.name", "study.storage", "optimizer.settings"),
    *("optimizer.name", "optimizer.lr_by", "launcher.name", "launcher.settings"),
    *("tracking.name", "tracking.also", "tracking.settings"),
    *("data.trigger", "data.caption_column", "data.regularization_prompt"),
    *("eval.metrics", "study.objectives", "metric"),
    *("eval.prompts", "eval.final_prompts", "eval.unrelated_prompts", "eval.class_word"),
    *("eval.training_captions", "data.class_word"),
    *("adapter.targets", "adapter.exclude", "adapter.layers_pattern", "adapter.init"),
    *("adapter.modules_to_save", "adapter.rank_pattern", "adapter.alpha_pattern"),
    *("study.narrow_from", "study.space", "study.recipes", "launcher.devices", "tracking.experiment", "tracking.model"),
    *("launcher.address", "launcher.workers", "launcher.resources", "launcher.gpus_per_worker"),
    "launcher.cpus_per_worker",
    *("trigger", "prompt", "unrelated", "class_word", "device", "title", "prefix", "strip", "add", "column"),
}
"""Texts that name no path. A field that is new belongs here, or is a `PathText`."""
REQUESTS = (judging.EvalRequest, merging.MergeRequest, preparing.PrepareRequest)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def holds_text(hint: Any) -> bool:
    return hint is str or any(map(holds_text, typing.get_args(hint)))


def all_fields() -> list[tuple[str, Any]]:
    groups = typing.get_type_hints(Config)
    found = [(each.path, each.hint) for group, kind in groups.items() for each in fields_of(kind, group)]
    for request in REQUESTS:
        hints = typing.get_type_hints(request, include_extras=True)
        found += [(each.name, hints[each.name]) for each in dataclasses.fields(request)]
    return [(path, hint) for path, hint in found if holds_text(hint)]


@pytest.mark.parametrize(("path", "hint"), all_fields())
def test_every_text_is_no_path_or_knows_the_home(path: str, hint: Any, home: Path) -> None:
    if path not in NO_PATHS:
        in_list = typing.get_origin(hint) is tuple or "tuple" in str(hint)
        given = ("~/a b",) if in_list else "~/a b"
        parsed = TypeAdapter(hint).validate_python(given)
        assert (parsed[0] if in_list else parsed) == f"{home}/a b"


@pytest.mark.parametrize("override", ["data.path=~/my, pictures=1", "data.path='~/my, pictures=1'"])
def test_a_study_reads_the_home_with_and_without_quotes(override: str, home: Path) -> None:
    config = plan([override]).config
    assert config.data.path == f"{home}/my, pictures=1"
    assert config.study.name == "my-pictures-1"


def test_hydra_takes_what_the_command_quoted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(study, "already_finished", lambda _: [])
    monkeypatch.setattr(study, "_run", lambda: seen.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["sweeper"])
    assert study.main(["study.folder=~/a, b", "~study.space", "optimizer=adamw"]) == 0
    assert seen == [["study.folder='~/a, b'", "~study.space", "optimizer=adamw"]]


@pytest.mark.parametrize(
    ("run", "arguments"),
    [
        (clean.clean, ["folder=~/none"]),
        (lambda given: export(*parse(given)), ["~/none"]),
        (lambda given: export(*parse(given)), ["pencil", "folder=~/none"]),
        (lambda given: dashboard.serve(dashboard.parse(given)), ["folder=~/none"]),
    ],
)
def test_every_command_says_where_it_looked(
    run: Callable[[Sequence[str]], object], arguments: list[str], home: Path
) -> None:
    with pytest.raises(UserError, match=f"{home}/none"):
        run(arguments)


def test_nothing_in_the_home_is_overwritten(home: Path) -> None:
    (home / "there").mkdir()
    with pytest.raises(UserError, match=f"out {home}/there exists already"):
        training.parse_command(["out=~/there"])
    with pytest.raises(UserError, match=f"out {home}/there exists already"):
        merging.parse_merge(["resize", "lora=~/a", "rank=4", "out=~/there"])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///~/runs.db", "sqlite:///HOME/runs.db"),
        ("sqlite+pysqlite:///~/runs.db", "sqlite+pysqlite:///HOME/runs.db"),
        ("file:///~/runs", "file://HOME/runs"),
        ("~/runs", "HOME/runs"),
        ("http://host/~me", "http://host/~me"),
        ("sqlite:///runs/~/a.db", "sqlite:///runs/~/a.db"),
    ],
)
def test_an_address_knows_the_home(given: str, meant: str, home: Path) -> None:
    assert address_at_home(given) == meant.replace("HOME", str(home))


def test_a_name_that_nobody_has_is_a_name() -> None:
    assert at_home("~nobody-of-that-name/a") == "~nobody-of-that-name/a"
