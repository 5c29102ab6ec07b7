"""The files that `sweeper cluster` writes, and what it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.errors import ConfigError
from sweeper.cluster.command import main, text_for

ASKED = ["+experiment=pencil", "study.name=a b"]


def problems(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        text_for(arguments)
    return caught.value.problems


def test_a_batch_file_is_sound_and_quotes_the_study(tmp_path: Path) -> None:
    asked = ["nodes=4", "gpus=8", "time=1-00:00:00", "partition=gpu", "warn=600", "+experiment=pencil"]
    text = text_for(["slurm", *asked, "data.trigger='in $(my) style'"])
    options = [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")]
    assert {"nodes=4", "gpus-per-node=8", "partition=gpu", "time=1-00:00:00", "requeue"} <= set(options)
    assert "signal=B:USR1@600" in options
    assert """+experiment=pencil 'data.trigger='"'"'in $(my) style'"'"'' launcher=ray launcher.address=auto""" in text
    file = tmp_path / "study.sbatch"
    file.write_text(text)
    subprocess.run(["bash", "-n", file], check=True)


def test_a_study_may_say_where_it_runs() -> None:
    text = text_for(["slurm", "+experiment=pencil", "launcher=ray", "launcher.address=auto", "launcher.share=0.5"])
    assert "sweeper +experiment=pencil launcher=ray launcher.address=auto launcher.share=0.5 &" in text


def test_a_manifest_has_room_for_as_many_machines_as_may_come() -> None:
    text = text_for(["kubernetes", "image=r/me/s:1", "nodes=2", "most=8", "gpus=4", "claim=st", "+experiment=pencil"])
    job: dict[str, Any] = yaml.safe_load(text)
    spec = job["spec"]
    (workers,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (2, 8)
    (container,) = workers["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert "launcher.max_workers=32" in spec["entrypoint"] and "study.folder=/studies" in spec["entrypoint"]
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert head["volumes"][0]["persistentVolumeClaim"] == {"claimName": "st"}
    assert text_for(["container"]).startswith("# The image")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["pbs"], "sweeper cluster writes for slurm, kubernetes or container, got pbs"),
        (["slurm", "nodes=4"], "there is no study to run; name one as after `sweeper`, such as +experiment=pencil"),
        (["slurm", "nodes=none", *ASKED[:1]], "nodes must be a whole number, 1 or more, got none"),
        (["slurm", "time=soon", *ASKED[:1]], "time must be minutes, hours:minutes:seconds or days-hours:…, got soon"),
        (
            ["slurm", "partition=a b", *ASKED[:1]],
            "partition must be letters, digits and any of _ . , : / @ & | * + -, got 'a b'",
        ),
        (
            ["kubernetes", *ASKED[:1]],
            "image is missing; build one (`sweeper cluster container`) and name it: image=registry/me/sweeper",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], line: str) -> None:
    assert problems(*arguments) == (line,)


def test_the_studys_own_mistakes_are_said_before_it_waits_in_a_queue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slurm", "+experiment=pencil", "study.num_trials=0"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "study.num_trials" in said.err
