"""Chooses the winner among the finalists, and leaves it in `best/`, in the registry and on the terminal."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from eval.evaluation import Evaluation, value_of
from eval.prompts import with_trigger
from foundation.bases.folder import base_location
from foundation.data.dataset import Dataset
from foundation.files.sums import damage
from sweeper.records.config import Config
from sweeper.records.history import read_config
from sweeper.records.messages import Rescored
from sweeper.records.paths import best_of
from sweeper.records.trials import Trial
from sweeper.results.best_files import dashboard_command, files_of
from sweeper.results.final_sheets import FRESH_SEEDS_FROM, WINNER_PROMPTS, finalists_sheet, winner_sheet
from sweeper.results.lead import Lead, lead_in_words, lead_over_base
from sweeper.results.nearest import real_pictures
from sweeper.results.pareto import front_of
from sweeper.results.report import read_chosen, write_best
from sweeper.results.sheets import Real
from sweeper.results.strength import AS_TRAINED
from sweeper.results.strength_search import Found, draw_sheet, find_strength
from sweeper.results.winner import Chosen, TrialSummary, Winner
from sweeper.study.display import Display, describe_params
from sweeper.study.lost import lost_checkpoint
from sweeper.study.rescoring import question, rescore
from sweeper.study.supervisor import Supervisor
from sweeper.tracking.port import Tracker


def select_best(
    supervisor: Supervisor, tracker: Tracker, display: Display, folder: Path, config: Config, dataset: Dataset
) -> Chosen | None:
    """Score the finalists again on fresh ground, find the winner's strength, write `best/`, register it, say so.

    `supervisor` has the ended trials of `config` and its workers judge; `best/` is in the study's `folder`, with real
    pictures of `dataset` on its sheets; `tracker` registers, `display` says. None when no trial left a checkpoint.
    """
    best = best_of(folder)
    if words := damage(best):
        display.line(f"{words}; the best is made again from the trials' checkpoints")
    finalists = choose_finalists(_candidates(supervisor), config.study.finalists)
    digest = _digest(_in_order(supervisor), finalists, config)
    if finalists and not read_chosen(best, digest):  # what was chosen before needs no checkpoint any more
        finalists = _readable_finalists(supervisor, config.study.finalists, display)
        digest = _digest(_in_order(supervisor), finalists, config)
    if not finalists:
        return None
    if chosen := read_chosen(best, digest):
        display.line(f"nothing is new since the best was chosen; without {best} it would be chosen anew")
    else:
        chosen = _choose(supervisor, display, best, finalists, digest, config, dataset)
    evaluation, params = chosen.evaluation, supervisor.trials[chosen.number].params
    register = config.tracking.register
    is_champion = register == "always" or (register == "better" and not chosen.within_noise)
    description = describe_params({**params, "strength": chosen.strength})
    numbers = {**evaluation.numbers, "strength": chosen.strength}  # as its card has them
    said = tracker.register_champion(best, chosen.number, numbers, chosen.finalists, description, register=is_champion)
    registered = f", champion is version {said} of {config.tracking.model}" if said else ""
    display.line(
        f"best: trial {chosen.number} at step {evaluation.step}, to be used at strength {chosen.strength:g}, "
        f"with score {evaluation.score:.1f} ({describe_params(params)}){registered}"
    )
    if chosen.within_noise:
        unregistered = (
            "; it is not registered as champion (tracking.register=always does so)" if not is_champion else ""
        )
        display.line(f"{chosen.within_noise}{unregistered}")
    display.line(f"it is in {best}")
    display.line(*files_of(best))
    display.line(f"all trials, their curves and pictures: {dashboard_command(folder.parent)}")
    return chosen


def _in_order(supervisor: Supervisor) -> list[Trial]:
    return [supervisor.trials[number] for number in sorted(supervisor.trials)]


def _digest(trials: Sequence[Trial], finalists: Sequence[Trial], config: Config) -> str:
    """A digest of all that the choice hangs on and its card tells."""
    ended = [(trial.number, trial.status, trial.reason, trial.best and trial.best.to_json()) for trial in trials]
    study, judge = config.study, config.eval
    how = [[trial.number for trial in finalists], study.finalists, study.strengths, judge.final_prompts, study.name]
    how += judge.metrics
    words = json.dumps([ended, how, config.fingerprint()], sort_keys=True, default=str)
    return hashlib.sha256(words.encode()).hexdigest()


def _choose(
    supervisor: Supervisor,
    display: Display,
    best: Path,
    finalists: list[Trial],
    digest: str,
    config: Config,
    dataset: Dataset,
) -> Chosen:
    """Ask the workers, and leave the winner in `best`."""
    display.finale()
    seeds = tuple(range(FRESH_SEEDS_FROM, FRESH_SEEDS_FROM + 2 * len(config.eval.seeds)))
    names = ", ".join(str(trial.number) for trial in finalists)
    display.line(f"scoring trials {names} again with {len(seeds)} fresh seeds a prompt")
    rescored = _rescore(supervisor, finalists, seeds)
    winner = choose_winner(finalists, rescored)
    found, sheet = _strength(supervisor, display, winner, rescored[winner.number], seeds, config)
    lead = lead_over_base(found.final.evaluation, found.final.base)
    reals = real_pictures(_prompts(config)[:WINNER_PROMPTS], dataset)
    write_best(best, _winner(supervisor, winner, rescored, found, lead, sheet, reals, digest, config))
    fresh = {number: answer.evaluation.score for number, answer in rescored.items()}
    return Chosen(winner.number, found.strength, found.final.evaluation, fresh, lead_in_words(lead))


def _rescore(supervisor: Supervisor, finalists: list[Trial], seeds: tuple[int, ...]) -> dict[int, Rescored]:
    questions = [question(trial, trial.best.step, seeds, seeds) for trial in finalists if trial.best]
    return {answer.trial: answer for answer in rescore(supervisor, questions)}


def _strength(
    supervisor: Supervisor, display: Display, trial: Trial, final: Rescored, seeds: tuple[int, ...], config: Config
) -> tuple[Found, Image.Image | None]:
    """The winner's best strength with its sheet; as trained, and no sheet, where the study asks for none."""
    if not config.study.strengths:
        return Found(strength=AS_TRAINED, final=final, tried={}, words=""), None
    display.line(f"trying trial {trial.number} at strengths {', '.join(f'{s:g}' for s in config.study.strengths)}")
    found = find_strength(supervisor, trial, final, seeds, config)
    sheet = draw_sheet(supervisor, trial, found, seeds[0], _prompts(config), config)
    display.line(found.words)
    return found, sheet


def choose_finalists(trials: list[Trial], count: int) -> list[Trial]:
    """The best finished trials; when none finished, the best of those that left a checkpoint at all."""
    finished = [trial for trial in trials if trial.status == "finished" and trial.best]
    candidates = finished or [trial for trial in trials if trial.best]
    return sorted(candidates, key=_rank)[:count]


def _candidates(supervisor: Supervisor) -> list[Trial]:
    return supervisor.front or _in_order(supervisor)


def _readable_finalists(supervisor: Supervisor, count: int, display: Display) -> list[Trial]:
    """As `choose_finalists`; those whose checkpoint was lost or damaged since are trained again, once."""
    given_up: set[int] = set()
    while True:
        finalists = choose_finalists([each for each in _candidates(supervisor) if each.number not in given_up], count)
        problems = {trial.number: problem for trial in finalists if (problem := lost_checkpoint(trial))}
        if not problems:
            return finalists
        for number in problems:
            if number in supervisor.trained_again:
                display.line(f"trial {number} cannot be a finalist: {problems[number]}")
                given_up.add(number)
        supervisor.train_again({number: words for number, words in problems.items() if number not in given_up})


def _rank(trial: Trial) -> tuple[bool, float, int]:
    assert trial.best is not None
    return not trial.is_clean(trial.best), -value_of(trial.best), trial.number


def choose_winner(finalists: list[Trial], rescored: Mapping[int, Rescored]) -> Trial:
    """The finalist with the best fresh score, a clean one before any other."""

    def rank(trial: Trial) -> tuple[bool, float, int]:
        evaluation = rescored[trial.number].evaluation
        return not trial.is_clean(evaluation), -value_of(evaluation), trial.number

    return min(finalists, key=rank)


def _prompts(config: Config) -> list[str]:
    """What finalists are drawn with."""
    prompts = config.eval.for_finalists(config.eval.seeds).prompts
    return [with_trigger(prompt, config.data.trigger) for prompt in prompts]


def _winner(
    supervisor: Supervisor,
    trial: Trial,
    rescored: Mapping[int, Rescored],
    found: Found,
    lead: Lead,
    strength_sheet: Image.Image | None,
    reals: Sequence[Real],
    digest: str,
    config: Config,
) -> Winner:
    final, prompts = found.final, _prompts(config)
    trials, front = _in_order(supervisor), supervisor.front
    return Winner(
        study=config.study.name,
        number=trial.number,
        step=final.evaluation.step,
        checkpoint=trial.checkpoint(final.evaluation.step),
        config=read_config(trial.folder),
        evaluation=final.evaluation,
        base_metrics=final.base.metrics,
        metrics=config.eval.metrics,
        chosen_from=digest,
        how_chosen=how_chosen(trial, rescored, final.evaluation, config.study.objectives if front else (), config),
        contact_sheet=winner_sheet(trial, found, prompts, reals, config),
        interval=(lead.low, lead.high),
        in_trial=trial.best,
        base=base_location(config.base),
        trigger=config.data.trigger,
        prompt=prompts[0],
        resolution=config.base.resolution,
        sample_steps=config.base.sample_steps,
        guidance_scale=config.base.guidance_scale,
        params=trial.params,
        trials=[_summary(each) for each in trials],
        finalists={number: each.evaluation.score for number, each in rescored.items()},
        front=front_of(front, trials, trial, config.study),
        strength=found.strength,
        tried={strength: each.evaluation for strength, each in found.tried.items()},
        strength_words=found.words,
        within_noise=lead_in_words(lead),
        strength_sheet=strength_sheet,
        finalists_sheet=finalists_sheet(trials, trial, rescored, prompts, reals, config),
    )


def how_chosen(
    trial: Trial, rescored: Mapping[int, Rescored], final: Evaluation, objectives: Sequence[str], config: Config
) -> str:
    """In words, also why a finalist whose fresh score may be higher did not win.

    `final` is the winner's evaluation at its strength; `objectives` are those of the front that finalists lie on.
    """
    fresh = (
        "fresh seeds on prompts that no trial saw" if config.eval.final_prompts else "fresh seeds on the same prompts"
    )
    said = ["Of each trial the clean checkpoint with the best score counts, or an earlier one that is as good."]
    if objectives:
        said.append(f"Finalists are the best by score on the Pareto front of {', '.join(objectives)}.")
    evaluations = {number: each.evaluation for number, each in rescored.items()}
    own = evaluations.pop(trial.number)
    if evaluations:
        several = ", ".join(map(str, (trial.number, *evaluations)))
        best = "clean" if trial.is_clean(own) else "fresh"
        said.append(f"Trials {several} were scored again with {fresh}, and the best {best} score won.")
    else:
        said.append(f"It was the only one to choose from; its score was taken again with {fresh}.")
    if trial.is_clean(own):
        fallen = {number: each.words for number, each in evaluations.items() if not trial.is_clean(each)}
        said += [f"Trial {number} was not clean any more: {words}." for number, words in fallen.items()]
    if not trial.is_clean(final):
        said.append("No finalist was free of signs of overfit; this is the least bad.")
    if evaluations:
        said.append(_lead_over_second(own, evaluations))
    return " ".join(said)


def _lead_over_second(own: Evaluation, others: Mapping[int, Evaluation]) -> str:
    """Whether the winner is surely better than the next finalist, all as trained."""
    second = max(others, key=lambda number: value_of(others[number]))
    lead = lead_over_base(own, others[second])
    if not math.isfinite(lead.low):
        return f"Its lead over trial {second} is {lead.points:+.1f} points; how sure that is one prompt cannot tell."
    sure = "surely better" if lead.low > 0 else "not surely better: the two may change places with other prompts"
    return (
        f"Its lead over trial {second} is {lead.points:+.1f} points (95 % interval {lead.low:+.1f} to "
        f"{lead.high:+.1f}, paired over {lead.prompts} prompts with the same seeds), so it is {sure}."
    )


def _summary(trial: Trial) -> TrialSummary:
    best = trial.best
    return TrialSummary(
        number=trial.number,
        params=trial.params,
        status=trial.status,
        score=best.score if best else None,
        step=best.step if best else None,
        reason=trial.reason,
        diagnosis=trial.diagnosis,
    )
