"""The trial that takes the most memory of all that a study may try."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from foundation.errors import UserError
from sweeper.search.space import Plan
from train.memory import state_per_number
from train.spec import OptimizerSpec, TrialSpec

_TARGETS: Final = ("attention", "attention+ff", "all-linear", "all")
"""Presets, from the one with the fewest layers."""


def largest_trial(request: Plan) -> tuple[TrialSpec, float]:
    """The trial with the largest rank, batch and targets of a study's space, and what its optimizer keeps at most.

    That is in bytes for each number that is trained.
    """
    space, trial = request.space, request.config.trial
    adapter = replace(
        trial.adapter,
        rank=space.largest("adapter.rank", trial.adapter.rank),
        text_encoder=bool(space.largest("adapter.text_encoder", trial.adapter.text_encoder)),
        targets=max((trial.adapter.targets, *_options_of(request, "adapter.targets")), key=_width),
    )
    train = replace(trial.train, batch_size=space.largest("train.batch_size", trial.train.batch_size))
    kept = [state_per_number(trial.optimizer)]
    for name in _options_of(request, "optimizer"):
        try:
            kept.append(state_per_number(OptimizerSpec(name=name, lr=1.0)))
        except (UserError, ValueError, ImportError):  # it is not installed, or wants settings: the trial will say so
            continue
    return replace(trial, adapter=adapter, train=train), max(kept)


def _options_of(request: Plan, key: str) -> list[str]:
    found = [each.domain.corners() for each in request.space.dimensions if each.key == key]
    return [value for corners in found for value in corners if isinstance(value, str)]


def _width(targets: object) -> int:
    return _TARGETS.index(targets) if targets in _TARGETS else len(_TARGETS)
