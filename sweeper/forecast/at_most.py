"""What a study will do at most, before anything of it is done: trainings, evaluations, pictures."""

from __future__ import annotations

import math

from eval.strength import AS_TRAINED, STRENGTH_PROMPTS, STRENGTH_STEPS
from sweeper.records.config import Config
from sweeper.records.study_spec import StudySpec


def pictures_of_finals(config: Config) -> int:
    """How many pictures finalists and strengths are judged by, at most; judging is mostly drawing."""
    judge, study = config.eval, config.study
    prompts, seeds = len(judge.final_prompts or judge.prompts), len(judge.seeds)
    count = min(study.finalists, study.num_trials)
    blends = ("mean" in study.blends) + ("soup" in study.blends) * (count - 1)
    finalists = (count * study.repeats + blends) * prompts * 2 * seeds
    if not study.strengths:
        return finalists
    strengths = len({AS_TRAINED, *study.strengths})
    again = prompts * 2 * seeds
    sheet = (
        strengths * (STRENGTH_STEPS - 1) * min(STRENGTH_PROMPTS, prompts)
    )  # the chosen step was drawn when it was judged
    return finalists + strengths * prompts * max(2, seeds) + again + sheet


def num_trainings(study: StudySpec) -> int:
    """Trials and repeats of finalists."""
    return study.num_trials + min(study.finalists, study.num_trials) * (study.repeats - 1)


def forecast_words(config: Config) -> str:
    """What a study will do at most, in a line; how long that takes is known after its first evaluation."""
    steps, usual, trainings = config.train.num_steps, config.eval.usual, num_trainings(config.study)
    evaluations = trainings * math.ceil(steps / config.eval.every)
    return (
        f"forecast: at most {trainings} trainings of {steps} steps, {evaluations} evaluations of up to "
        f"{usual.prompts * usual.seeds} pictures, and {pictures_of_finals(config)} pictures of finalists in each round"
    )
