"""What the judge is shown of a checkpoint, from the pictures that it drew."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from eval.compositions import compositions
from eval.features import Extractor
from eval.judge import Evidence
from eval.reference import by_prompt


def build_evidence(
    extractor: Extractor,
    *,
    step: int,
    samples: Sequence[Image.Image],
    unrelated: Sequence[Image.Image],
    num_seeds: int,
    validation_losses: Tensor,
) -> Evidence:
    """Look at P·S `samples` and U·S `unrelated` pictures, prompt by prompt with S = `num_seeds`; losses (N, B)."""
    return Evidence(
        step=step,
        samples=by_prompt(extractor.images(samples), num_seeds),
        unrelated=by_prompt(extractor.images(unrelated), num_seeds),
        validation_losses=validation_losses,
        compositions=by_prompt(compositions(samples), num_seeds),
    )
