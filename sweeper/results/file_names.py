"""Names of the files in a study's `best/`. Nothing is imported for them: a finished study is shown in a moment."""

from __future__ import annotations

from typing import Final

WEIGHTS: Final = "pytorch_lora_weights.safetensors"
"""The LoRA as diffusers names it; also what a checkpoint's folder holds."""
CONFIG_FILE: Final = "config.yaml"
SCORES: Final = "scores.json"
SHEET: Final = "contact_sheet.png"
STRENGTH_SHEET: Final = "strength_sheet.png"
FINALISTS_SHEET: Final = "finalists.png"
CARD: Final = "card.md"
BY_HAND: Final = "by_hand"
"""In `SCORES`: the day on which a person chose; absent where the judge did."""
PARETO: Final = "pareto.png"
REPORT: Final = "report.html"
"""The study's page in one file. It may be written again at any time, so no checksum is kept of it."""
