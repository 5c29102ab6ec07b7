"""Shows a study's best where its runs are shown, and registers it as champion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sweeper.records.trainings import Training
from sweeper.results.winner import Chosen
from sweeper.study.display import describe_params
from sweeper.tracking.port import Tracker


def becomes_champion(chosen: Chosen, register: str) -> bool:
    """Whether a best is to be registered, as `tracking.register` says."""
    return register == "always" or (register == "better" and not chosen.within_noise)


def show_best(
    tracker: Tracker, best: Path, chosen: Chosen, settings: Mapping[str, object], *, register: bool
) -> str | None:
    """Show the folder `best` with what was `chosen`, whose trial has these `settings`; the registered version."""
    own = chosen.settings.get(Training.of(chosen.number).trial, {})
    numbers = {**chosen.evaluation.numbers, "strength": chosen.strength, **own}  # as on its card
    fresh = {number: {"score": score, **chosen.settings.get(number, {})} for number, score in chosen.finalists.items()}
    made = f"{chosen.made_of}; " if chosen.made_of else ""
    description = f"{made}{describe_params({**settings, 'strength': chosen.strength})}"
    return tracker.register_champion(best, chosen.number, numbers, fresh, description, register=register)
