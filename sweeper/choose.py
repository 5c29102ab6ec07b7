"""`sweeper choose`: a person makes a checkpoint the best of a study and the champion, or takes that back."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.command import run_main, run_with_usage
from foundation.console import say
from foundation.errors import ConfigError
from sweeper.named_study import read_named_study, read_switch
from sweeper.records.hand_choice import HandChoice
from sweeper.records.trainings import Training, number_of

USAGE: Final = """\
sweeper choose STUDY trial=N step=N [strength=1] [folder=multirun]     your eye decides, not the judge
sweeper choose STUDY undo=true [folder=multirun]                       back to what the judge chose

  STUDY      its name
  trial=     the trial, 7, a training of its again, 7.1, or an average of checkpoints, '7 mean', '7 soup'
  step=      which of its checkpoints; of an ended trial its best and its last are kept (study.keep=all keeps all)
  strength=  the LoRA scale to use it at (default: 1, as it was trained)
  folder=    where studies are (default: multirun)

best/ holds it from then on, noted as chosen by hand, and MLflow's champion is it. The judge's best stays in
best_before/ until undo=true brings it back. A study that goes on with more trials chooses anew.

  sweeper choose pencil trial=7 step=80
  sweeper choose pencil undo=true"""
KEYS: Final = ("folder", "step", "strength", "trial", "undo")
_STRONGEST: Final = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChooseRequest:
    """What is wanted."""

    study: str
    folder: Path
    choice: HandChoice | None
    """None: the last one is undone."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""

    def run() -> None:
        request = parse(arguments)
        from sweeper.choose_study import choose  # takes seconds to import, which help need not wait for

        say(*choose(request.study, request.folder, request.choice))

    return run_with_usage(USAGE, run, arguments, needs_arguments=True)


def parse(arguments: Sequence[str]) -> ChooseRequest:
    """Read what is wanted.

    Raises:
        ConfigError: with every mistake at once.
    """
    study, keys, problems = read_named_study(arguments, KEYS)
    undo = read_switch(keys, "undo", problems)
    choice = None
    if undo:
        problems += [f"undo=true takes no {name}=" for name in ("trial", "step", "strength") if name in keys]
    else:
        choice, wrong = _choice(keys)
        problems += wrong
    if problems:
        raise ConfigError(problems)
    return ChooseRequest(study=study, folder=Path(keys.get("folder", "multirun")), choice=choice)


def _choice(keys: dict[str, str]) -> tuple[HandChoice | None, list[str]]:
    problems = []
    trial, step, strength = keys.get("trial", ""), keys.get("step", ""), _number(keys.get("strength", "1"))
    if Training.of_name(trial) is None:
        problems.append(f"trial must be the number of one, 7 or 7.1, got {trial or 'none'}")
    if not (step.isascii() and step.isdecimal() and len(step) < 10):
        problems.append(f"step must be a whole number, got {step or 'none'}")
    if not 0 < strength <= _STRONGEST:
        problems.append(f"strength must be above 0 and at most {_STRONGEST:g}, got {keys['strength']}")
    if problems:
        return None, problems
    when = time.strftime("%Y-%m-%d")
    return HandChoice(number=number_of(trial), step=int(step), strength=strength, when=when), []


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
