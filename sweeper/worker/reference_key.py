"""The name of a reference in the cache: a hash of all that it is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields

from eval.reference import Reference
from eval.spec import EvalSpec
from foundation.bases.port import Base
from foundation.data.dataset import Dataset

_NOT_SEEN = (
    "thresholds",
    "every",
    "validate_every",
    "warmup_evaluations",
    "final_prompts",
    "tiebreak_seeds",
    "screening_prompts",
    "screening_above",
    "screening_below",
    "look_for_copies",
    "class_prompts",
    "subject_score",
    "taste",
    "metrics",
)
"""Fields of `EvalSpec` that change nothing of what is drawn and seen."""
_REVISION = 1
"""Of how a reference is made of the same things: one more with each change of that, so that old ones are not read."""


def reference_key(spec: EvalSpec, base: Base, dataset: Dataset, trigger: str) -> str:
    """24 hexadecimal digits, other ones for whatever changes a reference to `spec` of the data set on this base."""
    masks = (*dataset.masks, *(dataset.held_out_masks if spec.kind != "style" else ()))
    words = [
        _REVISION,
        [field.name for field in fields(Reference)],
        base.fingerprint,
        str(base.dtype),
        trigger,
        {name: value for name, value in asdict(spec).items() if name not in _NOT_SEEN},
        [picture.digest for picture in (*dataset.train, *dataset.validation)],
        [picture.caption for picture in dataset.validation],
        base.resolution,
        [mask and mask.digest for mask in masks],
    ]
    return hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode()).hexdigest()[:24]
