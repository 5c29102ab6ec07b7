"""What is left of a trial that has ended: on disk, and for those who are told of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from eval.evaluation import Evaluation, value_of
from sweeper.config import Config, Keep
from sweeper.costs import Costs
from sweeper.display import describe
from sweeper.drawing import sheets
from sweeper.history import costs_in_all, costs_of, read_evaluations, read_steps, read_validations
from sweeper.objectives import Objective, measured, values_of
from sweeper.places import state_of
from sweeper.search import Search
from sweeper.tracking.port import Ended, Shown, TrialEnd
from sweeper.trials import Trial


def tell_end(search: Search, trial: Trial, objectives: Sequence[Objective]) -> None:
    """Tell the search how a trial ended, with its best checkpoint where it finished."""
    best = trial.best
    if best and len(objectives) > 1:
        search.constrain(trial.number, trial.excess(best))
    match trial.status:
        case "finished":
            assert best is not None
            search.tell_complete(trial.number, value_of(best), trial.reason, values_of(best, objectives))
        case "pruned":
            search.tell_pruned(trial.number, trial.reason)
        case _:
            search.tell_failed(trial.number, trial.reason)


def resuming(there: int, going: int, asked: int) -> str:
    """What is said of a study that goes on: `there` trials, of which `going` have not ended; `asked` are wanted."""
    more = f"; study.num_trials={asked} is less than the {there} that are there: all count" if there > asked else ""
    return f"resuming: {there - going} trials have ended, {going} go on, {max(0, asked - there)} are new{more}"


def tidy(trial: Trial, keep: Keep) -> dict[str, Path]:
    """Delete the training state and, unless all are to stay, all checkpoints but two; where best and last one lie."""
    shutil.rmtree(state_of(trial.folder), ignore_errors=True)
    if trial.best is None:
        return {}
    kept = {"best": trial.checkpoint(trial.best.step), "last": trial.checkpoint(trial.evaluations[-1].step)}
    for folder in (trial.folder / "checkpoints").glob("step-*"):
        if keep == "best" and folder not in kept.values():
            shutil.rmtree(folder)
    return {name: folder for name, folder in kept.items() if folder.exists()}


def chosen(trial: Trial, config: Config) -> dict[str, float]:
    """Step, score and objectives of the checkpoint that counts for a trial; nothing without one."""
    best = trial.best
    if best is None:
        return {}
    return {"step": float(best.step), "score": best.score, **measured(best, config.study.objectives)}


def shown(trial: Trial, evaluations: Sequence[Evaluation], config: Config) -> list[Shown]:
    """A trial's first evaluations, all up to the last of these, as a tracker shows them."""
    pictures = [sheets(config.eval, config.data.trigger, trial.pictures(each.step)) for each in evaluations]
    return list(zip(evaluations, pictures, costs_of(trial.folder, evaluations), strict=True))


def left_behind(trial: Trial, status: TrialEnd, config: Config) -> Ended:
    """All that an earlier process may not have come to show, or to delete, of a trial that it ended."""
    return Ended(
        number=trial.number,
        params=trial.params,
        config=(trial.folder / "config.yaml").read_text(),
        steps=read_steps(trial.folder),
        evaluations=shown(trial, read_evaluations(trial.folder), config),
        validations=tuple(read_validations(trial.folder)),
        status=status,
        reason=trial.reason,
        kept=tidy(trial, config.study.keep),
        chosen=chosen(trial, config),
    )


def in_words(trial: Trial, reason: str) -> str:
    """What the terminal adds to the reason of its end: the best checkpoint, and what its course looks like.

    Without the grounds of the diagnosis where the reason has told them.
    """
    best, diagnosis = trial.best, trial.diagnosis
    told = f", best at step {best.step} with score {best.score:.1f}" if best else ""
    if diagnosis is None:
        return told
    grounds = "" if reason.endswith(trial.evaluations[-1].words) else f": {diagnosis.because}"
    return f"{told}; {diagnosis.kind}{grounds}"


def started_words(trial: Trial, beside: Sequence[Trial]) -> list[str]:
    """What is said of a trial that has its slot `beside` the others of its worker, one line each."""
    goes_on = f", goes on at step {trial.step}" if trial.step else ""
    lines = [f"trial {trial.number} starts{goes_on}: {describe(trial.params)}"]
    key = trial.spec.pack_key
    others = ", ".join(sorted({each.spec.pack_key for each in beside} - {key}))
    if others:
        lines.append(f"trial {trial.number} ({key}) takes turns with {others}: they can share no pass")
    return lines


def ended_words(trials: Iterable[Trial]) -> str:
    """What is said when all trials have ended: what they took."""
    took = sum((costs_in_all(trial.folder) for trial in trials), start=Costs())
    return f"all trials have ended; {took}"
