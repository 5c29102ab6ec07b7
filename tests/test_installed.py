"""Installed from a wheel, every command works in a folder where the user's own modules have our packages' names."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from sweeper import __version__
from tests.sweeper.test_study import SMALL

ROOT = Path(__file__).parents[1]
MINE = "raise SystemExit('the user own module was imported')\n"
COMMANDS = [
    ["sweeper", "--version"],
    ["sweeper.export", "--help"],
    ["sweeper.clean", "--help"],
    ["sweeper.dashboard", "--help"],
    ["train", "--help"],
    ["train.merge", "--help"],
    ["train.prepare", "--help"],
    ["eval", "--help"],
]
STUDY = [
    *SMALL,
    *("study.num_trials=1", "study.slots=1", "study.finalists=1", "study.strengths=[]", "study.refit=never"),
    *("train.steps=2", "eval.every=2", "optimizer=adamw"),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with our wheel; the libraries are those of this one."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-index", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env/bin/python"
    place = ["--python", str(python), "install", "--no-index", "--no-deps", str(wheel)]
    subprocess.run([*pip, *place], check=True, capture_output=True, timeout=120)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))  # a .pth in there is not read
    return python.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train", "eval", "foundation", "sweeper", "utils"):
        (tmp_path / f"{name}.py").write_text(MINE)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.yaml").write_text("defaults: [nothing: of_ours]\n")
    return tmp_path


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_module_of_ours_runs_beside_a_users_of_its_name(installed: Path, folder: Path, command: list[str]) -> None:
    done = run(folder, installed / "python", "-m", *command)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sweeper" in done.stdout


def test_the_command_is_installed_and_says_our_version(installed: Path, folder: Path) -> None:
    assert run(folder, installed / "sweeper", "--version").stdout == f"sweeper {__version__}\n"


def test_workers_run_there_too(installed: Path, folder: Path) -> None:
    done = run(folder, installed / "python", "-m", "sweeper", *STUDY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "multirun/pencil/best/card.md").is_file()
    assert "the user own" not in done.stdout + done.stderr


def test_a_users_own_programs_import_their_own_modules(installed: Path, folder: Path) -> None:
    (folder / "main.py").write_text("import train\n")
    for words in (["main.py"], ["-m", "main"], ["-c", "import train"], ["train.py"]):
        assert "the user own" in run(folder, installed / "python", *words).stderr
