"""`sweeper eval`: judge one LoRA file, whoever trained it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from eval.cutouts import SubjectPictures, subject_pictures
from eval.diagnosis import diagnose
from eval.evaluation import Evaluation
from eval.evidence import build_evidence
from eval.extractors import FeatureExtractors, load_extractors
from eval.judge import judge
from eval.needs import lines_on_missing
from eval.prompts import caption_alone, captions_to_draw, check_prompts, drawn_by_base, with_trigger, without_trigger
from eval.reconstruction import reconstruct
from eval.reference import build_reference
from eval.request import EvalRequest
from eval.samplers import check_sampler
from eval.sampling import sample
from eval.spec import EvalSpec, Thresholds
from eval.validation import losses_of_base, validation_set
from foundation.adapters.files import put_on, read_parts, take_off
from foundation.bases.port import Base
from foundation.bases.registry import check_base, load_base
from foundation.console import columns, say
from foundation.data.dataset import Dataset, load_dataset, with_folders
from foundation.data.folder import Picture
from foundation.data.images import square
from foundation.data.spec import Kind
from foundation.data.tokens import words_on_cut
from foundation.devices import best_device
from foundation.errors import ConfigError
from foundation.files import durable

_MAX_DEFAULT_PROMPTS = 8
_ADAPTER = "judged"
_COMPARE = "figures compare with those of the same base, pictures, prompts, seeds, steps, sampler and guidance alone"
_CACHE = Path("multirun/cache")
"""Where archives are unpacked to, as for training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sight:
    """What was drawn and measured in one go, with or without the LoRA."""

    samples: list[Image.Image]
    unrelated: list[Image.Image]
    training: list[Image.Image]
    of_class: list[Image.Image]
    losses: Tensor  # (N, B)


def judge_file(request: EvalRequest) -> Evaluation:
    """Draw, look and judge; print the table, write the files that the request names.

    Raises:
        UserError: the LoRA, the base, the CLIP or the data cannot be used.
    """
    read_parts(Path(request.lora))  # what is no LoRA should not wait for the base
    check_base(request.base)
    device = _device(request.device)
    base = load_base(request.base, device, own_size=request.own_size)
    check_sampler(base.pipeline, request.sampler, "sampler")
    dataset = _pictures(request)
    say(*_notes(dataset, base))
    train, held_out = dataset.train, dataset.validation
    spec = _spec(request, train, held_out)
    eyes = load_extractors(spec, device)
    acting = put_on(base.pipeline, Path(request.lora), _ADAPTER)  # first, since it may not fit
    seen = _look(base, held_out, spec, request.trigger)
    take_off(base.pipeline)
    plain = _look(base, held_out, drawn_by_base(spec, request.trigger), request.trigger)
    real_train, real_held_out = (
        reconstruct(base, [square(picture.open(), base.resolution) for picture in pictures])
        for pictures in (train, held_out)
    )
    evaluation = _judge(
        eyes,
        real_train,
        [square(mask.open(), base.resolution) for mask in dataset.masks],
        real_held_out,
        [caption_alone(picture.caption, request.trigger, spec.class_word) for picture in (*train, *held_out)],
        plain,
        seen,
        spec,
        request.trigger,
        None if spec.kind == "style" else subject_pictures(real_train, real_held_out, dataset),
    )
    say(
        f"{request.lora} ({acting}) on {request.base.path}",
        *comparison_table(evaluation),
        verdict_on(evaluation, spec.thresholds.clean),
        *lines_on_missing(evaluation.metrics, request.data is not None, request.metric),
        _COMPARE,
    )
    if request.json is not None:
        durable.write_json(Path(request.json), {"lora": request.lora, "base": request.base.path} | evaluation.to_json())
    if request.samples is not None:
        _write_samples(Path(request.samples), plain.samples, seen.samples, len(spec.seeds))
    return evaluation


def verdict_on(evaluation: Evaluation, clean: float) -> str:
    """What is to be said of a LoRA that was judged once: its diagnosis and the signs of overfit, in one line."""
    diagnosis = diagnose([evaluation], clean)
    if diagnosis is None or math.isnan(evaluation.overfit_index):
        return evaluation.words
    why = [] if diagnosis.kind == "overfit" else [diagnosis.because]  # which would be its words again
    return f"verdict: {diagnosis.kind}: {'; '.join([*why, evaluation.words])}"


def comparison_table(evaluation: Evaluation) -> list[str]:
    """An evaluation in lines; what could not be measured is a dash."""
    rows = [
        ("score", f"{_cell(evaluation.score)} ± {_cell(evaluation.score_se)}", ""),
        ("overfit index", _cell(evaluation.overfit_index), ""),
    ]
    severe = {"copy_rate": "copy"} | {name: name for name in evaluation.severities}
    for name, value in evaluation.metrics.items():
        part = evaluation.severities.get(severe.get(name, ""))
        rows.append((name, _cell(value), "" if part is None else _cell(part)))
    return columns(("measure", "value", "severity"), rows, right=(1, 2))


def _cell(value: float) -> str:
    return "–" if value != value else f"{value:.4g}"


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name) if name else best_device()
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a misspelt name, or a device that is not there
        raise ConfigError([f"device must be one that torch finds here, got {name!r}; try device=cpu"]) from error
    return device


def _pictures(request: EvalRequest) -> Dataset:
    """What was trained on and what was not, read and split as training does it."""
    if request.data is None:
        return Dataset((), ())
    dataset = load_dataset(with_folders(request.data, _CACHE), to_train=False)
    if request.trained_on:
        return dataset
    masks = (*dataset.held_out_masks, *(dataset.masks or (None,) * len(dataset.train)))
    held_out = (*dataset.validation, *dataset.train)
    return replace(dataset, train=(), masks=(), validation=held_out, held_out_masks=masks, few=())


def _notes(dataset: Dataset, base: Base) -> Sequence[str]:
    captions = dataset.captions
    if not captions:
        return ()
    cut = words_on_cut(base.num_cut(captions), len(captions), base.caption_tokens)
    return (*dataset.notes(base.resolution), *cut)


def _spec(request: EvalRequest, train: Sequence[Picture], held_out: Sequence[Picture]) -> EvalSpec:
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
            kind=_kind(request),
            class_prompts=0 if _kind(request) == "style" else len(prompts),
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


def _kind(request: EvalRequest) -> Kind:
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


def _look(base: Base, held_out: Sequence[Picture], spec: EvalSpec, trigger: str) -> _Sight:
    def draw(prompts: Sequence[str], seeds: Sequence[int] = spec.seeds) -> list[Image.Image]:
        return sample(base.pipeline, prompts, seeds, spec.drawing, base.sampling)

    if held_out:
        (losses,) = losses_of_base(validation_set(base, held_out, spec.strata), base, spec.batch_rows)
    else:
        losses = torch.zeros(0, spec.timestep_bins, dtype=torch.float64)
    return _Sight(
        samples=draw([with_trigger(prompt, trigger) for prompt in spec.prompts]),
        unrelated=draw(spec.unrelated_prompts),
        training=draw(spec.training_captions, spec.seeds[:1]),
        of_class=draw([without_trigger(each, trigger, spec.class_word) for each in spec.prompts[: spec.class_prompts]]),
        losses=losses,
    )


def _judge(
    eyes: FeatureExtractors,
    train: Sequence[Image.Image],
    masks: Sequence[Image.Image],
    held_out: Sequence[Image.Image],
    captions: Sequence[str],
    base: _Sight,
    seen: _Sight,
    spec: EvalSpec,
    trigger: str,
    subject: SubjectPictures | None,
) -> Evaluation:
    num_seeds = len(spec.seeds)
    reference = build_reference(
        eyes,
        train=train,
        masks=masks,
        held_out=held_out,
        captions=captions,
        prompts=[without_trigger(prompt, trigger, spec.class_word) for prompt in spec.prompts],
        base_samples=base.samples,
        base_unrelated=base.unrelated,
        base_training=base.training,
        num_seeds=num_seeds,
        unrelated_seeds=num_seeds,
        base_validation=base.losses,
        subject=subject,
    )
    evidence = build_evidence(
        eyes,
        step=0,
        samples=seen.samples,
        unrelated=seen.unrelated,
        training=seen.training,
        of_class=seen.of_class,
        num_seeds=num_seeds,
        unrelated_seeds=num_seeds,
        validation_losses=seen.losses,
        subject=reference.subject,
    )
    return judge(reference, evidence, [], spec, failed=lambda _, line: say(line))


def _write_samples(folder: Path, base: Sequence[Image.Image], seen: Sequence[Image.Image], num_seeds: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (without, drawn) in enumerate(zip(base, seen, strict=True)):
        name = f"prompt{number // num_seeds:02d}-seed{number % num_seeds}"
        without.save(folder / f"{name}-base.png")
        drawn.save(folder / f"{name}-lora.png")
