"""Trainings beside the search: finalists again, with other training seeds. How each ended stands in its own folder.

Optuna does not know them: a sampler that did would model a score by chance, and a study that is made longer would
draw other trials than one that was as long from the start (docs/decisions/017-repeats.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, cast, get_args

from foundation.config.plain import number, text
from foundation.errors import DataError
from foundation.files.documents import as_mapping, read_mapping
from foundation.files.durable import write_json
from sweeper.records.config import Config
from sweeper.records.history import read_config_values
from sweeper.records.paths import trainings_of, trial_of
from sweeper.records.trainings import Training
from sweeper.search.dimension import Params
from sweeper.search.port import EndedTrial, EndStatus, UnfinishedTrial

SEED: Final = "train.seed"
"""What of a trial's parameters a repeat has otherwise."""
STEPS: Final = "train.steps"
STOP_AFTER: Final = "train.stop_after"
"""And what a refit has: as many epochs of more pictures are more steps."""
_END: Final = "end.json"


def as_rerun(config: Config, params: Params) -> Config:
    """A trial's config with what a rerun's parameters have otherwise, whether that is searched or not."""
    own = {key.rpartition(".")[2]: params[key] for key in (SEED, STEPS, STOP_AFTER) if key in params}
    return replace(config, train=replace(config.train, **own))  # type: ignore[arg-type]  # whole numbers


def ended_reruns(study: Path, params: Mapping[int, Params]) -> list[EndedTrial]:
    """The reruns that have ended in a study's folder, in order of number; `params` are its trials' by number."""
    wanted: dict[int, Params] = {}
    for rerun, folder in trainings_of(study).items():
        training = Training.of(rerun)
        if training.is_rerun and training.trial in params:
            own = as_mapping(read_config_values(folder).get("train"), f"{folder}: train")
            keys = (SEED, STEPS, STOP_AFTER) if training.is_refit else () if training.is_blend else (SEED,)
            wanted[rerun] = {**params[training.trial], **{key: own.get(key.rpartition(".")[2]) for key in keys}}
    return Reruns(study, wanted, "reruns").ended_trials()


def made_of(study: Path, number: int) -> str:
    """Of a blend that was judged, which checkpoints it is the average of; empty for what was trained."""
    if not Training.of(number).is_blend:
        return ""
    try:
        return text(read_mapping(trial_of(study, number) / _END)["reason"])
    except (OSError, DataError, ValueError, LookupError):
        return ""


class Reruns:
    """The reruns that are wanted of a study, as a source of trials: by number, with the parameters of each."""

    def __init__(self, study: Path, wanted: Mapping[int, Params], kind: str) -> None:
        self.kind = kind
        self._study = study
        self._wanted = dict(sorted(wanted.items()))
        self._ended = {number: end for number in self._wanted if (end := self._read(number))}
        begun = {number for number in self._wanted if trial_of(study, number).is_dir()}
        self._open = [number for number in self._wanted if number not in self._ended and number in begun]
        self._new = [number for number in self._wanted if number not in self._ended and number not in begun]
        self._reported: dict[int, dict[int, float]] = defaultdict(dict)

    def ask(self) -> tuple[int, Params]:
        """The next one that was not begun."""
        number = self._new.pop(0)
        return number, dict(self._wanted[number])

    def report(self, number: int, step: int, score: float) -> None:
        """Keep it for the end; until then it stands among the evaluations."""
        self._reported[number][step] = score

    def constrain(self, number: int, excess: float) -> None:
        """No front is made of reruns."""

    def pause(self, number: int, reason: str) -> None:
        """No rerun is held against others, so none waits for them."""

    def tell_complete(self, number: int, score: float, reason: str = "", values: Sequence[float] = ()) -> None:
        """End one with the score of its best checkpoint; no front is made of its `values`."""
        self._end(number, "finished", reason, score)

    def tell_pruned(self, number: int, reason: str) -> None:
        """End one early."""
        self._end(number, "pruned", reason)

    def tell_failed(self, number: int, reason: str) -> None:
        """End one that could not be trained."""
        self._end(number, "failed", reason)

    def ended_trials(self) -> list[EndedTrial]:
        """Those that had ended when an earlier run left them, in order of number."""
        return [self._ended[number] for number in sorted(self._ended)]

    def running(self) -> list[UnfinishedTrial]:
        """Those that were begun and had not ended, in order of number."""
        return [UnfinishedTrial(number=number, params=dict(self._wanted[number])) for number in self._open]

    def front(self) -> list[int]:
        """None; see `constrain`."""
        return []

    def _end(self, number: int, status: EndStatus, reason: str, value: float | None = None) -> None:
        reported = {str(step): score for step, score in self._reported[number].items()}
        end = {"status": status, "reason": reason, "value": value, "reported": reported}
        write_json(trial_of(self._study, number) / _END, end)
        if ended := self._read(number):
            self._ended[number] = ended

    def _read(self, rerun: int) -> EndedTrial | None:
        """How it ended; None where it has not, or where that cannot be read: then it goes on from its last state."""
        file = trial_of(self._study, rerun) / _END
        try:
            end = read_mapping(file)
            status, value = text(end["status"]), end["value"]
            if status not in get_args(EndStatus):
                return None
            return EndedTrial(
                number=rerun,
                params=dict(self._wanted[rerun]),
                status=cast(EndStatus, status),
                value=None if value is None else number(value),
                reason=text(end["reason"]),
                reported={int(step): number(score) for step, score in as_mapping(end["reported"], str(file)).items()},
            )
        except (OSError, DataError, ValueError, LookupError, TypeError):
            return None
