"""Keys that an earlier version had, and what each is called now."""

from __future__ import annotations

from typing import Final

RENAMED: Final = {
    "eval.glance_prompts": "eval.screening_prompts",
    "eval.glance_above": "eval.screening_above",
    "eval.glance_below": "eval.screening_below",
    "eval.close_seeds": "eval.tiebreak_seeds",
    "eval.stand_in": "eval.class_word",
    "study.pruner.outlook": "study.pruner.lookahead",
    "stand_in": "class_word",
}
"""Of the config, and of `sweeper eval`."""
