"""What the folder of a trial has lost before its worker goes on with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.evaluation import Evaluation
from foundation.adapters.files import WEIGHTS_FILE
from foundation.files.sums import damage
from sweeper.records.paths import checkpoint_of


def what_is_lost(folder: Path, step: int, every: int, evaluations: Sequence[Evaluation]) -> str:
    """What a trial that goes on at `step` has lost of its earlier evaluations and their checkpoints; empty for nothing.

    It was judged each `every` steps; what was due at `step` itself may be yet to come.
    """
    there = {each.step for each in evaluations}
    for due in range(every, step, every):
        if due not in there:
            return f"its evaluation at step {due} is gone"
    for each in evaluations:
        if not (checkpoint_of(folder, each.step) / WEIGHTS_FILE).is_file():
            return f"its checkpoint of step {each.step} is gone"
        if words := damage(checkpoint_of(folder, each.step)):
            return words
    return ""
