"""Trials that look hopeless beside others wait with their states saved, and go on once they do not any more.

What a trial is held against changes while others train: a median falls, more trials come to a halving and so more of
them may pass it. With `study.pruner.name=asha` this is its promotion of trials, from the highest rung first.

Source: Li et al. 2020, A system for massively parallel hyperparameter tuning (ASHA), arXiv:1810.05934; waiting trials
that may go on are also what Swersky et al. 2014, Freeze-thaw Bayesian optimization, arXiv:1406.3896, is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sweeper.records.config import Config
from sweeper.records.trials import Trial
from sweeper.study.audit import as_if_ended
from sweeper.study.pruning import rivals_of, standing, why_hopeless


class PausedTrials:
    """Those of one study, by its rules in `config`. No disk, no clock."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._trials: dict[int, Trial] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def __contains__(self, number: int) -> bool:
        return number in self._trials

    @property
    def numbers(self) -> set[int]:
        """All of them."""
        return set(self._trials)

    def add(self, trial: Trial, reason: str) -> None:
        """Let a trial that has left its slot wait, for this reason."""
        trial.status, trial.reason = "paused", reason
        self._trials[trial.number] = trial

    def thaw(self, most: int, trials: Iterable[Trial]) -> list[Trial]:
        """Take those that are not hopeless any more beside all `trials` of the study, `most` of them at most.

        Who came furthest is first, of these the one that stands best. Of those that came as far only the best can have
        hope where it has none itself, so that not all need be looked at.
        """
        trials, taken = list(as_if_ended(trials, self._config.study)), list[Trial]()
        for alike in self._groups():
            for trial in alike:
                if len(taken) == most or why_hopeless(trial, trials, self._config):
                    break
                taken.append(self._trials.pop(trial.number))
        return taken

    def take_all(self) -> list[tuple[Trial, str]]:
        """All of them, in order of number, with the reasons that they wait for."""
        left = [(self._trials[number], self._trials[number].reason) for number in sorted(self._trials)]
        self._trials.clear()
        return left

    def _groups(self) -> list[Sequence[Trial]]:
        """Those that are held against the same trials at the same step, best first; the furthest group first."""
        groups: dict[tuple[int, int], list[Trial]] = defaultdict(list)
        for trial in self._trials.values():
            groups[trial.evaluations[-1].step, rivals_of(trial, self._config)].append(trial)
        order = sorted(groups, key=lambda key: (-key[0], key[1]))
        return [sorted(groups[key], key=lambda t: (-standing(t, self._config), t.number)) for key in order]
