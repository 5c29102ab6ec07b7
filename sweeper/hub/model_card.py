"""The model card of a published LoRA: front matter for the Hub, and what a person reads there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eval.aims import aim_of
from eval.metrics.registry import metrics_with
from sweeper.hub.published import Published
from sweeper.results.file_names import WEIGHTS
from sweeper.results.markdown import code, markdown_table, plain_markdown

_TOLD: Final = ("adapter.name", "adapter.rank", "adapter.alpha_ratio", "adapter.targets", "optimizer.name")
_TOLD_TOO: Final = ("optimizer.lr", "optimizer.weight_decay", "lr_scheduler.name", "train.batch_size", "train.seed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Under whose name and what terms it is published."""

    hub: str
    """`owner/name`."""
    license: str
    license_name: str = ""
    license_link: str = ""
    author: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """What lies in the folder, by its name there; empty for what does not."""

    kohya: str
    diffusers: bool
    web_uis: Sequence[str]
    """The programs that read the kohya file."""
    images: Sequence[tuple[str, str]]
    """Prompts, and the names of their pictures."""
    workflows: Sequence[str]
    notes: Sequence[str]
    """What is missing, and why."""


def model_card(told: Published, terms: Terms, files: Files) -> str:
    """Return the text of `README.md`."""
    from huggingface_hub import ModelCardData  # takes a moment

    front = ModelCardData(
        license=terms.license,
        license_name=terms.license_name or None,
        license_link=terms.license_link or None,
        base_model=told.base_id or None,
        library_name="diffusers",
        pipeline_tag="text-to-image",
        tags=["text-to-image", "diffusers", "lora", "template:sd-lora"],
        **_more_front(told, files),
    )
    parts = [
        f"---\n{front.to_yaml()}\n---",
        f"# {plain_markdown(told.study)}",
        "<Gallery />" if files.images else "",
        _opening(told, terms),
        "## How to use it",
        *_use(told, terms, files),
        "## Scores",
        _scores(told),
        f"The judge's words: {plain_markdown(told.evaluation.words)}.",
        "## How it was trained",
        _training(told),
        "## What it was trained on",
        _data(told),
        *(f"{plain_markdown(note)}." for note in files.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _more_front(told: Published, files: Files) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if told.base_id:
        more["base_model_relation"] = "adapter"
    if told.trigger:
        more["instance_prompt"] = told.trigger
    if files.images:
        more["widget"] = [{"text": prompt, "output": {"url": name}} for prompt, name in files.images]
    return more


def _opening(told: Published, terms: Terms) -> str:
    by = f", by {plain_markdown(terms.author)}" if terms.author else ""
    trigger = f" Put {code(told.trigger)} into the prompt." if told.trigger else ""
    best = f" It acts best at strength {told.strength:g}."
    return f"A LoRA of a {told.kind} for {code(told.base_id or told.base)}{by}.{trigger}{best}"


def _use(told: Published, terms: Terms, files: Files) -> Iterator[str]:
    prompt = f", and {code(told.trigger)} in the prompt" if told.trigger else ""
    if files.kohya and files.web_uis:
        yield f"{', '.join(files.web_uis)}: {code(files.kohya)} at strength {told.strength:g}{prompt}."
    if files.workflows:
        listed = ", ".join(f"[{name}]({name})" for name in files.workflows)
        yield (
            f"ComfyUI's workflows ({listed}; `_api` for its API) load it at that strength, and draw a sheet of "
            "strengths by prompts; choose the base's checkpoint in them."
        )
    if files.diffusers:
        text = files.images[0][0] if files.images else told.trigger
        base = told.base_id or "path/to/the/base"
        yield f"""\
```python
import torch
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained({base!r}, dtype=torch.float32)
pipe.load_lora_weights({terms.hub!r}, weight_name={WEIGHTS!r}, adapter_name="lora")
pipe.set_adapters("lora", {told.strength:g})
image = pipe(prompt={text!r}, num_inference_steps={told.sample_steps}, guidance_scale={told.guidance:g}).images[0]
```"""


def _scores(told: Published) -> str:
    metrics = metrics_with(())
    own: dict[str, float] = {"score": told.evaluation.score, "overfit_index": told.evaluation.overfit_index}
    own |= dict(told.evaluation.metrics)
    thing = aim_of(told.evaluation.metrics).thing
    words = {"score": f"0 is the base, 100 what cannot be told from real pictures of {thing}"}
    words["overfit_index"] = "0 clean … 1 overfit"
    words |= {name: metric.description for name, metric in metrics.items() if metric.direction}
    error = told.evaluation.score_se
    rows = [
        (name, f"{own[name]:.3g}{f' ± {error:.2g}' if name == 'score' and math.isfinite(error) else ''}", how)
        for name, how in words.items()
        if math.isfinite(own.get(name, math.nan))
    ]
    note = "Judged by sweeper with fresh prompts and seeds; figures compare within one study alone."
    table = markdown_table(("measure", "this LoRA", "how to read it"), rows, right=(1,))
    return f"{table}\n\n{note}"


def _training(told: Published) -> str:
    rows = [(name, code(_value(told.training, name))) for name in (*_TOLD, *_TOLD_TOO) if _value(told.training, name)]
    rows += [("steps", str(told.step)), ("resolution", str(told.resolution))]
    return f"{markdown_table(('setting', 'value'), rows)}\n\nAll of them are in [training.json](training.json)."


def _value(groups: Mapping[str, Any], name: str) -> str:
    group, _, field = name.partition(".")
    value = groups[group].get(field)
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _data(told: Published) -> str:
    if not told.counts:
        return "The pictures were not at hand any more when this card was written."
    return "\n".join(f"- {line}" for line in told.counts) + "\n\nThe pictures themselves are not published."
