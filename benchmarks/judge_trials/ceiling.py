"""How well any judge could tell overfit checkpoints from as few pictures: what the truth's own reader would reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge_trials.analysis import auc, truly_overfit
from benchmarks.judge_trials.anew import pictures_drawn_anew
from benchmarks.judge_trials.courses import Course
from benchmarks.judge_trials.sets import SETS, TrialSet
from benchmarks.judge_trials.style_truth import Measure, Readers
from benchmarks.judge_trials.truth import as_pixels
from eval.sampling import sample
from eval.spec import EvalSpec
from foundation.bases.port import Base
from sweeper.records.pictures import PROMPT, open_picture, picture_name
from train.pocket.world import BACKGROUNDS, RELATIONS, Scene, Thing

LITTLE_QUALITY: Final = 0.02
"""A fall from less than this is measured against it."""

Qualities = Callable[[Course], NDArray[np.float64]]
"""Of a course, each picture's quality: (checkpoints, pictures)."""


def by_the_reader(courses: Sequence[Course], folder: Path, base: Base, readers: Readers, spec: EvalSpec) -> Qualities:
    """Qualities as the truth's reader sees them in the pictures that the judge looked at when it last judged anew.

    Raises:
        FileNotFoundError: it did not, by `rejudge --draw`.
    """
    chosen = {each.name: each for each in SETS}
    found: dict[tuple[str, int], NDArray[np.float64]] = {}
    for name in dict.fromkeys(course.set for course in courses):
        measure = _measure(chosen[name], spec, base, readers)
        for course in (each for each in courses if each.set == name):
            rows = []
            for point in course.checkpoints:
                place = pictures_drawn_anew(folder / name, course.trial, point.evaluation.step)
                pictures = [
                    open_picture(place / picture_name(PROMPT, prompt, seed))
                    for prompt in range(len(spec.prompts))
                    for seed in range(len(spec.seeds))
                ]
                rows.append(measure.quality(as_pixels(pictures)).numpy())
            found[name, course.trial] = np.stack(rows)
    return lambda course: found[course.set, course.trial]


def _measure(chosen: TrialSet, spec: EvalSpec, base: Base, readers: Readers) -> Measure:
    wanted = [scene_of(prompt) for prompt in spec.prompts]
    captions = [scene.caption(chosen.style) for scene in wanted]
    drawn = sample(base.pipeline, captions, spec.seeds, spec.drawing)
    scenes = [scene for scene in wanted for _ in spec.seeds]
    return Measure(base, readers, chosen.style, scenes, as_pixels(drawn))


def scene_of(prompt: str) -> Scene:
    """The scene that a caption of the drawn world asks for.

    Raises:
        ValueError: it is no such caption.
    """
    words = prompt.split(",")[0]
    grounds = {phrase: name for name, phrase in BACKGROUNDS.items()}
    found = re.fullmatch(rf"an? (\w+) (\w+)(?: ({'|'.join(RELATIONS)}) an? (\w+) (\w+))? ({'|'.join(grounds)})", words)
    if not found:
        raise ValueError(f"must be a caption of the drawn world, got {prompt!r}")
    colour, shape, relation, other_colour, other_shape, ground = found.groups()
    second = Thing(other_colour, other_shape) if relation else None
    return Scene(grounds[ground], Thing(colour, shape), relation, second)


def falls(qualities: NDArray[np.float64]) -> list[float]:
    """Of each checkpoint but the first, how far its mean lies below the best before it, as a share of that."""
    means = qualities.mean(1)
    best = np.maximum.accumulate(means)[:-1]
    shares: list[float] = ((best - means[1:]) / np.maximum(best, LITTLE_QUALITY)).tolist()
    return shares


def reach(courses: Sequence[Course], qualities: Qualities) -> float:
    """AUC against the truth of the fall of what `qualities` sees."""
    values = [fall for course in courses for fall in falls(qualities(course))]
    truths = [truly_overfit(course, i) for course in courses for i in range(1, len(course.checkpoints))]
    return auc(values, truths)


def between_halves(courses: Sequence[Course]) -> float:
    """The same of one half of the truth's own pictures against what the other half calls overfit; mean of both ways."""
    return float(np.mean([reach([_half(course, way) for course in courses], _other(courses, way)) for way in (0, 1)]))


def _half(course: Course, way: int) -> Course:
    """The course as half of its truth's pictures tells it."""
    points = []
    for point in course.checkpoints:
        each = point.truth.each[way::2]
        points.append(replace(point, truth=replace(point.truth, each=each, quality=sum(each) / len(each))))
    return replace(course, checkpoints=points)


def _other(courses: Sequence[Course], way: int) -> Qualities:
    """What the other half sees."""
    found = {
        (course.set, course.trial): np.array([point.truth.each[1 - way :: 2] for point in course.checkpoints])
        for course in courses
    }
    return lambda course: found[course.set, course.trial]
