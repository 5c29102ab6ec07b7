"""How long a study still takes, from what it took so far in this run: steps with their judging, then the finale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweeper.forecast.at_most import num_trainings, pictures_of_finals
from sweeper.records.config import Config
from sweeper.records.messages import Draw, Probe, Rescore


def count_pictures(question: Rescore | Draw | Probe, config: Config) -> int:
    """How many pictures a question asks for."""
    if isinstance(question, Probe):
        return 0
    if isinstance(question, Draw):
        return question.prompts
    return len(config.eval.final_prompts or config.eval.prompts) * len(question.seeds)


@dataclass(slots=True)
class TimeLeft:
    """Counts what is done, and says what is left; seconds are any clock's. NaN while there is no pace to go by."""

    steps: int
    """Of all trials."""
    finale: int
    """Pictures of the finale."""
    evaluation: int
    """Pictures of one evaluation."""
    judged: int = 0
    judging_s: float = 0.0
    drawn: int = 0

    @classmethod
    def of(cls, config: Config) -> TimeLeft:
        """Return what a study has before it."""
        usual = config.eval.usual
        return cls(
            steps=num_trainings(config.study) * config.train.num_steps,
            finale=pictures_of_finals(config),
            evaluation=usual.prompts * usual.seeds,
        )

    def note_evaluation(self, seconds: float) -> None:
        """Note what an evaluation took."""
        self.judged += 1
        self.judging_s += seconds

    def training_s(self, seconds: float, made: int, done: int) -> float:
        """Seconds until all is done. `made` steps, with their judging, took `seconds` in this run; `done` are behind.

        Nothing is said before the first evaluation, which may take longer than all steps before it.
        """
        if made <= 0 or not self.judged:
            return math.nan
        each = self.judging_s / (self.judged * max(1, self.evaluation))
        return seconds / made * max(0, self.steps - done) + each * self.finale

    def finale_s(self, seconds: float) -> float:
        """Seconds until the finale is done, which has taken `seconds` so far."""
        return seconds / self.drawn * max(0, self.finale - self.drawn) if self.drawn else math.nan
