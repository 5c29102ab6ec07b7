"""A finished study says so at once, and only while all that it left is as it left it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

from foundation.files.durable import write_json, write_text
from foundation.files.sums import write_sums
from sweeper.records.paths import best_of, checkpoint_of, trial_of
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search
from sweeper.study import finished
from sweeper.study.finished import already_finished, forget_finished, note_finished
from sweeper.tracking import DATABASE
from tests.sweeper.fake_worker import OVERRIDES, evaluation

ROOT = Path(__file__).parents[3]


@cache
def asked_for(root: Path, *overrides: str) -> Plan:
    return plan([*OVERRIDES, *_paths(root), *overrides])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of studies with a finished one of three trials, and a copy of it."""
    root = tmp_path_factory.mktemp("made") / "multirun"
    write_text(root / "pictures/a.png", "a picture")
    asked, folder = asked_for(root), root / "pencil"
    search = Search.open(asked.config, asked.space, root / "studies.db")
    for _ in range(3):
        number, _ = search.ask()
        search.tell_complete(number, 50.0)
        write_text(checkpoint_of(trial_of(folder, number), 80) / "weights", "learned")
        write_text(trial_of(folder, number) / "evaluations.jsonl", "judged")
    chosen = {
        "trial": 1,
        "step": 80,
        "strength": 0.8,
        "within_noise": "",
        "evaluation": evaluation(80, 51.26).to_json(),
    }
    write_json(best_of(folder) / "scores.json", chosen)
    write_text(best_of(folder) / "weights", "learned")
    write_sums(best_of(folder))
    write_text(folder / "study.yaml", "study: pencil")
    (root / DATABASE).touch()
    note_finished(asked)
    return root, Path(shutil.copytree(root, root.parent / "copy"))


@pytest.fixture
def root(made: tuple[Path, Path]) -> Path:
    """The folder of studies as it was made."""
    root, copy = made
    shutil.rmtree(root)
    shutil.copytree(copy, root)
    return root


def test_the_same_command_is_told_what_the_best_is_and_where(root: Path) -> None:
    first, second = already_finished(asked_for(root))
    assert first == (
        "study pencil is finished: the best of 3 trials is trial 1 at step 80, to be used at strength 0.8, "
        "with score 51.3"
    )
    assert second.startswith(f"it is in {root / 'pencil/best'}: the LoRA and its card (card.md); nothing was done.")


@pytest.mark.parametrize(
    "harm",
    [
        lambda root: (root / "studies.db").unlink(),
        lambda root: (root / "studies.db").write_bytes(b"no database"),
        lambda root: (root / DATABASE).unlink(),
        lambda root: (root / "pencil/study.yaml").unlink(),
        lambda root: (root / "pencil/best/weights").unlink(),
        lambda root: (root / "pencil/best/weights").write_text("cut"),
        lambda root: (root / "pencil/best/weights").write_text("leArned"),
        lambda root: (root / "pencil/best/checksums.sha256").write_text(""),
        lambda root: (root / "pencil/best").rename(root / "elsewhere"),
        lambda root: (root / "pencil/finished.json").write_text("null"),
        lambda root: (root / "pictures/b.png").write_bytes(b"another"),
        lambda root: forget_finished(root / "pencil"),
    ],
)
def test_what_is_gone_or_new_opens_the_study_in_full(root: Path, harm: Callable[[Path], None]) -> None:
    harm(root)
    assert already_finished(asked_for(root)) == []


def test_a_best_that_was_damaged_before_the_record_was_written_is_not_taken_for_whole(root: Path) -> None:
    (root / "pencil/best/weights").write_text("leArned")
    note_finished(asked_for(root))
    assert already_finished(asked_for(root)) == []


@pytest.mark.parametrize("other", ["study.num_trials=4", "study.num_trials=2", "study.finalists=1", "train.steps=40"])
def test_what_is_asked_otherwise_opens_the_study_in_full(root: Path, other: str) -> None:
    assert already_finished(asked_for(root, other)) == []


def test_what_an_older_program_wrote_down_as_asked_is_known_again(root: Path) -> None:
    config = asdict(asked_for(root).config)
    for group, name in (("eval", "metrics"), *((group, name) for group, name, _ in finished._LATER)):
        del config[group][name]  # as it was before there were any
    pictures = [finished._stamps(Path(config["data"][name])) for name in finished._DATA if config["data"].get(name)]
    words = json.dumps([asked_for(root).space.fingerprint(), config, pictures], sort_keys=True, default=str)
    assert hashlib.sha256(words.encode()).hexdigest() == finished._digest(asked_for(root))


def test_what_trials_have_lost_is_named_and_the_best_stands(root: Path) -> None:
    (root / "pencil/trials/0001/checkpoints/step-000080/weights").unlink()
    (root / "pencil/trials/0002/evaluations.jsonl").write_text("")
    *_, last = already_finished(asked_for(root))
    assert "trials/0001/checkpoints/step-000080/weights, trials/0002/evaluations.jsonl; the best needs none" in last
    names = json.loads((root / "pencil/finished.json").read_text())["trials"]
    assert len(names) == 6


def test_the_command_loads_no_library_of_models_to_say_so(root: Path) -> None:
    said = (
        "import sys; from sweeper.cli import main; main(); "
        "heavy = {'torch', 'diffusers', 'transformers', 'mlflow', 'optuna'} & set(sys.modules); assert not heavy, heavy"
    )
    overrides = [*OVERRIDES, *_paths(root)]
    done = subprocess.run(
        [sys.executable, "-c", said, *overrides],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("study pencil is finished: the best of 3 trials is trial 1")


def _paths(root: Path) -> list[str]:
    return ["study.name=pencil", f"study.folder={root}", f"data.path={root / 'pictures'}", "data.drawn=null"]
