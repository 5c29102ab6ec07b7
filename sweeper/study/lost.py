"""What a study's database knows of and its folder has no more: said, refused or trained again, never passed over."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.evaluation import Evaluation, value_of
from foundation.adapters.files import WEIGHTS_FILE, read_parts
from foundation.errors import AdapterError, StudyError
from foundation.files.sums import SUMS, damage, read_sums
from sweeper.records.paths import best_of, trainings_of, trial_of, trials_of
from sweeper.records.trainings import name_of
from sweeper.records.trials import Trial
from sweeper.search.port import EndedTrial


def refuse_lost_trials(folder: Path, database: object, started: bool, ended: Sequence[EndedTrial]) -> None:
    """Refuse a study whose database, or whose folder of trials, is gone while the other is there.

    `database` is a file, or on a server, by its name.

    Raises:
        StudyError: one line that names what is gone.
    """
    if not started and any(trials_of(folder).glob("*")):
        raise StudyError(
            f"{folder} has trials, but {database} knows none of them; bring that back, or set "
            "study.name to another name"
        )
    judged = [past for past in ended if past.status == "finished" or past.reported]
    if judged and not any(trial_of(folder, past.number).exists() for past in judged):
        raise StudyError(
            f"{database} knows {len(judged)} trials of study {folder.name} that have ended, but "
            f"{trials_of(folder)} holds none of them; bring that folder back, or set study.name to another name"
        )


def lost_evaluations(past: EndedTrial, evaluations: Sequence[Evaluation]) -> str:
    """What an ended trial was judged by and its folder has no more, in words; empty when all is there."""
    there = {each.step for each in evaluations}
    gone = sorted(set(past.reported) - there)
    if gone:
        steps = ", ".join(map(str, gone))
        return f"what it was judged by at step{'s' if len(gone) > 1 else ''} {steps} is gone from its folder"
    if past.status == "finished" and not any(
        math.isclose(value_of(each), past.value or 0.0, abs_tol=1e-9) for each in evaluations
    ):
        return "the evaluation that it counts with is gone from its folder"
    return ""


def worth_training_again(lost: Mapping[int, str], ended: Sequence[EndedTrial]) -> tuple[dict[int, str], list[str]]:
    """Those of the ended trials with losses that may be the best, and a line for each of the others.

    Pruned and failed trials can be finalists only where no trial finished.
    """
    status = {past.number: past.status for past in ended}
    wanted = {n: why for n, why in lost.items() if status[n] == "finished" or "finished" not in status.values()}
    others = [f"trial {name_of(n)} was {status[n]} and stays so: {why}" for n, why in lost.items() if n not in wanted]
    return wanted, others


def lost_checkpoint(trial: Trial) -> str:
    """Why the checkpoint that a judged trial counts with cannot be read; empty when it can."""
    assert trial.best is not None
    file = trial.checkpoint(trial.best.step) / WEIGHTS_FILE
    if not file.is_file():
        return f"its checkpoint {file.parent} is gone"
    if words := damage(file.parent):
        return words
    try:
        read_parts(file)
    except AdapterError as error:
        return str(error)
    return ""


def words_on_unchecked(folder: Path) -> list[str]:
    """A line where an earlier version wrote files of the study without checksums; none where all have them."""
    written = [path for each in trainings_of(folder).values() for path in each.glob("checkpoints/*")]
    written += [best_of(folder)] if best_of(folder).is_dir() else []
    without = sum(read_sums(each) is None for each in written)
    if not without:
        return []
    return [
        f"{without} of {len(written)} folders with LoRAs in {folder} have no {SUMS}, as an earlier version wrote them; "
        "damage that leaves them readable goes unnoticed there"
    ]


def why_no_best(trials: Sequence[Trial]) -> str:
    """Why a study whose trials have all ended has no best, with the reason that most of them share."""
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(_kind(trial.reason), trial)
    (kind, count), *_ = Counter(_kind(trial.reason) for trial in trials).most_common()
    shared = f"all {count}" if count == len(trials) else f"{count} of {len(trials)}"
    return (
        f"no trial left a checkpoint, so there is no best; {shared} ended as trial {first[kind].number}: "
        f"{first[kind].reason or 'no reason is known'}; change what they share, and give study.name another name"
    )


def _kind(reason: str) -> str:
    """A reason without its numbers, which differ from trial to trial."""
    return re.sub(r"\d+(\.\d+)?", "#", reason)
