"""Prompts with and without the trigger phrase."""

from __future__ import annotations

import re

from eval.spec import TRIGGER


def with_trigger(prompt: str, trigger: str) -> str:
    """Return `prompt` as it is drawn: `{trigger}` replaced by the phrase, loose spaces and commas tidied."""
    return _tidy(prompt.replace(TRIGGER, trigger))


def without_trigger(prompt: str, trigger: str, stand_in: str = "") -> str:
    """Return `prompt` as prompt match is measured: the trigger phrase taken out, or replaced by `stand_in`.

    A rare token says nothing to CLIP, and a style's name would reward the style twice.
    """
    prompt = prompt.replace(TRIGGER, stand_in)
    if trigger:
        prompt = re.sub(rf"(?<!\w){re.escape(trigger)}(?!\w)", lambda _: stand_in, prompt, flags=re.IGNORECASE)
    return _tidy(prompt)


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,.;])", r"\1", text)
    text = re.sub(r"([,;])(?:\s*[,;])+", r"\1", text)
    return text.strip(" ,;")
