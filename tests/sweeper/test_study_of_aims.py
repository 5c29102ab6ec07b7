"""A study of several objectives from its first trial to `best/`, with a worker that is played."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from eval.evaluation import Evaluation, value_of
from foundation.adapters.files import WEIGHTS_FILE
from foundation.data.dataset import Dataset
from sweeper.records.config import Config
from sweeper.records.messages import Admit, Rescore, Rescored, WorkerCommand
from sweeper.records.pictures import PROMPT, picture_name
from sweeper.records.trials import Resolved
from sweeper.results.finalists import select_best
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.supervisor import Supervisor
from tests.sweeper.fake_worker import Notes, PlayedWorker, evaluation

AIMS = ("style", "prompt_match", "drift")
STEPS = (40, 80, 120, 160)
LORA = {f"unet.mid_block.to_q.lora_{side}.weight": torch.ones(shape) for side, shape in (("A", (1, 4)), ("B", (4, 1)))}


@pytest.fixture(scope="module")
def asked() -> Plan:
    return plan(
        [
            "+experiment=pencil",
            f"study.objectives=[{','.join(AIMS)}]",
            "eval.screening_prompts=null",
            "study.num_trials=12",
            "study.startup_trials=3",
            "study.strengths=[]",
            "study.pruner.warmup_evaluations=2",
            "study.pruner.patience=1",
        ]
    )


class RescoringWorker(PlayedWorker):
    """Also leaves checkpoints, and judges finalists again: a little worse than before."""

    def __init__(self, script: Mapping[int, Sequence[Evaluation]]) -> None:
        super().__init__(script)
        self.folders: dict[int, Path] = {}
        self.rescored: list[int] = []
        self.writes = True

    def send(self, worker: int, command: WorkerCommand) -> None:
        match command:
            case Admit(trial=trial, folder=folder):
                self.folders[trial] = folder
                for made in self.script[trial] if self.writes else ():
                    assert isinstance(made, Evaluation)
                    weights = folder / "checkpoints" / f"step-{made.step:06}" / "pytorch_lora_weights.safetensors"
                    weights.parent.mkdir(parents=True, exist_ok=True)
                    save_file(LORA, weights)
            case Rescore(trial=trial, step=step, seeds=seeds, out=out):
                self.rescored.append(trial)
                out.mkdir(parents=True, exist_ok=True)
                for prompt, seed in itertools.product(range(8), range(len(seeds))):
                    Image.new("RGB", (8, 8), "red").save(out / picture_name(PROMPT, prompt, seed))
                made = next(e for e in self.script[trial] if isinstance(e, Evaluation) and e.step == step)
                again = replace(made, score=made.score - 5)
                event = Rescored(trial=trial, evaluation=again, base=made, pictures=out, base_pictures=out)
                self.queue.append((0, event))
                return
        super().send(worker, command)


def course(scores: Sequence[float], values: Sequence[float], indices: Sequence[float] = (0.0,) * 4) -> list[Evaluation]:
    """Evaluations of a trial whose objectives are `values` at every step; an index of .75 or more is overfit."""
    metrics = {"val_ratio": 0.5, **dict(zip(AIMS, values, strict=True))}
    return [
        replace(evaluation(step, score, index, overfit=index >= 0.75), score_se=0.0, metrics=metrics)
        for step, score, index in zip(STEPS, scores, indices, strict=True)
    ]


def script() -> dict[int, list[Evaluation]]:
    """Twelve trials. Four finish first, so that there is a measure; their scores at 120 steps have the median 45."""
    played = {
        0: course((10, 30, 40, 50), (0.5, 80.0, 0.30)),
        1: course((12, 35, 50, 60), (0.7, 70.0, 0.40)),
        2: course((15, 30, 40, 45), (0.4, 70.0, 0.35)),  # beaten by 0 in all
        3: course((20, 40, 55, 65), (0.8, 75.0, 0.60)),
        4: course((9, 9, 9, 9), (0.99, 99.0, 0.0)),  # hopeless, by the score
        5: course((50, 60, 60, 60), (0.99, 99.0, 0.0), (0.6, 0.8, 0.9, 0.9)),  # overfit from the first on
        6: course((30, 62, 20, 10), (0.6, 85.0, 0.50), (0.0, 0.1, 0.8, 0.9)),  # overfit after a clean checkpoint
        7: course((20, 50, 60, 90), (0.9, 90.0, 0.20), (0.5, 0.6, 0.7, 0.6)),  # runs to its end, clean nowhere
    }
    generator = np.random.default_rng(0)
    for number in range(8, 12):
        values = (float(generator.uniform(0.3, 0.8)), float(generator.uniform(70, 85)), float(generator.uniform(0, 1)))
        played[number] = course((20, 40, 50, 50 + number), values)
    return played


PICTURES = Dataset(train=(), validation=())

Played = tuple[Supervisor, Notes, RescoringWorker, Path]


@pytest.fixture(scope="module")
def study(asked: Plan, tmp_path_factory: pytest.TempPathFactory) -> Played:
    worker, notes, folder = RescoringWorker(script()), Notes(), tmp_path_factory.mktemp("multirun") / "pencil"
    config = asked.config

    def resolve(_: dict[str, object]) -> Resolved:
        return Resolved(spec=config.trial, yaml="adapter: {rank: 1}\n")

    display = Display("pencil", 12, 160)
    search = Search.open(config, asked.space)
    supervisor = Supervisor(config, folder, search, notes, worker, display, resolve)
    supervisor.run()
    select_best(supervisor, notes, display, folder, config, PICTURES)
    return supervisor, notes, worker, folder / "best"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4])


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_finalist_whose_checkpoint_is_damaged_or_gone_is_trained_again_and_else_makes_way(
    comes_back: bool,
    study: Played,
    asked: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor, notes, worker, _ = study
    trials = {trial.number: trial for trial in supervisor.front}
    first, second, third, *_ = sorted(trials, key=lambda number: -value_of(trials[number].best))
    for number, spoil in ((first, Path.unlink), (second, cut_short)):
        trial = trials[number]
        copy = shutil.copytree(trial.folder, tmp_path / str(number))
        monkeypatch.setattr(trial, "folder", copy)
        spoil(trial.checkpoint(trial.best.step) / WEIGHTS_FILE)
    monkeypatch.setattr(worker, "rescored", [])
    monkeypatch.setattr(worker, "writes", comes_back)
    monkeypatch.setattr(supervisor, "trained_again", {})
    display = Display("pencil", 12, 160)
    monkeypatch.setattr(supervisor, "_display", display)
    select_best(supervisor, notes, display, tmp_path / "pencil", asked.config, PICTURES)
    said = capsys.readouterr().out
    assert f"trial {first} is trained again under its number: its checkpoint " in said
    assert f"trial {second} is trained again under its number: " in said
    if comes_back:
        assert worker.rescored[:3] == [first, second, third] and "cannot be a finalist" not in said
    else:
        assert {first, second}.isdisjoint(worker.rescored) and worker.rescored[0] == third
        assert f"trial {first} cannot be a finalist: " in said and f"trial {second} cannot be a finalist: " in said


def test_nobody_is_asked_again_while_nothing_is_new(
    study: Played, asked: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, notes, worker, best = study
    before = {path.name: path.read_bytes() for path in best.iterdir()}
    monkeypatch.setattr(worker, "rescored", [])
    display = Display("pencil", 12, 160)
    select_best(supervisor, notes, display, best.parent, asked.config, PICTURES)
    assert worker.rescored == []
    assert {path.name: path.read_bytes() for path in best.iterdir()} == before
    said = capsys.readouterr().out
    assert "nothing is new since the best was chosen" in said and "best: trial" in said
    assert "-5.0 points above the base" in said  # the played worker scores everything five points below it
    assert "which is within noise" in said and "it is not registered as champion" in said
    assert notes.registered is False
    select_best(supervisor, notes, display, best.parent, registering(asked.config, "always"), PICTURES)
    assert notes.registered is True
    assert "not registered" not in capsys.readouterr().out
    monkeypatch.setattr(supervisor.trials[0], "reason", "another")
    select_best(supervisor, notes, display, best.parent, asked.config, PICTURES)
    assert worker.rescored


def registering(config: Config, register: Literal["better", "always", "never"]) -> Config:
    return replace(config, tracking=replace(config.tracking, register=register))


def not_beaten(values: Mapping[int, Sequence[float]]) -> list[int]:
    def beats(one: Sequence[float], other: Sequence[float]) -> bool:
        better = [one[0] - other[0], one[1] - other[1], other[2] - one[2]]
        return min(better) >= 0 and max(better) > 0

    return sorted(n for n, own in values.items() if not any(beats(other, own) for other in values.values()))


def test_overfit_and_hopeless_trials_are_ended_as_in_a_study_of_one_objective(study: Played) -> None:
    supervisor, notes, _, _ = study
    assert notes.ended[4][0] == "pruned"
    assert notes.ended[4][1].startswith("hopeless: best score 9 is below the median")
    assert notes.ended[5] == ("pruned", "looks overfit: copies in 4 of 16 pictures")
    assert supervisor.trials[5].evaluations[-1].step == 80
    assert notes.ended[6] == ("finished", "looks overfit: copies in 4 of 16 pictures")
    assert notes.ended[7] == ("finished", "all steps done")
    assert [status for status, _ in notes.ended.values()].count("finished") == 10
    told = {"step": 80, "score": 62, "style": 0.6, "prompt_match": 85.0, "drift": 0.5}
    assert told.items() <= notes.chosen[6].items()


def test_the_front_is_that_of_brute_force_over_clean_finished_trials(study: Played) -> None:
    supervisor, _, _, _ = study
    clean = {number: made[0].metrics for number, made in script().items() if number not in (4, 5, 7)}
    values = {number: [metrics[name] for name in AIMS] for number, metrics in clean.items()}
    front = [trial.number for trial in supervisor.front]
    assert front == not_beaten(values)
    assert 2 not in front
    assert 3 <= len(front) < len(values)


def test_finalists_are_the_fronts_best_scores_and_the_card_shows_the_front(study: Played) -> None:
    supervisor, _, worker, best = study
    front = {trial.number: trial.best for trial in supervisor.front}
    scores = {number: made.score for number, made in front.items() if made}
    finalists = sorted(scores, key=lambda number: -scores[number])[:3]
    assert sorted(worker.rescored) == sorted(finalists)
    card = (best / "card.md").read_text()
    assert f"# pencil: trial {finalists[0]}, " in card
    assert "Finalists are the best by score on the Pareto front of style, prompt_match, drift." in card
    section = card.partition("## The Pareto front")[2].partition("## The study")[0]
    head, _, *rows = [line for line in section.splitlines() if line.startswith("|")]
    assert head == (
        "| trial | at step | style (higher is better) | prompt_match (higher is better) | drift (lower is better) |"
    )
    assert [int(row.split("|")[1]) for row in rows] == sorted(front)
    assert "| 6 | 80 | 0.6 | 85.0 | 0.5 |" in rows
    assert "(pareto.png)" in section
    with Image.open(best / "pareto.png") as picture:
        assert picture.width > 2 * picture.height  # three panels, one for each pair
        assert len(picture.getcolors(1 << 20) or ()) > 10
