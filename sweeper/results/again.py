"""Lets finalists be trained again: with other training seeds, or because a checkpoint of theirs was lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sweeper.records.config import Config
from sweeper.records.trainings import Training
from sweeper.records.trials import Trial
from sweeper.search.dimension import Params
from sweeper.study.display import Display
from sweeper.study.lost import lost_checkpoint
from sweeper.study.reruns import SEED, STEPS, Reruns
from sweeper.study.supervisor import Supervisor


def train_repeats(
    supervisor: Supervisor, finalists: Sequence[Trial], folder: Path, config: Config, display: Display
) -> Supervisor | None:
    """Train `study.repeats` - 1 times more with the settings of each finalist; None where that is 0.

    The result has the repeats as its trials. What an earlier run has trained is taken up; `supervisor` has the ended
    trials of the study in `folder`. No repeat ends for being worse than others: it is wanted to know how it ends.
    """
    study = config.study
    steps = config.train.num_steps
    wanted = {number: params for each in finalists for number, params in _repeats(each, study.repeats, steps)}
    if not wanted:
        return None
    alone = replace(config, study=study.for_reruns(len(wanted)))
    others = supervisor.beside(Reruns(folder, wanted, "repeats"), alone)
    display.more(list(supervisor.trials.values()), len(wanted))
    others.run()
    return others


def _repeats(trial: Trial, count: int, steps: int) -> list[tuple[int, Params]]:
    """Number and parameters of each repeat of a trial; `steps` are a trial's from its start."""
    more = {STEPS: trial.spec.train.num_steps} if trial.spec.train.num_steps > steps else {}
    return [
        (Training(trial.number, repeat).number, {**trial.params, **more, SEED: trial.spec.train.seed + repeat})  # type: ignore[dict-item]
        for repeat in range(1, count)
    ]


def readable(supervisor: Supervisor, choose: Callable[[list[Trial]], list[Trial]], display: Display) -> list[Trial]:
    """Those of a supervisor's trials that `choose` picks, once their checkpoints can all be read.

    Whose checkpoint was lost or damaged since is trained again, once; who is left out after that is said.
    """
    given_up: set[int] = set()
    while True:
        there = [each for number, each in sorted(supervisor.trials.items()) if number not in given_up]
        chosen = choose(there)
        problems = {each.number: problem for each in chosen if each.best and (problem := lost_checkpoint(each))}
        if not problems:
            return chosen
        for number in problems:
            if number in supervisor.trained_again:
                display.line(f"trial {supervisor.trials[number].name} cannot be a finalist: {problems[number]}")
                given_up.add(number)
        supervisor.train_again({number: words for number, words in problems.items() if number not in given_up})
