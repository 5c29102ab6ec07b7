"""Studies made by hand through the real writers: nothing is trained, pictures are drawn scenes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from eval.evaluation import Evaluation
from foundation.files.durable import write_json
from sweeper.records.costs import Cost, Costs, Spent
from sweeper.records.history import append_costs, append_evaluation, append_steps, keep_config, write_base_images
from sweeper.records.paths import best_of, cache_of, checkpoint_of, pictures_of, trial_of
from sweeper.records.pictures import PROMPT, TRAINING, picture_name, sheet_name
from sweeper.results.file_names import CONFIG_FILE, SCORES, WEIGHTS
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search
from sweeper.study.finished import FINISHED_FILE, STUDIES
from sweeper.study.study_file import to_yaml, write_study
from train.pocket.draw import draw_scene
from train.pocket.world import scenes
from train.reports import StepReport

MARKUP = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
"""What a page must show and not do."""
LONG = "a very long caption " * 15
CHINESE = "一只红色的杯子放在绿色的草地上，铅笔画风格，背景是蓝天白云和远处的山"
PROMPTS = (f"a red cup {MARKUP}", LONG.strip(), CHINESE)
STEPS = (20, 40, 60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A study to be made."""

    name: str = "pencil"
    trials: int = 6
    steps: Sequence[int] = STEPS
    prompts: Sequence[str] = PROMPTS
    running: int = 0
    """How many of the last trials have not ended."""
    failed: bool = False
    """Whether all trials failed before an evaluation."""
    has_best: bool = True
    side: int = 32
    """Of pictures."""


def make_study(folder: Path, wanted: Wanted) -> Path:
    """Return the folder of a study that is as if it had been run."""
    overrides = [
        *("+experiment=pencil", f"study.name={wanted.name}", f"study.num_trials={max(1, wanted.trials)}"),
        f"study.folder='{folder}'",
        "~study.space",
        *(
            "optimizer=choice(adamw,lion)",
            "adapter.rank=choice(4,8,16)",
            "data.num_train=6",
            "data.num_validation=3",
        ),
        *("optimizer.lr=tag(log,interval(1e-4,1e-2))", "study.sampler=random", "study.recipes=null"),
        *(f"train.steps={wanted.steps[-1]}", f"eval.every={wanted.steps[0]}"),
    ]
    request = plan(overrides)
    study = folder / wanted.name
    write_study(study, request, "0" * 32, overrides)
    search = Search.open(request.config, request.space, folder / STUDIES)
    pictures = _Pictures(wanted.side, len(wanted.prompts))
    base = cache_of(folder) / f"base-{wanted.name}"
    pictures.write(base, 0)
    names = [
        (f"samples/{number + 1:02} {prompt}", base / sheet_name(PROMPT, number))
        for number, prompt in enumerate(wanted.prompts)
    ]
    write_base_images(study, [*names, ("training captions/01 a cup", base / sheet_name(TRAINING, 0))])
    for number in range(wanted.trials):
        _make_trial(study, search, request, pictures, wanted, number)
    if wanted.has_best and not wanted.failed:
        _make_best(study, wanted, search)
    if not wanted.running:
        write_json(study / FINISHED_FILE, {})
    return study


def evaluation_of(trial: int, step: int, place: int) -> Evaluation:
    """What the judge might say: trials differ, rise, and the last one of each kind turns."""
    score = 30 + 25 * math.sin(trial * 1.7) + 12 * place - (9 if place > 1 and trial % 3 == 0 else 0)
    return Evaluation(
        step=step,
        score=score,
        score_se=3.0,
        overfit_index=min(1.0, 0.12 * place * (trial % 4)),
        overfit=False,
        words="no sign of overfit",
        severities={"copy": 0.0},
        metrics={
            "style": score / 100,
            "val_ratio": 0.95 - 0.05 * place + 0.01 * (trial % 5),
            "prompt_match": 80.0,
            "prompt_kept": 0.98,
            "copy_rate": 0.0,
        },
        validation_losses=(0.1, 0.2),
        prompt_aims=(0.5,) * len(PROMPTS),
        prompt_scores=(score,) * len(PROMPTS),
    )


def _make_trial(study: Path, search: Search, request: Plan, pictures: _Pictures, wanted: Wanted, number: int) -> None:
    asked, params = search.ask()
    folder = trial_of(study, asked)
    keep_config(folder, to_yaml(request.trial(params)))
    is_open = number >= wanted.trials - wanted.running
    for place, step in enumerate(wanted.steps[:1] if is_open else wanted.steps):
        reports = range(step - wanted.steps[0] + 1, step + 1)
        append_steps(
            folder, [StepReport(number % 2, each, 0.1 + 1 / (each + number + 1), 1e-3, 0.1) for each in reports]
        )
        if wanted.failed:
            search.tell_failed(asked, f"the loss is not finite {MARKUP}")
            return
        evaluation = evaluation_of(number, step, place)
        append_evaluation(folder, evaluation)
        took = Costs(training=Cost(seconds=4.0, gigabytes=1.2), judging=Cost(seconds=2.0, gigabytes=1.1))
        append_costs(folder, Spent(step=step, costs=took))
        pictures.write(pictures_of(folder, step), number + place + 1)
        checkpoint = checkpoint_of(folder, step)
        checkpoint.mkdir(parents=True)
        (checkpoint / WEIGHTS).write_bytes(f"weights {number} {step}".encode())
        search.report(asked, step, evaluation.score)
    if is_open:
        return
    if number % 3 == 2:
        search.tell_pruned(asked, f"hopeless: behind the median {MARKUP}")
    else:
        search.tell_complete(asked, evaluation.score, "all steps done")


def _make_best(study: Path, wanted: Wanted, search: Search) -> None:
    ended = [each for each in search.ended_trials() if each.status == "finished"]
    winner = max(ended, key=lambda each: each.value or 0.0)
    best, step = best_of(study), wanted.steps[-1]
    best.mkdir(parents=True)
    (best / WEIGHTS).write_bytes(b"weights")
    (best / CONFIG_FILE).write_text("adapter: {rank: 8}\n")
    finalists = {str(each.number): each.value for each in ended[:3]} | {str(winner.number): winner.value}
    write_json(
        best / SCORES,
        {
            "study": study.name,
            "chosen_from": "all of them",
            "trial": winner.number,
            "training": str(winner.number),
            "step": step,
            "strength": 0.8,
            "params": {},
            "within_noise": "",
            "evaluation": evaluation_of(winner.number, step, len(wanted.steps) - 1).to_json(),
            "base": {},
            "finalists": finalists,
            "lead": "",
            "refit": "",
        },
    )


class _Pictures:
    """Pictures of each prompt with two seeds, from a few drawn scenes; each is written as the workers write them."""

    def __init__(self, side: int, prompts: int) -> None:
        drawn = [draw_scene(each, "pencil", seed=0).resize((side, side)) for each in scenes(0, 12, held_out=True)]
        self._drawn: list[Image.Image] = drawn
        self._prompts = prompts

    def write(self, folder: Path, offset: int) -> None:
        folder.mkdir(parents=True)
        for number in range(self._prompts):
            for seed in range(2):
                image = self._drawn[(offset + number + 5 * seed) % len(self._drawn)]
                image.save(folder / picture_name(PROMPT, number, seed))
            image.save(folder / sheet_name(PROMPT, number))
        image.save(folder / picture_name(TRAINING, 0, 0))
        image.save(folder / sheet_name(TRAINING, 0))
