"""Prompts with and without the trigger phrase."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from eval.spec import TRIGGER, EvalSpec
from foundation.data.folder import Picture
from foundation.data.phrases import replace_phrase
from foundation.errors import ConfigError


def with_trigger(prompt: str, trigger: str) -> str:
    """Return `prompt` as it is drawn: `{trigger}` replaced by the phrase, loose spaces and commas tidied."""
    return _tidy(prompt.replace(TRIGGER, trigger))


def without_trigger(prompt: str, trigger: str, class_word: str = "") -> str:
    """Return `prompt` as prompt match is measured: the trigger phrase taken out, or replaced by `class_word`.

    A rare token says nothing to CLIP, and a style's name would reward the style twice. Where nothing else is said the
    phrase stays: a prompt is never empty.
    """
    said = replace_phrase(prompt.replace(TRIGGER, class_word), trigger, class_word)
    return _tidy(said) or with_trigger(prompt, trigger)


def caption_alone(caption: str, trigger: str, class_word: str = "") -> str:
    """Return what a `caption` says beside the trigger, for which `class_word` stands; "" where it says no more."""
    return _tidy(replace_phrase(caption, trigger, class_word))


def captions_to_draw(pictures: Sequence[Picture], prompts: Sequence[str], trigger: str, count: int) -> tuple[str, ...]:
    """Return `count` captions of training `pictures` to look for copies by, or as many as there are that differ.

    Of the pictures that are repeated most, then in their order; none that is a prompt already.
    """
    drawn = {with_trigger(prompt, trigger) for prompt in prompts}
    often = sorted(pictures, key=lambda picture: -picture.repeats)  # stable
    captions = dict.fromkeys(picture.caption for picture in often if _tidy(picture.caption))
    return tuple(caption for caption in captions if caption not in drawn)[:count]


def drawn_by_base(spec: EvalSpec, trigger: str) -> EvalSpec:
    """Return what the base is asked for where checkpoints are asked for `spec`: of a subject, any of its class.

    What the base makes of a rare word says nothing; a style's prompts it draws as checkpoints do.
    """
    if spec.kind == "style":
        return spec
    prompts = tuple(without_trigger(prompt, trigger, spec.class_word) for prompt in spec.prompts)
    return replace(spec, prompts=prompts, final_prompts=(), class_prompts=0)


def check_prompts(prompts: Sequence[str], trigger: str, where: str) -> None:
    """Check that each prompt says something once the trigger is in it; `where` is what gave them.

    Raises:
        ConfigError: one line for each that does not.
    """
    blank = [prompt for prompt in prompts if not with_trigger(prompt, trigger)]
    if blank:
        raise ConfigError([f"{where}: {prompt!r} says nothing without a trigger; write more" for prompt in blank])


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,.;])", r"\1", text)
    text = re.sub(r"([,;])(?:\s*[,;])+", r"\1", text)
    return text.strip(" ,;")
