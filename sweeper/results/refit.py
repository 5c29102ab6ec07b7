"""Trains the winner again on all pictures, and says whether that one is the LoRA to hand over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.evaluation import Evaluation
from eval.strength import gain
from foundation.data.dataset import Dataset
from sweeper.records.config import Config
from sweeper.records.messages import Rescored
from sweeper.records.refits import wants_refit
from sweeper.records.trainings import Training
from sweeper.records.trials import Trial
from sweeper.study.display import Display
from sweeper.study.reruns import SEED, STEPS, STOP_AFTER, Reruns
from sweeper.study.rescoring import question, rescore
from sweeper.study.supervisor import Supervisor


@dataclass(frozen=True, kw_only=True, slots=True)
class Refit:
    """The winner trained again on all pictures, beside the winner, both judged with these as training pictures."""

    trial: Trial
    words: str
    """What came of it, and why it is chosen or not."""
    before: Rescored | None = None
    """The winner; None where the refit left no checkpoint to be judged beside it."""
    after: Rescored | None = None
    """The refit."""
    is_chosen: bool = False

    @property
    def step(self) -> int:
        """Where its checkpoint is."""
        return self.trial.evaluations[-1].step


def train_refit(
    supervisor: Supervisor, winner: Trial, dataset: Dataset, folder: Path, config: Config, display: Display
) -> Supervisor | None:
    """Train with the winner's settings and seed on all pictures, as many epochs as its best checkpoint has had.

    The learning rate goes the winner's way: its curve is as much longer as there are more pictures. What an earlier
    run has trained is taken up; `supervisor` has the ended trials of the study of `config` in `folder`, whose pictures
    are those of `dataset`, and `display` shows it. The refit is the one trial of the result; None where the study wants
    none.
    """
    if not wants_refit(config, dataset) or winner.best is None:
        return None
    own, train = Training.of(winner.number), winner.spec.train
    number = replace(own.source, kind="refit").number
    share = (dataset.num_images + sum(picture.repeats for picture in dataset.validation)) / dataset.num_images
    steps = {STEPS: math.ceil(train.num_steps * share), STOP_AFTER: max(1, round(winner.best.step * share))}
    reruns = Reruns(folder, {number: {**winner.params, SEED: train.seed, **steps}}, "refits")  # type: ignore[dict-item]
    study = config.study.for_reruns(1)
    others = supervisor.beside(reruns, replace(config, study=study))
    display.more(list(supervisor.trials.values()), 1)
    others.run()
    return others


def judge_refit(
    supervisor: Supervisor,
    refit: Trial,
    winner: Trial,
    step: int,
    strength: float,
    seeds: Sequence[int],
    dataset: Dataset,
) -> Refit:
    """Have the refit and the winner's checkpoint judged alike, with fresh prompts and `seeds`, and choose.

    `supervisor` asks its workers; the winner's checkpoint is that of `step`, both act at `strength`. Held-out pictures
    of `dataset` are among those that copies are looked for; both are held against pictures that both have learned from,
    so neither is favoured.
    """
    if not refit.evaluations or refit.evaluations[-1].step < refit.spec.train.last_step:
        return Refit(trial=refit, words=f"It was trained again on all pictures, and left no LoRA: {refit.reason}.")
    before, after = rescore(
        supervisor,
        [
            question(winner, step, seeds, seeds, strength, against_all=True),
            question(refit, refit.evaluations[-1].step, seeds, seeds, strength, against_all=True),
        ],
    )
    is_chosen = is_as_good(after.evaluation, before.evaluation, winner.clean)
    words = _in_words(refit, before.evaluation, after.evaluation, dataset, is_chosen=is_chosen)
    return Refit(trial=refit, words=words, before=before, after=after, is_chosen=is_chosen)


def is_as_good(after: Evaluation, before: Evaluation, clean: float) -> bool:
    """Whether a refit is not worse: by no more than one standard error, paired over the prompts, and as clean.

    That is the rule of `eval.selection` with the refit for the simpler choice, since it has seen all pictures.
    """
    if not math.isfinite(after.score):
        return False
    found = gain(after, before)
    error = found.error if math.isfinite(found.error) else 0.0
    is_clean = after.overfit_index < clean or after.overfit_index <= before.overfit_index
    return found.points >= -error and is_clean and _copies(after) <= max(_copies(before), 0.0)


def _copies(evaluation: Evaluation) -> float:
    rate = evaluation.metrics.get("copy_rate", math.nan)
    return rate if math.isfinite(rate) else 0.0


def _in_words(refit: Trial, before: Evaluation, after: Evaluation, dataset: Dataset, *, is_chosen: bool) -> str:
    count = len(dataset.train) + len(dataset.validation)
    so = "so it is the LoRA here" if is_chosen else "so it is not the LoRA here"
    return (
        f"It was trained again on all {count} pictures, of which {len(dataset.validation)} had been held out, for "
        f"{refit.evaluations[-1].step} steps, which are as many epochs. With the same fresh prompts and seeds, and all "
        f"pictures as training pictures, the refit scores {after.score:.1f} beside {before.score:.1f} "
        f"({gain(after, before)}), and {100 * _copies(after):.0f} % of its pictures copy one of them beside "
        f"{100 * _copies(before):.0f} %, {so}."
    )
