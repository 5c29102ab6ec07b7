"""What LoRA files are judged on: a base, pictures, prompts and eyes, opened once for as many as there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from eval.cutouts import subject_pictures
from eval.evaluation import Evaluation
from eval.evidence import build_evidence
from eval.extractors import FeatureExtractors, load_extractors
from eval.judge import judge
from eval.prompts import caption_alone, captions_to_draw, check_prompts, drawn_by_base, with_trigger, without_trigger
from eval.reconstruction import reconstruct
from eval.reference import Reference, build_reference
from eval.request import EvalRequest
from eval.samplers import check_sampler
from eval.sampling import sample
from eval.spec import EvalSpec, Thresholds
from eval.validation import losses_of_base, validation_set
from foundation.adapters.files import put_on, take_off
from foundation.bases.port import Base
from foundation.bases.registry import check_base, load_base
from foundation.console import say
from foundation.data.dataset import Dataset, load_dataset, with_folders
from foundation.data.folder import Picture
from foundation.data.images import square
from foundation.data.spec import Kind
from foundation.data.tokens import words_on_cut
from foundation.devices import best_device
from foundation.errors import ConfigError

_MAX_DEFAULT_PROMPTS = 8
_ADAPTER = "judged"
_CACHE = Path("multirun/cache")
"""Where archives are unpacked to, as for training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What was drawn and measured in one go, with or without the LoRA."""

    samples: list[Image.Image]
    unrelated: list[Image.Image]
    training: list[Image.Image]
    of_class: list[Image.Image]
    losses: Tensor  # (N, B)


@dataclass(frozen=True)
class Bench:
    """A base with what is drawn and looked at; the base's own pictures are drawn when they are first needed."""

    base: Base
    dataset: Dataset
    """The pictures that were trained on, and those that were not."""
    spec: EvalSpec
    eyes: FeatureExtractors
    trigger: str

    @classmethod
    def of(cls, request: EvalRequest) -> Bench:
        """Open what a request names, and say what is to be said of the pictures.

        Raises:
            UserError: the base, the CLIP or the data cannot be used.
        """
        check_base(request.base)
        device = device_of(request.device)
        base = load_base(request.base, device, own_size=request.own_size)
        check_sampler(base.pipeline, request.sampler, "sampler")
        dataset = pictures_of(request)
        say(*notes_on(dataset, base))
        spec = spec_of(request, dataset.train, dataset.validation)
        eyes = load_extractors(spec, device)
        return cls(base=base, dataset=dataset, spec=spec, eyes=eyes, trigger=request.trigger)

    def look_at(self, path: Path, strength: float = 1.0) -> tuple[Sight, str]:
        """Draw and measure with a LoRA at a strength, and take it off again; also what it acts on, in words.

        Raises:
            AdapterError: it is none, or does not fit the base.
        """
        acting = put_on(self.base.pipeline, path, _ADAPTER, strength)
        seen = look(self.base, self.dataset.validation, self.spec, self.trigger)
        take_off(self.base.pipeline)
        return seen, acting

    def sketch(self, path: Path, strength: float, count: int) -> list[Image.Image]:
        """Draw the first `count` prompts with a LoRA at a strength, with the first seed alone; nothing is measured."""
        put_on(self.base.pipeline, path, _ADAPTER, strength)
        prompts = [with_trigger(prompt, self.trigger) for prompt in self.spec.prompts[:count]]
        drawn = sample(self.base.pipeline, prompts, self.spec.seeds[:1], self.spec.drawing, self.base.sampling)
        take_off(self.base.pipeline)
        return drawn

    @cached_property
    def plain(self) -> Sight:
        """What the base alone draws."""
        return look(self.base, self.dataset.validation, drawn_by_base(self.spec, self.trigger), self.trigger)

    @cached_property
    def reference(self) -> Reference:
        """What LoRAs are held against."""
        train, held_out = (
            reconstruct(self.base, [square(each.open(), self.base.resolution) for each in pictures])
            for pictures in (self.dataset.train, self.dataset.validation)
        )
        spec, captions = self.spec, (*self.dataset.train, *self.dataset.validation)
        return build_reference(
            self.eyes,
            train=train,
            masks=[square(mask.open(), self.base.resolution) for mask in self.dataset.masks],
            held_out=held_out,
            captions=[caption_alone(each.caption, self.trigger, spec.class_word) for each in captions],
            prompts=[without_trigger(prompt, self.trigger, spec.class_word) for prompt in spec.prompts],
            base_samples=self.plain.samples,
            base_unrelated=self.plain.unrelated,
            base_training=self.plain.training,
            num_seeds=len(spec.seeds),
            unrelated_seeds=len(spec.seeds),
            base_validation=self.plain.losses,
            subject=None if spec.kind == "style" else subject_pictures(train, held_out, self.dataset),
        )

    def evaluate(self, seen: Sight, step: int = 0, history: Sequence[Evaluation] = ()) -> Evaluation:
        """Judge what was seen of a LoRA; `history` are the evaluations of earlier ones of its training."""
        reference, num_seeds = self.reference, len(self.spec.seeds)
        evidence = build_evidence(
            self.eyes,
            step=step,
            samples=seen.samples,
            unrelated=seen.unrelated,
            training=seen.training,
            of_class=seen.of_class,
            num_seeds=num_seeds,
            unrelated_seeds=num_seeds,
            validation_losses=seen.losses,
            subject=reference.subject,
        )
        return judge(reference, evidence, history, self.spec, failed=lambda _, line: say(line))


def device_of(name: str | None) -> torch.device:
    """The device of a name; without one a GPU where torch finds one.

    Raises:
        ConfigError: torch finds none of that name.
    """
    try:
        device = torch.device(name) if name else best_device()
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a misspelt name, or a device that is not there
        raise ConfigError([f"device must be one that torch finds here, got {name!r}; try device=cpu"]) from error
    return device


def pictures_of(request: EvalRequest) -> Dataset:
    """What was trained on and what was not, read and split as training does it."""
    if request.data is None:
        return Dataset((), ())
    dataset = load_dataset(with_folders(request.data, _CACHE), to_train=False)
    if request.trained_on:
        return dataset
    masks = (*dataset.held_out_masks, *(dataset.masks or (None,) * len(dataset.train)))
    held_out = (*dataset.validation, *dataset.train)
    return replace(dataset, train=(), masks=(), validation=held_out, held_out_masks=masks, few=())


def notes_on(dataset: Dataset, base: Base) -> Sequence[str]:
    """What is to be said of the pictures and their captions on a base."""
    captions = dataset.captions
    if not captions:
        return ()
    cut = words_on_cut(base.num_cut(captions), len(captions), base.caption_tokens)
    return (*dataset.notes(base.resolution), *cut)


def spec_of(request: EvalRequest, train: Sequence[Picture], held_out: Sequence[Picture]) -> EvalSpec:
    """What is drawn and measured.

    Raises:
        ConfigError: there is nothing to draw, or a key is wrong.
    """
    check_prompts(request.prompt, request.trigger, "prompt")
    captions = [picture.caption for picture in held_out if picture.caption][:_MAX_DEFAULT_PROMPTS]
    prompts = tuple(dict.fromkeys(request.prompt or captions))
    if not prompts:
        why = f" (the captions of {len(held_out)} held-out pictures are empty)" if held_out else ""
        raise ConfigError([f"there is nothing to draw{why}: give prompt=… (as often as needed), or data=FOLDER"])
    try:
        return EvalSpec(
            clip=request.clip,
            image_features=request.image_features,
            style_features=request.style_features,
            identity_features=request.identity_features,
            prompts=prompts,
            unrelated_prompts=request.unrelated,
            training_captions=captions_to_draw(train, prompts, request.trigger, request.look_for_copies),
            class_word=request.class_word,
            kind=kind_of(request),
            class_prompts=0 if kind_of(request) == "style" else len(prompts),
            metrics=request.metric,
            seeds=tuple(range(request.seeds)),
            sample_steps=request.steps,
            guidance_scale=request.guidance,
            sampler=request.sampler,
            guidance_every=request.guidance_every,
            batch_rows=request.rows,
            warmup_evaluations=0,
            thresholds=Thresholds(in_a_row=1),  # one evaluation is all there is, so it decides alone
        )
    except ValueError as error:
        raise ConfigError([str(error)]) from error


def kind_of(request: EvalRequest) -> Kind:
    """What was learned.

    Raises:
        ConfigError: it is a subject or a face that nothing calls, or one of nothing.
    """
    kind = request.data.kind if request.data else "style"
    missing = [key for key in ("trigger", "class_word") if not getattr(request, key)] if kind != "style" else []
    problems = [f"data.kind={kind} needs {key}=, as trigger='sks dog' class_word=dog" for key in missing]
    if kind == "face" and not request.identity_features:
        problems.append("data.kind=face needs identity_features=FOLDER, an eye for faces; data.kind=subject needs none")
    if problems:
        raise ConfigError(problems)
    return kind


def look(base: Base, held_out: Sequence[Picture], spec: EvalSpec, trigger: str) -> Sight:
    """Draw and measure with the base as it is now."""

    def draw(prompts: Sequence[str], seeds: Sequence[int] = spec.seeds) -> list[Image.Image]:
        return sample(base.pipeline, prompts, seeds, spec.drawing, base.sampling)

    if held_out:
        (losses,) = losses_of_base(validation_set(base, held_out, spec.strata), base, spec.batch_rows)
    else:
        losses = torch.zeros(0, spec.timestep_bins, dtype=torch.float64)
    return Sight(
        samples=draw([with_trigger(prompt, trigger) for prompt in spec.prompts]),
        unrelated=draw(spec.unrelated_prompts),
        training=draw(spec.training_captions, spec.seeds[:1]),
        of_class=draw([without_trigger(each, trigger, spec.class_word) for each in spec.prompts[: spec.class_prompts]]),
        losses=losses,
    )
