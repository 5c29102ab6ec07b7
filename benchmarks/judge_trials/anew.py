"""Stored checkpoints judged again, by today's judge: from the pictures that the studies kept, or drawn once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch
import yaml

from benchmarks.judge_trials.courses import Course
from benchmarks.judge_trials.sets import TrialSet
from eval.budgets import first_budget, next_budget
from eval.evaluation import Evaluation
from eval.evidence import build_evidence
from eval.extractors import load_extractors
from eval.judge import Evidence, judge
from eval.prompts import captions_to_draw
from eval.reference import Reference
from eval.spec import EvalSpec
from foundation.bases.port import Base
from foundation.data.dataset import Dataset, load_dataset
from foundation.errors import ConfigError
from sweeper.records.paths import checkpoint_of, pictures_of, trial_of
from sweeper.records.pictures import PROMPT, TRAINING, UNRELATED, open_picture, picture_name
from sweeper.worker.drawing import write_pictures
from sweeper.worker.judging import Judging
from train.caches import encode_dataset
from train.pack import Pack
from train.spec import DataSpec

Look = Callable[[int, Evaluation], Evidence]
"""What is seen of a trial's checkpoint."""
_AS_STORED: Final = (
    "sampler",
    "sample_steps",
    "guidance_scale",
    "guidance_every",
    "timestep_range",
    "timestep_bins",
    "noises_per_bin",
    "validation_seed",
)
"""What no later wish changes in pictures and losses that are there."""


def judge_anew(
    courses: Sequence[Course], chosen: TrialSet, folder: Path, base: Base, spec: EvalSpec, *, draw: bool
) -> Iterator[Course]:
    """Each of the `courses` of the set `chosen` with new evaluations, truths and training losses as they are.

    `base` is the one they were trained on; `folder` holds what `record` left. Prompts are the held-out captions where
    `spec` names none, and for copies the training captions that the study drew beside its prompts. The judge looks at
    the pictures and losses that the study kept, of which `spec` may ask for fewer prompts and seeds; with `draw` they
    are drawn and taken once more, in whatever way `spec` says, with further seeds for those that want them, and the
    pictures of all seeds lie in `pictures_drawn_anew`.

    Raises:
        ConfigError: `spec` asks for pictures that the study did not keep.
    """
    study, dataset = folder / chosen.name / chosen.name, _dataset(chosen, folder)
    stored = yaml.safe_load((study / "study.yaml").read_text())["config"]["eval"]
    prompts = spec.prompts or tuple(chosen.captions("validation", folder / "sets" / chosen.name))
    spec = replace(spec, prompts=prompts, final_prompts=())  # no finalists here
    if not draw:
        spec = replace(spec, tiebreak_seeds=(), screening_prompts=None)
        before = asdict(EvalSpec()) | stored  # a study may be older than a field
        spec = replace(spec, **{name: _plain(before[name]) for name in _AS_STORED})
    captions = captions_to_draw(dataset.train, stored["prompts"], chosen.trigger, spec.look_for_copies)
    spec = replace(spec, training_captions=captions)
    judging = _judging(dataset, chosen, folder, base, spec)
    whole = spec.within(spec.whole)
    reference = judging.reference(whole)
    if draw:
        look = _drawing(judging, study, whole, folder / chosen.name)
    else:
        look = _reading(study, stored, spec)  # of each image's losses the mean was kept, and not their bins
        reference = replace(reference, base_validation=reference.base_validation.mean(1, keepdim=True))
    for course in courses:
        judged: list[Evaluation] = []
        for point in course.checkpoints:
            judged.append(_judge(reference, look(course.trial, point.evaluation), judged, spec))
        points = [replace(point, evaluation=seen) for point, seen in zip(course.checkpoints, judged, strict=True)]
        yield replace(course, checkpoints=points)


def _judge(reference: Reference, evidence: Evidence, history: Sequence[Evaluation], spec: EvalSpec) -> Evaluation:
    """What a worker would say, which draws no more than is wanted; `evidence` has all."""
    budget = first_budget(spec)
    while True:
        judged = judge(reference.within(budget), evidence.within(budget), history, spec.within(budget))
        wanted = next_budget(budget, judged, spec)
        if wanted is None:
            return judged
        budget = wanted


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _dataset(chosen: TrialSet, folder: Path) -> Dataset:
    pictures = folder / "sets" / chosen.name
    return load_dataset(
        DataSpec(
            name=chosen.name,
            path=str(pictures / "train"),
            validation_path=str(pictures / "validation"),
            trigger=chosen.trigger,
        )
    )


def _judging(dataset: Dataset, chosen: TrialSet, folder: Path, base: Base, spec: EvalSpec) -> Judging:
    cache = folder / chosen.name / "cache"
    data = encode_dataset(base, dataset, cache)
    return Judging(Pack(base, data, 1), dataset, data, spec, chosen.trigger, cache)


def pictures_drawn_anew(folder: Path, trial: int, step: int) -> Path:
    """The folder of what a checkpoint of a trial of the set in `folder` drew when it was last judged anew."""
    return pictures_of(trial_of(folder / "drawn", trial), step)


def _drawing(judging: Judging, study: Path, spec: EvalSpec, folder: Path) -> Look:
    def look(trial: int, evaluation: Evaluation) -> Evidence:
        checkpoint = checkpoint_of(trial_of(study, trial), evaluation.step)
        pictures, seen = judging.see_file(checkpoint, evaluation.step, spec)
        write_pictures(pictures_drawn_anew(folder, trial, evaluation.step), pictures, len(pictures.samples[0]))
        return seen

    return look


def _reading(study: Path, stored: dict[str, Any], spec: EvalSpec) -> Look:
    eyes = load_extractors(spec, "cpu")
    prompts = _places("prompts", spec.prompts, stored)
    unrelated = _places("unrelated_prompts", spec.unrelated_prompts, stored)
    seeds = _places("seeds", spec.seeds, stored)
    few = seeds[: spec.unrelated_seeds]

    def look(trial: int, evaluation: Evaluation) -> Evidence:
        folder = pictures_of(trial_of(study, trial), evaluation.step)
        return build_evidence(
            eyes,
            step=evaluation.step,
            samples=[open_picture(folder / picture_name(PROMPT, p, seed)) for p in prompts for seed in seeds],
            unrelated=[open_picture(folder / picture_name(UNRELATED, p, seed)) for p in unrelated for seed in few],
            training=[
                open_picture(folder / picture_name(TRAINING, k, stored["seeds"][0]))
                for k in range(len(spec.training_captions))
            ],
            num_seeds=len(seeds),
            unrelated_seeds=len(few),
            validation_losses=torch.tensor(tuple(evaluation.validation_losses), dtype=torch.float64)[:, None],
        )

    return look


def _places(name: str, wanted: Sequence[Any], stored: dict[str, Any]) -> list[int]:
    """Where what is wanted stands among what was drawn; its pictures are named by that."""
    kept = list(stored[name])
    if unknown := [each for each in wanted if each not in kept]:
        raise ConfigError(f"eval.{name} must be of those that the studies drew, got {unknown[0]!r}; --draw draws anew")
    return [kept.index(each) for each in wanted]
