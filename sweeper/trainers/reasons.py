"""Why fields of all trainers become nothing: what this project does in a way of its own."""

from __future__ import annotations

from typing import Final

JUDGE: Final = "the judge draws here, by eval.prompts at each eval.every"
SAVED: Final = "checkpoints are kept by study.keep, as safetensors"
SPEED: Final = "changes how fast and in what memory it trains, not what is learned; that is measured here"
SHOWN: Final = "runs are shown by tracking"
HUB: Final = "nothing is published by a training here"
RESUMED: Final = "a study goes on by itself where it was stopped"
GUI: Final = "is the window's own"
OWN: Final = (JUDGE, SAVED, SPEED, SHOWN, HUB, RESUMED, GUI)
"""Reasons that change nothing of what is learned."""
