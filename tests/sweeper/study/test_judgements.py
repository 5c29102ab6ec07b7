"""Finalists and strengths are judged by all devices at once, and the answers are those of one device, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.bases.registry import load_base
from foundation.config.compose import compose
from sweeper.launchers.local import LocalLauncher
from sweeper.records.config import Config, parse_config
from sweeper.records.messages import DeviceFailed, Died, Rescore, Rescored, Shutdown
from sweeper.study.fleet import Fleet
from sweeper.study.judgements import Judgements
from sweeper.worker.worker_main import run_worker
from tests.sweeper.fake_supervisor import Supervisor
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, TrainingSpec, TrialSpec

SEEDS = (1000, 1001, 1002)


@pytest.fixture(scope="module")
def checkpoints(tiny_spec: BaseSpec, tiny_data: EncodedDataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two LoRAs of the tiny base that have trained a little."""
    folder = tmp_path_factory.mktemp("trained")
    pack = Pack(load_base(tiny_spec, torch.device("cpu")), tiny_data, num_slots=2)
    for seed in (1, 2):
        pack.admit(TrialSpec(adapter=AdapterSpec(rank=2), train=TrainingSpec(batch_size=2, seed=seed)))
    pack.step()
    for slot in (0, 1):
        pack.save_adapter(slot, folder / str(slot))
    return [folder / "0", folder / "1"]


def config(folder: Path, base: BaseSpec, data: Path, devices: str) -> Config:
    overrides = [
        "+experiment=pencil",
        f"data.path={data / 'train'}",
        f"data.validation_path={data / 'validation'}",
        "data.drawn=null",
        f"study.folder={folder}",
        "eval.sample_steps=2",
        "eval.seeds=[0]",
        "eval.prompts=['a red cup on grass','a blue star at night']",
        "eval.final_prompts=[]",
        "eval.unrelated_prompts=[]",
        "eval.timestep_bins=2",
        "eval.noises_per_bin=1",
        "study.slots=1",
        "study.name=pencil",
        f"launcher.devices={devices}",
    ]
    return replace(parse_config(compose(overrides)), base=base)


def questions(checkpoints: Sequence[Path], out: Path) -> list[Rescore]:
    """Both as they are; then the first at another strength, and again with some of the seeds it was drawn with."""
    asked = [
        (0, SEEDS, 1.0, "0"),
        (1, SEEDS, 1.0, "1"),
        (0, SEEDS[:2], 0.5, "0 weaker"),
        (0, SEEDS[:2], 1.0, "0 fewer"),
    ]
    return [
        Rescore(
            trial=number,
            step=1,
            checkpoint=checkpoints[number],
            seeds=seeds,
            all_seeds=SEEDS,
            out=out / name,
            strength=strength,
        )
        for number, seeds, strength, name in asked
    ]


def told(answers: Sequence[object], folder: Path) -> tuple[list[str], dict[Path, bytes]]:
    """All digits of the judgements, and the pictures."""
    judged = [repr((each.evaluation, each.base)) for each in answers if isinstance(each, Rescored)]
    return judged, {path.relative_to(folder): path.read_bytes() for path in folder.rglob("out/*/*.png")}


@pytest.mark.usefixtures("fresh_accelerate")
def test_several_workers_answer_as_one_does_to_the_bit(
    checkpoints: list[Path],
    tiny_spec: BaseSpec,
    drawn_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as this process
    one, two = (config(tmp_path / name, tiny_spec, drawn_folder, "[cpu,cpu]") for name in ("one", "two"))
    for folder in (tmp_path / "one/pencil", tmp_path / "two/pencil"):
        folder.mkdir(parents=True)

    alone: Any = Supervisor(*questions(checkpoints, tmp_path / "one/out"), Shutdown())
    run_worker(one, "cpu", alone, [one.objective])

    launcher, lines, counted = LocalLauncher(two, [two.objective]), list[str](), list[int]()
    try:
        fleet = Fleet(two, launcher, lines.append)
        fleet.start(trains=False)
        while len(fleet.ready) < 2:  # else one may have answered all before the other is up
            assert not any(isinstance(event, Died | DeviceFailed) for _, event in fleet.events())
        judgements = Judgements(fleet)
        asked = questions(checkpoints, tmp_path / "two/out")
        answers = [*judgements.answers(asked[:3], counted.append), *judgements.answers(asked[3:])]
    finally:
        launcher.shut_down(30.0)
    assert counted == [1, 2, 3]
    assert len([line for line in lines if "1 slot" in line]) == 2, lines
    assert len(answers) == len(asked)
    assert told(answers, tmp_path / "two") == told(alone.heard, tmp_path / "one")
    # Whoever had drawn it with all seeds was asked about some of them, so nothing was drawn again:
    assert {path.name for path in (tmp_path / "two/out").iterdir()} == {"0", "1", "0 weaker"}
