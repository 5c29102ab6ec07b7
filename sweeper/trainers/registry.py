"""The trainers that are known, and whose a file is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from foundation.errors import ConfigError
from sweeper.trainers.ai_toolkit import AI_TOOLKIT
from sweeper.trainers.diffusers_scripts import DIFFUSERS
from sweeper.trainers.kohya import KOHYA
from sweeper.trainers.onetrainer import ONETRAINER
from sweeper.trainers.port import Document, Trainer
from sweeper.trainers.simpletuner import SIMPLETUNER

TRAINERS: Final = {each.name: each for each in (KOHYA, ONETRAINER, AI_TOOLKIT, SIMPLETUNER, DIFFUSERS)}
"""By the name that `trainer=` and `recipe=` give them."""


def trainer_of(documents: Sequence[Document], name: str = "") -> tuple[Trainer, list[str]]:
    """Return whose documents these are, and what each is in words; `name` says whose they must be, empty for anybody's.

    Raises:
        ConfigError: a line for each that is none that is known, or all are not of one trainer.
    """
    wanted = [TRAINERS[name]] if name else list(TRAINERS.values())
    kinds = {each.name: [each.kind_of(value) for _, value in documents] for each in wanted}
    for each in wanted:
        if all(kinds[each.name]):
            return each, kinds[each.name]
    problems = []
    for number, (file, _) in enumerate(documents):
        owners = [each.name for each in wanted if kinds[each.name][number]]
        if not owners:
            known = "; ".join(f"{each.name}: {each.title}" for each in wanted)
            problems.append(f"{file} must be a config of a trainer that is known ({known})")
        elif len(documents) > 1:
            problems.append(f"all files must be of one trainer; {file} is of {' or '.join(owners)}")
    raise ConfigError(problems)
