"""Finalists' checkpoints averaged in place of trained: the mean of one training's, and the soup of several trainings'.

A blend lies, is judged and is shown as a rerun is, so whatever knows of trainings knows of it, too. Whether it is
taken, the same pairs decide as between finalists: it costs more than each of its parts, so where it lies within a
standard error of one, that one is taken.

Source: Wortsman et al. 2022, Model soups (arXiv:2203.05482), algorithm 1: the greedy soup.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.evaluation import Evaluation, value_of
from foundation.adapters.exports import About, read_adapter, write_format
from foundation.adapters.merge.mean import mean_of
from foundation.errors import AdapterError
from foundation.files.durable import new_folder
from foundation.files.sums import write_sums
from sweeper.records.history import keep_config, read_config, read_evaluations, write_evaluation
from sweeper.records.messages import Rescored
from sweeper.records.paths import trial_of
from sweeper.records.study_spec import Blend
from sweeper.records.trainings import Kind, Training
from sweeper.records.trials import Trial, steps_of_mean
from sweeper.study.display import Display
from sweeper.study.reruns import Reruns, ended_reruns
from sweeper.study.rescoring import question, rescore
from sweeper.study.supervisor import Supervisor

Parts = Sequence[tuple[Trial, int]]
"""Checkpoints that are averaged, each by its training and step."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A blend as a training that has ended, with its only judgement."""

    trial: Trial
    rescored: Rescored

    @property
    def evaluation(self) -> Evaluation:
        """That judgement."""
        return self.rescored.evaluation


class Blender:
    """Makes blends and has them judged with the same fresh seeds as finalists are."""

    def __init__(self, supervisor: Supervisor, display: Display, seeds: tuple[int, ...]) -> None:
        self._supervisor = supervisor
        self._display = display
        self._seeds = seeds

    def blend(
        self, kinds: Sequence[Blend], finalists: Sequence[Trial], rescored: Mapping[int, Rescored]
    ) -> list[Judged]:
        """What these kinds come to of the finalists, as they were `rescored`, and is to be judged beside them.

        The mean is of the finalist that leads. What cannot be averaged is said and left out.
        """
        evaluations = {number: each.evaluation for number, each in rescored.items()}
        scores = {number: value_of(each) for number, each in evaluations.items()}
        clean = [each for each in finalists if each.number in scores and each.is_clean(evaluations[each.number])]
        best_first = sorted(clean, key=lambda each: (-scores[each.number], each.number))
        found: list[Judged] = []
        for kind in kinds if best_first else ():
            made = self._mean(best_first[0]) if kind == "mean" else self._soup(best_first, scores)
            found += [made] if made else []
        for each in found:
            _note_end(each)
        return found

    def _mean(self, trial: Trial) -> Judged | None:
        steps = steps_of_mean(trial.evaluations, trial.clean)
        return self._judge("mean", [(trial, step) for step in steps]) if steps else None

    def _soup(self, best_first: Sequence[Trial], scores: Mapping[int, float]) -> Judged | None:
        """The best, and each other in turn that makes it better and leaves it clean."""
        places = [(trial, trial.best.step) for trial in best_first if trial.best]
        parts, score, soup = places[:1], scores[best_first[0].number], None
        for place in places[1:]:
            tried = self._judge("soup", [*parts, place])
            if tried is None:
                continue
            is_better = value_of(tried.evaluation) > score and tried.trial.is_clean(tried.evaluation)
            worse = soup if is_better else tried
            if is_better:
                parts, score, soup = [*parts, place], value_of(tried.evaluation), tried
            if worse:
                _discard(worse)
        if soup is None:
            shutil.rmtree(_as_training(best_first[0], "soup").folder, ignore_errors=True)
        return soup

    def _judge(self, kind: Blend, parts: Parts) -> Judged | None:
        try:
            trial, step = _make(kind, parts)
        except AdapterError as error:
            self._display.line(f"no {_words(kind, parts)}: {error}")
            return None
        (answer,) = rescore(self._supervisor, [question(trial, step, self._seeds, self._seeds)])
        trial.evaluations = [answer.evaluation]
        self._display.line(f"{trial.reason}: score {value_of(answer.evaluation):.1f}")
        return Judged(trial, answer)


def blends_of(study: Path, trials: Mapping[int, Trial]) -> list[Trial]:
    """The blends that are in a study's folder, of its `trials` by number, in order."""
    found = []
    for ended in ended_reruns(study, {number: trial.params for number, trial in trials.items()}):  # type: ignore[misc]
        training = Training.of(ended.number)
        if training.is_blend:
            blend = _as_training(trials[training.trial], training.kind)
            blend.take_up("finished", ended.reason, read_evaluations(blend.folder))
            found.append(blend)
    return found


def _make(kind: Blend, parts: Parts) -> tuple[Trial, int]:
    """Write the average of checkpoints as one more; as a training, and its step there.

    The step is what its parts took: that of a mean's last checkpoint, and of a soup's together, which no soup shares
    that it grew out of.

    Raises:
        AdapterError: one is gone, or no plain LoRA.
    """
    mean = mean_of([read_adapter(trial.checkpoint(step)) for trial, step in parts])
    steps = [step for _, step in parts]
    source, step = parts[0][0], max(steps) if kind == "mean" else sum(steps)
    made = _as_training(source, kind)
    with new_folder(made.checkpoint(step)) as fresh:
        write_format("diffusers", mean.adapter, fresh, About(title=made.name))
        write_sums(fresh)
    left = f", but for {mean.error:.1%} of what it adds" if mean.error >= 5e-4 else ""
    made.take_up("finished", f"{_words(kind, parts)}, at rank {mean.rank}{left}", [])
    return made, step


def _as_training(source: Trial, kind: Kind) -> Trial:
    number = Training(source.number, kind=kind).number
    folder = trial_of(source.folder.parents[1], number)
    return Trial(number=number, params=source.params, spec=source.spec, folder=folder, clean=source.clean)


def _words(kind: Blend, parts: Parts) -> str:
    if kind == "mean":
        *steps, last = (str(step) for _, step in parts)
        return f"mean of steps {', '.join(steps)} and {last} of trial {parts[0][0].name}"
    *others, last = (f"trial {trial.name} at step {step}" for trial, step in parts)
    return f"soup of {', '.join(others)} and {last}"


def _note_end(blend: Judged) -> None:
    """Leave in its folder what a training leaves there that has ended."""
    trial, score = blend.trial, value_of(blend.evaluation)
    study = trial.folder.parents[1]
    keep_config(trial.folder, read_config(trial_of(study, Training.of(trial.number).trial)))
    write_evaluation(trial.folder, blend.evaluation)
    ends = Reruns(study, {trial.number: dict(trial.params)}, "blends")  # type: ignore[arg-type]
    ends.report(trial.number, blend.evaluation.step, score)
    ends.tell_complete(trial.number, score, trial.reason)


def _discard(blend: Judged) -> None:
    """Delete a soup that another one is better than."""
    shutil.rmtree(blend.trial.checkpoint(blend.evaluation.step))
    shutil.rmtree(blend.rescored.pictures, ignore_errors=True)
