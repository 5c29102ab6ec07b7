"""The real command with its study and its runs on servers: held by one process, safe from outages, no secret told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from foundation.secrets import hide
from sweeper.records.paths import STUDIES
from sweeper.search.port import EndedTrial
from sweeper.search.server import Server
from sweeper.search.study import stored_trials
from sweeper.study.run import BEHIND
from tests.sweeper.mlflow_server import Door
from tests.sweeper.postgres import PASSWORD, PostgresServer
from tests.sweeper.test_study import ROOT, start
from tests.sweeper.tracking.test_tracking_server import found

pytestmark = pytest.mark.skipif(
    "SWEEPER_SERVERS" not in os.environ, reason="takes minutes and a quiet machine: make test-servers"
)

SECRETS = [form.encode() for form in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), "sesame")]


def test_a_password_in_an_address_is_kept_nowhere_and_a_second_supervisor_is_refused(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    storage = f"study.storage='{postgres.address(database)}'"
    long = ["study.name=long", "train.steps=400", "eval.every=200", storage]
    first, lines = start(tmp_path / "first", *long), []
    assert first.stdout is not None
    for line in first.stdout:
        lines.append(line)
        if "an epoch is" in line:
            break
    listed = Path(f"/proc/{first.pid}/cmdline").read_bytes()
    assert b"study.storage='postgresql+psycopg://sweeper:***" in listed
    second = start(tmp_path / "second", *long)
    refused = second.communicate(timeout=300)[0]
    assert second.returncode == 2, refused
    who = rf"process {first.pid} on {os.uname().nodename} since 20\d\d-\d\d-\d\d"
    assert re.search(rf"^error: study long is being run by {who}.*; wait for it", refused, re.MULTILINE)
    assert not (tmp_path / "second" / "long").exists()
    os.killpg(first.pid, signal.SIGINT)
    output = "".join([*lines, first.communicate(timeout=300)[0], refused])
    assert first.returncode == 130, output
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"storage: postgresql+psycopg://sweeper:***@127.0.0.1" in each for each in files)
    for secret in SECRETS:
        assert secret not in listed and secret not in output.encode()
        assert not [each for each in files if secret in each]


STUDY = [
    "+experiment=pencil",
    "study.name=shared",
    "study.num_trials=3",
    "study.slots=1",
    "study.startup_trials=2",
    "study.finalists=2",
    "study.strengths=[0.6]",
    "study.pruner.name=none",
    "data.num_train=6",
    "data.num_validation=3",
    "train.steps=12",
    "eval.every=6",
    "eval.prompts=['a red cup on grass, {trigger}','a blue star at night, {trigger}']",
    "eval.unrelated_prompts=['a red ball on grass, in photo style']",
    "eval.seeds=[0]",
    "tracking.register=always",
]


def begin(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    """The study of which training and judging alone are simulated."""
    command = [sys.executable, "-m", "tests.sweeper.simulated", *STUDY, f"study.folder={folder}", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def follow(process: subprocess.Popen[str], strikes: Mapping[str, Callable[[], object]]) -> str:
    """What a study says; the first time that it says what a strike is named after, that is called."""
    left, said = dict(strikes), []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        for words in [each for each in left if each in line]:
            left.pop(words)()
    process.wait()
    assert not left, "".join(said)
    return "".join(said)


def test_a_study_that_loses_its_servers_and_its_supervisor_comes_to_the_same(
    postgres: PostgresServer, database: str, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    storage = f"study.storage='{postgres.address(database, '')}'"
    calm = begin(tmp_path / "calm", f"tracking.uri={door.address}", "tracking.experiment=calm", "tracking.model=calm")
    said = follow(calm, {})
    assert calm.returncode == 0, said

    def restart() -> None:
        postgres.stop()
        postgres.start()

    own = [storage, f"tracking.uri={door.address}", "tracking.experiment=struck", "tracking.model=struck"]
    struck = begin(tmp_path / "struck", *own)
    said = follow(struck, {"trial 0 step 6": restart, "trial 1 step 6": struck.kill})
    assert struck.returncode == -signal.SIGKILL
    struck = begin(tmp_path / "struck", *own)
    said += follow(struck, {"resuming": partial(setattr, door, "is_open", False), "trial 2 step 6": restart})
    assert struck.returncode == BEHIND, said
    assert "and so does `sweeper track shared`" in said.replace("\n", " ")
    assert "View run" not in said and "Traceback" not in said
    refused = track("shared", tmp_path / "struck")
    assert refused.returncode == 2 and "cannot be opened" in refused.stderr
    door.is_open = True
    shown = track("shared", tmp_path / "struck")
    assert shown.returncode == 0, shown.stderr
    assert found(door.address, "struck") == found(door.address, "calm")
    assert trials_in(postgres, database) == trials_of(tmp_path / "calm")


def track(*arguments: object) -> subprocess.CompletedProcess[str]:
    name, folder = arguments
    command = [sys.executable, "-m", "sweeper", "track", f"study={name}", f"folder={folder}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def trials_of(folder: Path) -> list[EndedTrial]:
    return stored_trials("shared", folder / STUDIES)[0]


def trials_in(postgres: PostgresServer, database: str) -> list[EndedTrial]:
    return stored_trials("shared", Server(hide(postgres.address(database)), print))[0]
