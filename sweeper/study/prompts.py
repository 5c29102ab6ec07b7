"""What a study draws where its config names nothing: captions of its pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from eval.prompts import captions_to_draw
from foundation.data.dataset import Dataset
from foundation.errors import ConfigError
from sweeper.records.config import Config

MAX_CAPTION_PROMPTS: Final = 8


def with_prompts(config: Config, dataset: Dataset) -> Config:
    """The config with prompts to judge by, and training captions to look for copies by.

    Raises:
        ConfigError: it names no prompts, and all captions are empty.
    """
    return _with_training_captions(_with_own_prompts(config, dataset), dataset)


def with_drawn_prompts(config: Config, names: Iterable[str]) -> Config:
    """The config with what `with_prompts` added to it, by the `names` of pictures as `sheets` makes them.

    For a study whose pictures to train on may be gone since.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        group, _, rest = name.partition("/")
        found.setdefault(group, []).append(rest.partition(" ")[2])
    spec = config.eval
    prompts = spec.prompts or tuple(found.get("samples", ()))
    captions = spec.training_captions or tuple(found.get("training captions", ()))
    return replace(config, eval=replace(spec, prompts=prompts, training_captions=captions))


def _with_own_prompts(config: Config, dataset: Dataset) -> Config:
    """The config with prompts to judge by: its own, or captions, held-out ones first; none of them is empty."""
    if config.eval.prompts:
        return config
    pictures = (*dataset.validation, *dataset.train)
    captions = tuple(dict.fromkeys(picture.caption for picture in pictures if picture.caption))
    if not captions:
        raise ConfigError(
            [
                f"all {len(pictures)} captions of data.path {config.data.path} are empty, so there is no prompt to "
                "judge by; write captions (sweeper prepare), set data.trigger, or eval.prompts=['…','…']"
            ]
        )
    try:
        return replace(config, eval=replace(config.eval, prompts=captions[:MAX_CAPTION_PROMPTS]))
    except ValueError as error:  # a caption among eval.final_prompts
        raise ConfigError([f"eval: {error}"]) from error


def _with_training_captions(config: Config, dataset: Dataset) -> Config:
    """The config with captions to look for copies by: its own, or some of those that are trained on."""
    spec = config.eval
    if spec.training_captions:
        return config
    captions = captions_to_draw(dataset.train, spec.prompts, config.data.trigger, spec.look_for_copies)
    return replace(config, eval=replace(spec, training_captions=captions))
