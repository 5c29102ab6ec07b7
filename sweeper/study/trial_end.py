"""What is left of a trial that has ended: on disk, and for those who are shown it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from eval.aims import aim_of
from eval.evaluation import Evaluation, value_of
from sweeper.records.config import Config
from sweeper.records.costs import Costs
from sweeper.records.history import StepFile, costs_in_all, costs_of, digest_of, read_config, read_validations
from sweeper.records.objectives import Objective, raw_values, values_of
from sweeper.records.paths import state_of
from sweeper.records.pictures import sheets
from sweeper.records.study_spec import Keep
from sweeper.records.trials import Trial, steps_of_mean
from sweeper.search.port import TrialSource
from sweeper.study.audit import verdict_in
from sweeper.study.display import describe_params
from sweeper.tracking.port import Shown, TrialEnd, TrialRecord
from train.spec.adapter_kinds import ADAPTER_KINDS

_SHOWN_AS: Final = 1
"""To be raised when a tracker shows more of a trial than before, or under other names."""


_TOLD_ALREADY: Final = ("optimizer", "lr_scheduler", "adapter.rank")
"""Searched values that `shown_params` has under shorter names. MLflow writes them all over every picture."""


def tell_end(search: TrialSource, trial: Trial, objectives: Sequence[Objective]) -> None:
    """Tell the search how a trial ended, with its best checkpoint where it finished."""
    best, reason = trial.best, with_audit(trial, trial.reason)
    if best and len(objectives) > 1:
        search.constrain(trial.number, trial.excess(best))
    match trial.status:
        case "finished":
            assert best is not None
            search.tell_complete(trial.number, value_of(best), reason, values_of(best, objectives))
        case "pruned":
            search.tell_pruned(trial.number, reason)
        case _:
            search.tell_failed(trial.number, reason)


def with_audit(trial: Trial, reason: str) -> str:
    """Why a trial ended and, where pruning would have ended it before, why it had gone on."""
    found = verdict_in(trial.folder)
    return reason if found is None or found.words in reason else f"{reason}; {found.words}"


def resuming(kind: str, there: int, going: int, wanted: int) -> str:
    """What is said of a study that goes on: `there` trials, of which `going` have not ended; `wanted` are wanted.

    `kind` is what they are called.
    """
    more = f"; study.num_trials={wanted} is less than the {there} that are there: all count" if there > wanted else ""
    return f"resuming: {there - going} {kind} have ended, {going} go on, {max(0, wanted - there)} are new{more}"


def prune_checkpoints(trial: Trial, keep: Keep, *, of_mean: bool = False) -> dict[str, Path]:
    """Delete the training state and, unless all are to stay, all checkpoints but two; where best and last one lie.

    Where the last is the best, it is named once. `of_mean`: those stay, too, whose mean may be tried.
    """
    shutil.rmtree(state_of(trial.folder), ignore_errors=True)
    if trial.best is None:
        return {}
    kept = {"best": trial.checkpoint(trial.best.step)}
    if (last := trial.evaluations[-1].step) != trial.best.step:
        kept["last"] = trial.checkpoint(last)
    wanted = [trial.checkpoint(step) for step in steps_of_mean(trial.evaluations, trial.clean) if of_mean]
    for folder in (trial.folder / "checkpoints").glob("step-*"):
        if keep == "best" and folder not in (*kept.values(), *wanted):
            shutil.rmtree(folder)
    return {name: folder for name, folder in kept.items() if folder.exists()}


def chosen_numbers(trial: Trial, config: Config) -> dict[str, float]:
    """All numbers of the checkpoint that counts for a trial; nothing without one."""
    best = trial.best
    return {**raw_values(best, config.study.objectives), **best.numbers} if best else {}


def numbers_so_far(trial: Trial) -> dict[str, float]:
    """Of a trial that goes on those of `chosen_numbers` that every checkpoint has: nothing shown can be taken back."""
    best = trial.best
    if best is None:
        return {}
    names = (aim_of(best.metrics).metric, "prompt_match", "val_ratio")
    always = {name: best.metrics[name] for name in names if name in best.metrics}
    return {**always, "step": float(best.step), "score": best.score, "overfit_index": best.overfit_index}


def shown_params(trial: Trial) -> dict[str, object]:
    """What every trial is compared by, under the same names for all, and what else was searched."""
    adapter, optimizer = trial.spec.adapter, trial.spec.optimizer
    common: dict[str, object] = {"optimizer": optimizer.name, "lr": optimizer.lr}
    if "rank" in ADAPTER_KINDS[adapter.name].fields:
        common |= {"rank": adapter.rank, "alpha": adapter.alpha}
    common |= {"scheduler": trial.spec.lr_scheduler.name}
    return {**common, **{name: value for name, value in trial.settings.items() if name not in _TOLD_ALREADY}}


def logged_evaluations(trial: Trial, evaluations: Sequence[Evaluation], config: Config) -> list[Shown]:
    """A trial's first evaluations, all up to the last of these, as a tracker shows them."""
    pictures = [sheets(config.eval, config.data.trigger, trial.pictures(each.step)) for each in evaluations]
    return list(zip(evaluations, pictures, costs_of(trial.folder, evaluations), strict=True))


def record_of(trial: Trial, status: TrialEnd, reason: str, config: Config) -> TrialRecord:
    """All that is to be seen of a trial that has ended, once `prune_checkpoints` has deleted the rest."""
    of_mean = "mean" in config.study.blends
    kept, reason = prune_checkpoints(trial, config.study.keep, of_mean=of_mean), with_audit(trial, reason)
    params, yaml = shown_params(trial), read_config(trial.folder)
    logged = logged_evaluations(trial, trial.evaluations, config)
    numbers = chosen_numbers(trial, config)
    pictures = [(each.step, name, path.stat().st_size) for each, images, _ in logged for name, path in images]
    words = [_SHOWN_AS, digest_of(trial.folder), params, yaml, status, reason, list(kept), numbers, pictures]
    return TrialRecord(
        number=trial.number,
        params=params,
        config=yaml,
        steps=StepFile(trial.folder),
        evaluations=logged,
        validations=tuple(read_validations(trial.folder)),
        status=status,
        reason=reason,
        kept=kept,
        chosen=numbers,
        digest=hashlib.sha256(json.dumps(words, default=str).encode()).hexdigest(),
    )


def summary(trial: Trial, reason: str) -> str:
    """What the terminal adds to the reason of its end: the best checkpoint, and what its course looks like.

    Without the grounds of the diagnosis where the reason has named them.
    """
    best, diagnosis = trial.best, trial.diagnosis
    best_words = f", best at step {best.step} with score {best.score:.1f}" if best else ""
    if (found := verdict_in(trial.folder)) and found.words not in reason:
        best_words += f"; {found.words}"
    if diagnosis is None:
        return best_words
    grounds = "" if reason.endswith(trial.evaluations[-1].words) else f": {diagnosis.because}"
    return f"{best_words}; {diagnosis.kind}{grounds}"


def started_words(trial: Trial, beside: Sequence[Trial]) -> list[str]:
    """What is said of a trial that has its slot `beside` the others of its worker, one line each."""
    goes_on = f", goes on at step {trial.step}" if trial.step else ""
    lines = [f"trial {trial.name} starts{goes_on}: {describe_params(trial.settings)}"]
    key = trial.spec.pack_key
    others = ", ".join(sorted({each.spec.pack_key for each in beside} - {key}))
    if others:
        lines.append(f"trial {trial.name} ({key}) takes turns with {others}: they can share no pass")
    return lines


def judged_words(trial: Trial, evaluation: Evaluation) -> str:
    """What is said of a checkpoint that was judged."""
    found = verdict_in(trial.folder)
    goes_on = f"; it goes on, {found.words}" if found and found.step == evaluation.step else ""
    return (
        f"trial {trial.name} step {evaluation.step}: score {evaluation.score:.1f}, "
        f"overfit {evaluation.overfit_index:.2f} ({evaluation.words}){goes_on}"
    )


def ended_words(kind: str, trials: Iterable[Trial]) -> str:
    """What is said when all trials, which are called so, have ended: what they took."""
    took = sum((costs_in_all(trial.folder) for trial in trials), start=Costs())
    return f"all {kind} have ended; {took}"
