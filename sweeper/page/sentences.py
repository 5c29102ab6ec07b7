"""What won and why, in three sentences; of a study that is not done, how it stands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from eval.aims import AIMS, Aim
from eval.evaluation import Evaluation
from sweeper.page.choice import Scores
from sweeper.page.view import StudyState, TrialView
from sweeper.records.trainings import name_of

_ENDED = ("finished", "pruned", "failed")


def sentences_on(
    state: StudyState, trials: Sequence[TrialView], scores: Scores | None, wanted: int, aim: str, sign: int
) -> list[str]:
    """Return three sentences on a study, or fewer where there is less to say.

    `state` is the study's, `trials` its trials and reruns, `scores` what its best says, `wanted` how many trials it is
    to have, `aim` the metric that says how far a checkpoint came, `sign` 1 where a higher score is better, else -1.
    """
    own = [each for each in trials if not each.is_rerun]
    if scores is not None and state == "finished":
        return _of_winner(own, scores, _aim(aim))
    ended = [each for each in own if each.status in _ENDED]
    if state == "finished" and ended and not any(each.chosen is not None for each in own):
        return _of_failure(ended)
    return [*_progress(state, own, ended, wanted), *_ahead(own, sign), *_what_follows(state, scores)]


def params_in_words(params: Mapping[str, object]) -> str:
    """Return `rank 8, optimizer lion, lr 3.1e-4`."""
    words = [f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()]
    return ", ".join(words)


def _of_winner(trials: Sequence[TrialView], scores: Scores, aim: Aim) -> list[str]:
    choice, judged = scores.choice, scores.evaluation
    settings = next((params_in_words(each.params) for each in trials if each.number == choice.trial), "")
    what = f"The {scores.made_of}," if scores.made_of else f"Trial {choice.training} at step {choice.step}"
    who = f"{what} {'was chosen by hand' if choice.by_hand else 'won'}"
    first = f"{who}{f' with {settings}' if settings else ''}, to be used at strength {choice.strength:g}."
    fresh = "In its trial it scored" if choice.by_hand else "With fresh seeds it scores"
    second = (
        f"{fresh} {judged.score:.1f}, where 0 is the base and 100 what cannot be told from real pictures of {aim.thing}"
        f"{_parts(judged, aim)}."
    )
    return [first, second, _lead(scores)]


def _parts(judged: Evaluation, aim: Aim) -> str:
    known = {name: value for name, value in judged.metrics.items() if math.isfinite(value)}
    parts = []
    if aim.metric in known:
        parts.append(f"it goes {100 * known[aim.metric]:.0f} % of the way there")
    if "prompt_kept" in known:
        parts.append(f"keeps {100 * known['prompt_kept']:.0f} % of the base's match with prompts")
    if "copy_rate" in known:
        rate = known["copy_rate"]
        parts.append("copies no training picture" if rate <= 0 else f"copies in {100 * rate:.0f} % of its pictures")
    if "val_ratio" in known:
        parts.append(f"has a validation loss {known['val_ratio']:.2f} times the base's")
    return f": {', '.join(parts)}" if parts else ""


def _lead(scores: Scores) -> str:
    """How sure it is that this one is the best."""
    if scores.choice.by_hand:
        return "A person chose it over the judge's order; the study's command would keep it."
    if scores.within_noise:
        return f"{scores.within_noise}."
    if scores.lead:
        return scores.lead
    others = {number: score for number, score in scores.finalists.items() if name_of(number) != scores.choice.training}
    own = next((score for number, score in scores.finalists.items() if number not in others), math.nan)
    rest = {number: score for number, score in others.items() if math.isfinite(score)}
    if not rest or not math.isfinite(own):
        return "No other trial was judged again beside it, so nothing says how sure its lead is."
    second = max(rest, key=lambda number: rest[number])
    return (
        f"Of {len(scores.finalists)} finalists, judged again as trained with the same fresh seeds, it came to "
        f"{own:.1f} and trial {name_of(second)}, the next, to {rest[second]:.1f}; each is sure to "
        f"± {scores.evaluation.score_se:.1f} over the prompts."
    )


def _of_failure(ended: Sequence[TrialView]) -> list[str]:
    reasons = Counter(each.ended_because for each in ended)
    reason, count = reasons.most_common(1)[0]
    most = f"all {count}" if count == len(ended) else f"{count} of {len(ended)}"
    return [
        "No trial left a checkpoint, so there is no best.",
        f"Most ended alike, {most}: {reason or 'no reason is known'}.",
        "Change what they share, and give study.name another name.",
    ]


def _progress(state: StudyState, own: Sequence[TrialView], ended: Sequence[TrialView], wanted: int) -> list[str]:
    total = max(wanted, len(own))
    if not own:
        return ["It is loading, and no trial has begun." if state == "running" else "No trial has begun."]
    going = len(own) - len(ended)
    if state == "running":
        return [f"It runs: {len(ended)} of {total} trials have ended, {going} {'is' if going == 1 else 'are'} open."]
    if state == "unfinished":
        return [f"It was stopped: {len(ended)} of {total} trials have ended; the same command goes on."]
    return [f"All {len(ended)} trials have ended."]


def _ahead(own: Sequence[TrialView], sign: int) -> list[str]:
    judged = [(each, best) for each in own if (best := _chosen_score(each)) is not None]
    if not judged:
        return []
    trial, score = max(judged, key=lambda pair: sign * pair[1])
    settings = params_in_words(trial.params)
    return [f"Trial {trial.name} is ahead with {score:.1f} at step {trial.chosen}: {settings}."]


def _what_follows(state: StudyState, scores: Scores | None) -> list[str]:
    if scores is not None:
        return [f"An earlier run chose trial {scores.choice.training} at step {scores.choice.step}."]
    if state == "running":
        return ["The best few are judged again with fresh seeds and prompts when all have ended; then one is chosen."]
    return []


def _chosen_score(trial: TrialView) -> float | None:
    score = next((each.score for each in trial.evaluations if each.step == trial.chosen), None)
    return score if score is not None and math.isfinite(score) else None


def _aim(metric: str) -> Aim:
    return next((aim for aim in AIMS.values() if aim.metric == metric), AIMS["style"])
