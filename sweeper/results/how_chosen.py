"""Says how the winner was chosen, and how sure it is that it is better than the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from eval.evaluation import Evaluation
from sweeper.records.config import Config
from sweeper.records.messages import Rescored
from sweeper.records.trainings import Training, name_of
from sweeper.records.trials import Trial
from sweeper.results.lead import lead_of_means
from sweeper.results.repeats import Repeats
from sweeper.results.rounds import Comparison


def how_chosen(
    trial: Trial,
    rescored: Mapping[int, Rescored],
    final: Evaluation,
    objectives: Sequence[str],
    settings: Sequence[Repeats],
    comparison: Comparison | None,
    config: Config,
    blends: Sequence[Trial] = (),
) -> str:
    """In words, also why a finalist whose fresh score may be higher did not win.

    `trial` is the winner of the study of `config`, `final` its evaluation at its strength; `rescored` are all fresh
    judgements by number; `objectives` are those of the front that finalists lie on; `settings` are the finalists with
    their repeats, the best first; `comparison` is that of finalists that were trained once, and of their `blends`.
    """
    fresh = (
        "fresh seeds on prompts that no trial saw" if config.eval.final_prompts else "fresh seeds on the same prompts"
    )
    said = ["Of each trial the clean checkpoint with the best score counts."]
    if objectives:
        said.append(f"Finalists are the best by score on the Pareto front of {', '.join(objectives)}.")
    evaluations = {number: each.evaluation for number, each in rescored.items()}
    own = evaluations.pop(trial.number)
    if len(settings[0].scores) > 1:
        said.append(_by_means(trial, settings, fresh))
    elif evaluations:
        several = ", ".join(map(name_of, (trial.number, *evaluations)))
        best = "clean" if trial.is_clean(own) else "fresh"
        ahead = comparison is None or comparison.winner == comparison.best
        won = f", and the best {best} score won" if ahead else ""
        said.append(f"Trials {several} were scored again with {fresh}{won}.")
    else:
        said.append(f"It was the only one to choose from; its score was taken again with {fresh}.")
    said += [f"Trial {each.name} is the {each.reason}." for each in blends]
    if trial.is_clean(own):
        fallen = {number: each.words for number, each in evaluations.items() if not trial.is_clean(each)}
        said += [f"Trial {name_of(number)} was not clean any more: {words}." for number, words in fallen.items()]
    if not trial.is_clean(final):
        said.append("No finalist was free of signs of overfit; this is the least bad.")
    if len(settings[0].scores) > 1:
        said += [lead_of_settings(settings)]
    elif comparison:
        said.append(comparison.words)
    return " ".join(filter(None, said))


def lead_of_settings(settings: Sequence[Repeats]) -> str:
    """Whether the best settings are surely better than the second, over training seeds and prompts.

    Empty where there are no two, or where they were trained once.
    """
    if len(settings) < 2 or len(settings[0].scores) < 2:
        return ""
    best, second = settings[:2]
    lead = lead_of_means(best, second, settings)
    said = f"Trial {best.trial}'s mean is {lead.points:+.1f} points above trial {second.trial}'s, the next"
    if not math.isfinite(lead.low):
        return f"{said}; how sure that is one prompt cannot tell."
    sure = "surely better" if lead.low > 0 else "within the noise: either may have the better settings"
    return (
        f"{said} (95 % interval {lead.low:+.1f} to {lead.high:+.1f}, over {len(best.scores)} training seeds and "
        f"{lead.prompts} prompts), which is {sure}."
    )


def _by_means(trial: Trial, settings: Sequence[Repeats], fresh: str) -> str:
    """Which settings won, and which of their trainings this is."""
    best = settings[0]
    count = len(best.scores)
    clean = "clean " if best.is_clean else ""
    several = f"Trials {', '.join(str(each.trial) for each in settings)} were trained" if len(settings) > 1 else ""
    which = "its own" if not Training.of(trial.number).is_rerun else f"its repeat {trial.name}"
    return (
        f"{several or f'Trial {best.trial} was trained'} with {count} training seeds each, and all trainings were "
        f"scored again with {fresh}; the best mean score won: trial {best.trial}'s, {best.mean:.1f}. Of its trainings "
        f"this is the one with the best {clean}score, {which}."
    )
