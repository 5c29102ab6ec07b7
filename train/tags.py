"""Captions of comma-separated tags, varied each time they come."""

from __future__ import annotations

import torch

from foundation.data.phrases import holds_phrase
from train.spec import ObjectiveSpec


def vary(caption: str, spec: ObjectiveSpec, trigger: str, generator: torch.Generator) -> str:
    """The caption with the tags after the first `keep_tags` dropped by chance, then shuffled.

    A tag that holds the trigger is never dropped; without it nothing would be tied to what is learned.
    """
    tags = [tag.strip() for tag in caption.split(",")]
    kept, free = tags[: spec.keep_tags], tags[spec.keep_tags :]
    if spec.tag_dropout:
        stays = (torch.rand(len(free), generator=generator) >= spec.tag_dropout).tolist()
        free = [tag for tag, stay in zip(free, stays, strict=True) if stay or holds_phrase(tag, trigger)]
    if spec.shuffle_tags:
        free = [free[place] for place in torch.randperm(len(free), generator=generator).tolist()]
    return ", ".join((*kept, *free))
