"""Has finalists judged again with fresh seeds and prompts, in as many rounds as it takes to tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeper.records.config import Config
from sweeper.records.messages import Rescored
from sweeper.records.trainings import Training, name_of
from sweeper.records.trials import Trial
from sweeper.results.blends import Blender
from sweeper.results.final_sheets import FRESH_SEEDS_FROM
from sweeper.results.how_chosen import lead_of_settings
from sweeper.results.repeats import Repeats, best_first, repeats_of
from sweeper.results.rounds import Comparison, compare
from sweeper.study.display import Display
from sweeper.study.rescoring import question, rescore
from sweeper.study.supervisor import Supervisor


@dataclass(frozen=True, kw_only=True, slots=True)
class Fresh:
    """What the finalists, their repeats and their blends came to with fresh seeds and prompts."""

    trainings: Sequence[Trial]
    rescored: Mapping[int, Rescored]
    """By number, of those with a checkpoint: the first round."""
    settings: Sequence[Repeats]
    """The finalists' settings, the best first."""
    comparison: Comparison | None = None
    """Of finalists that were trained once, and blends; None where repeats tell which settings are best."""

    @classmethod
    def of(cls, trainings: Sequence[Trial], rounds: Sequence[Mapping[int, Rescored]]) -> Fresh:
        """Group them by finalist; `rounds` are what each found, all trainings with a checkpoint in the first."""
        groups: dict[int, list[Trial]] = {}
        for each in trainings:
            if not Training.of(each.number).is_blend:
                groups.setdefault(Training.of(each.number).trial, []).append(each)
        settings = best_first([repeats_of(group, rounds[0]) for group in groups.values()])
        once = all(len(group) == 1 for group in groups.values())
        judged = {n: [found[n].evaluation for found in rounds if n in found] for n in rounds[0]}
        comparison = compare(trainings, judged) if once else None
        return cls(trainings=trainings, rescored=rounds[0], settings=settings, comparison=comparison)

    @property
    def winner(self) -> Trial:
        """The training to take: of the settings with the best mean the best, or as the pairs say."""
        number = self.comparison.winner if self.comparison else self.settings[0].best
        return next(each for each in self.trainings if each.number == number)

    @property
    def blends(self) -> list[Trial]:
        """What was made of finalists' checkpoints."""
        return [each for each in self.trainings if Training.of(each.number).is_blend]

    @property
    def scores(self) -> dict[int, float]:
        """By number, of the first round."""
        return {number: each.evaluation.score for number, each in self.rescored.items()}

    @property
    def lead(self) -> str:
        """Whether what is taken is surely better than the others."""
        return self.comparison.words if self.comparison else lead_of_settings(self.settings)


def fresh_seeds(config: Config, number: int = 0) -> tuple[int, ...]:
    """What finalists are drawn with in a round: seeds that no trial's evaluation uses, nor another round."""
    count = 2 * len(config.eval.seeds)
    return tuple(range(FRESH_SEEDS_FROM + number * count, FRESH_SEEDS_FROM + (number + 1) * count))


def judge_afresh(supervisor: Supervisor, display: Display, trainings: list[Trial], config: Config) -> Fresh:
    """Have the finalists, and their repeats, judged: all once, then again those that cannot be told from the best.

    Their blends are judged after the first round, on the same prompts and seeds, and then are as finalists are.
    It ends when one is better by two standard errors, or after `study.finalist_rounds`. Repeats are judged once: which
    training seeds there were is then the larger part of chance, and further pictures say nothing of that.
    """
    names = ", ".join(trial.name for trial in trainings if trial.best)
    seeds = fresh_seeds(config)
    display.line(f"scoring trials {names} again with {len(seeds)} fresh seeds a prompt")
    rounds = [_round(supervisor, trainings, config, 0)]
    fresh = Fresh.of(trainings, rounds)
    if config.study.blends:
        blends = Blender(supervisor, display, seeds).blend(config.study.blends, trainings, fresh.rescored)
        trainings = [*trainings, *(each.trial for each in blends)]
        rounds = [{**fresh.rescored, **{each.trial.number: each.rescored for each in blends}}]
        fresh = Fresh.of(trainings, rounds)
    while (found := fresh.comparison) and len(rounds) < config.study.finalist_rounds and found.open:
        if found.prompts < 2:
            break  # no number of seeds has an error then
        again = [each for each in trainings if each.number in (found.best, *found.open)]
        names = ", ".join(name_of(each.number) for each in again)
        display.line(f"trials {names} are not told apart by two standard errors: round {len(rounds) + 1}, other seeds")
        rounds.append(_round(supervisor, again, config, len(rounds)))
        fresh = Fresh.of(trainings, rounds)
    return fresh


def _round(supervisor: Supervisor, trainings: list[Trial], config: Config, number: int) -> dict[int, Rescored]:
    seeds = fresh_seeds(config, number)
    asked = [question(trial, trial.best.step, seeds, seeds, place=number) for trial in trainings if trial.best]
    return {answer.trial: answer for answer in rescore(supervisor, asked)}
