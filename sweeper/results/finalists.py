"""Chooses the winner among the finalists, and leaves it in `best/`, in the registry and on the terminal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from eval.evaluation import value_of
from eval.prompts import with_trigger
from eval.strength import AS_TRAINED
from foundation.bases.folder import base_location
from foundation.data.dataset import Dataset
from foundation.files.sums import damage
from foundation.pictures.sheets import Real
from sweeper.records.config import Config
from sweeper.records.history import costs_in_all, read_config
from sweeper.records.messages import Rescored
from sweeper.records.paths import best_of
from sweeper.records.trainings import Training, name_of
from sweeper.records.trials import Trial
from sweeper.results.again import readable, train_repeats
from sweeper.results.best_files import dashboard_command, files_of
from sweeper.results.blends import blends_of
from sweeper.results.champion import becomes_champion, show_best
from sweeper.results.final_sheets import WINNER_PROMPTS, finalists_sheet, winner_sheet
from sweeper.results.fresh import Fresh, fresh_seeds, judge_afresh
from sweeper.results.how_chosen import how_chosen
from sweeper.results.lead import Lead, lead_in_words, lead_over_base
from sweeper.results.nearest import real_pictures
from sweeper.results.pareto import front_of
from sweeper.results.refit import Refit, judge_refit, train_refit
from sweeper.results.report import read_chosen, write_best
from sweeper.results.strength_search import Found, draw_sheet, find_strength
from sweeper.results.winner import Chosen, TrialSummary, Winner
from sweeper.study.audit import audit
from sweeper.study.display import Display, describe_params
from sweeper.study.stages import Stages
from sweeper.study.supervisor import Supervisor
from sweeper.study.trial_end import prune_checkpoints, record_of, with_audit
from sweeper.tracking.port import Tracker


def select_best(
    supervisor: Supervisor,
    tracker: Tracker,
    display: Display,
    folder: Path,
    config: Config,
    dataset: Dataset,
    took: Callable[[], Stages] = Stages,
) -> Chosen | None:
    """Score the finalists again on fresh ground, find the winner's strength, write `best/`, register it, say so.

    `supervisor` has the ended trials of `config` and its workers judge; `best/` is in the study's `folder`, with real
    pictures of `dataset` on its sheets; `took` says what the study took so far; `tracker` registers, `display` says.
    None when no trial left a checkpoint.
    """
    best = best_of(folder)
    if words := damage(best):
        display.line(f"{words}; the best is made again from the trials' checkpoints")
    finalists = _finalists(_in_order(supervisor), supervisor, config)
    others = train_repeats(supervisor, finalists, folder, config, display)
    digest = _digest(_in_order(supervisor), finalists, _in_order(others), config)
    if finalists and not read_chosen(best, digest):  # what was chosen before needs no checkpoint any more
        finalists = readable(supervisor, lambda there: _finalists(there, supervisor, config), display)
        others = train_repeats(supervisor, finalists, folder, config, display)
        repeats = readable(others, list, display) if others else []
        digest = _digest(_in_order(supervisor), finalists, repeats, config)
    if not finalists:
        return None
    if chosen := read_chosen(best, digest):
        display.line(f"nothing is new since the best was chosen; without {best} it would be chosen anew")
        winner = _source(chosen.number, [*_in_order(supervisor), *_in_order(others)])
        train_refit(supervisor, winner, dataset, folder, config, display)  # MLflow may lack it
    else:
        chosen = _choose(supervisor, display, best, [*finalists, *repeats], digest, config, dataset, took)
    params = supervisor.trials[Training.of(chosen.number).trial].settings
    _show_blends(supervisor, tracker, finalists, folder, config)
    is_champion = becomes_champion(chosen, config.tracking.register)
    said = show_best(tracker, best, chosen, params, register=is_champion)
    registered = f", champion is version {said} of {config.tracking.model}" if said else ""
    what = chosen.made_of or f"trial {name_of(chosen.number)} at step {chosen.step}"
    display.line(
        f"best: {what}, to be used at strength {chosen.strength:g}, "
        f"with score {chosen.evaluation.score:.1f} ({describe_params(params)}){registered}"
    )
    if chosen.within_noise:
        unregistered = (
            "; it is not registered as champion (tracking.register=always does so)" if not is_champion else ""
        )
        display.line(f"{chosen.within_noise}{unregistered}")
    display.line(*_spreads(chosen), f"it is in {best}")
    display.line(*files_of(best))
    display.line(f"all trials, their curves and pictures: {dashboard_command(folder.parent)}")
    return chosen


def _source(number: int, trainings: Sequence[Trial]) -> Trial:
    """The training that a refit is a refit of, or a blend begins with; any other itself."""
    own = Training.of(number).source.number
    return next(each for each in trainings if each.number == own)


def _show_blends(
    supervisor: Supervisor, tracker: Tracker, finalists: Sequence[Trial], folder: Path, config: Config
) -> None:
    """Show what was averaged, whichever run did so, and delete of other trials what was kept to be averaged."""
    for each in blends_of(folder, supervisor.trials):
        tracker.end_trial(record_of(each, "finished", each.reason, config))
    for trial in supervisor.trials.values():
        if trial not in finalists:
            prune_checkpoints(trial, config.study.keep)


def _spreads(chosen: Chosen) -> list[str]:
    """How far chance goes, by settings that were trained several times, in lines."""
    lines = [
        f"trial {number}: mean score {each['mean']:.1f}, ± {each['seed_sd']:.1f} from training seed to training seed, "
        f"± {each['prompt_se']:.1f} by the prompts"
        for number, each in chosen.settings.items()
    ]
    return [*lines, *([chosen.lead] if chosen.lead else [])]


def _in_order(supervisor: Supervisor | None) -> list[Trial]:
    return [supervisor.trials[number] for number in sorted(supervisor.trials)] if supervisor else []


def _digest(trials: Sequence[Trial], finalists: Sequence[Trial], repeats: Sequence[Trial], config: Config) -> str:
    """A digest of all that the choice hangs on and its card tells."""
    all_of_them = (*trials, *repeats)
    ended = [(trial.number, trial.status, trial.reason, trial.best and trial.best.to_json()) for trial in all_of_them]
    study, judge = config.study, config.eval
    how = [[trial.number for trial in finalists], study.finalists, study.strengths, judge.final_prompts, study.name]
    how += [study.finalist_rounds, *judge.metrics, *([study.refit] if study.refit != "auto" else [])]
    how += [study.blends] if study.blends else []
    words = json.dumps([ended, how, config.fingerprint()], sort_keys=True, default=str)
    return hashlib.sha256(words.encode()).hexdigest()


def _choose(
    supervisor: Supervisor,
    display: Display,
    best: Path,
    trainings: list[Trial],
    digest: str,
    config: Config,
    dataset: Dataset,
    took: Callable[[], Stages],
) -> Chosen:
    """Ask the workers, and leave the winner in `best`.

    `trainings` are the finalists and their repeats of the study of `config`, whose pictures are `dataset`; `supervisor`
    judges, `display` shows, `digest` is kept, `took` says what it cost.
    """
    display.finale()
    fresh, seeds = judge_afresh(supervisor, display, trainings, config), fresh_seeds(config)
    winner = fresh.winner
    found, sheet = _strength(supervisor, display, winner, fresh.rescored[winner.number], seeds, config)
    lead = lead_over_base(found.final.evaluation, found.final.base)
    source = _source(winner.number, trainings)
    refit = _refit(supervisor, display, source, winner, found, seeds, dataset, best.parent, config)
    reals = real_pictures(_prompts(config)[:WINNER_PROMPTS], dataset)
    made = _winner(supervisor, fresh, found, lead, refit, sheet, reals, digest, config)
    write_best(best, replace(made, stages=took()))
    settings = {each.trial: each.numbers for each in fresh.settings if len(each.scores) > 1}
    within_noise = lead_in_words(lead)
    is_refit = refit is not None and refit.is_chosen
    return Chosen(
        refit.trial.number if refit and is_refit else winner.number,
        refit.step if refit and is_refit else found.final.evaluation.step,
        found.strength,
        found.final.evaluation,
        fresh.scores,
        within_noise,
        settings,
        fresh.lead,
        made.made_of,
    )


def _refit(
    supervisor: Supervisor,
    display: Display,
    source: Trial,
    winner: Trial,
    found: Found,
    seeds: tuple[int, ...],
    dataset: Dataset,
    folder: Path,
    config: Config,
) -> Refit | None:
    """The winner trained again on all pictures of `dataset`, and judged beside it as it was `found`, if that is wanted.

    It is `source` that is trained again: the winner, or what the winner is a blend of. `seeds` are fresh;
    `supervisor`, `display` and `config` are the study's, which is in `folder`.
    """
    others = train_refit(supervisor, source, dataset, folder, config, display)
    there = readable(others, list, display) if others else []
    if not there:
        return None
    (trial,) = there
    display.finale()
    step = found.final.evaluation.step
    refit = judge_refit(supervisor, trial, winner, step, found.strength, seeds, dataset)
    display.line(refit.words)
    return refit


def _strength(
    supervisor: Supervisor, display: Display, trial: Trial, final: Rescored, seeds: tuple[int, ...], config: Config
) -> tuple[Found, Image.Image | None]:
    """The winner's best strength with its sheet; as trained, and no sheet, where the study asks for none."""
    if not config.study.strengths:
        return Found(strength=AS_TRAINED, final=final, tried={}, words=""), None
    display.line(f"trying trial {trial.name} at strengths {', '.join(f'{s:g}' for s in config.study.strengths)}")
    found = find_strength(supervisor, trial, final, seeds, config)
    sheet = draw_sheet(supervisor, trial, found, seeds[0], _prompts(config), config)
    display.line(found.words)
    return found, sheet


def choose_finalists(trials: list[Trial], count: int) -> list[Trial]:
    """The best finished trials; when none finished, the best of those that left a checkpoint at all."""
    finished = [trial for trial in trials if trial.status == "finished" and trial.best]
    candidates = finished or [trial for trial in trials if trial.best]
    return sorted(candidates, key=_rank)[:count]


def _finalists(there: list[Trial], supervisor: Supervisor, config: Config) -> list[Trial]:
    """Of the trials that are there; in a study of several objectives of its front alone."""
    front = supervisor.front
    return choose_finalists([each for each in there if not front or each in front], config.study.finalists)


def _rank(trial: Trial) -> tuple[bool, float, int]:
    assert trial.best is not None
    return not trial.is_clean(trial.best), -value_of(trial.best), trial.number


def _prompts(config: Config) -> list[str]:
    """What finalists are drawn with."""
    prompts = config.eval.for_finalists(config.eval.seeds).prompts
    return [with_trigger(prompt, config.data.trigger) for prompt in prompts]


def _winner(
    supervisor: Supervisor,
    fresh: Fresh,
    found: Found,
    lead: Lead,
    refit: Refit | None,
    strength_sheet: Image.Image | None,
    reals: Sequence[Real],
    digest: str,
    config: Config,
) -> Winner:
    trial, rescored, final, prompts = fresh.winner, fresh.rescored, found.final, _prompts(config)
    trials, front = _in_order(supervisor), supervisor.front
    objectives = config.study.objectives if front else ()
    handed, step, shown = trial, final.evaluation.step, found
    if refit and refit.is_chosen and refit.after:
        handed, step, shown = refit.trial, refit.step, replace(found, final=refit.after)
    is_blend = Training.of(trial.number).is_blend
    return Winner(
        study=config.study.name,
        number=handed.number,
        step=step,
        checkpoint=handed.checkpoint(step),
        config=read_config(handed.folder),
        evaluation=final.evaluation,
        base_metrics=final.base.metrics,
        metrics=config.eval.metrics,
        chosen_from=digest,
        made_of=handed.reason if Training.of(handed.number).is_blend else "",
        how_chosen=how_chosen(
            *(trial, rescored, final.evaluation, objectives, fresh.settings, fresh.comparison, config),
            blends=fresh.blends,
        ),
        contact_sheet=winner_sheet(handed, shown, prompts, reals, config),
        interval=(lead.low, lead.high),
        in_trial=None if is_blend else trial.best,
        base=base_location(config.base),
        trigger=config.data.trigger,
        prompt=prompts[0],
        resolution=config.base.resolution,
        sample_steps=config.base.sample_steps,
        guidance_scale=config.base.guidance_scale,
        params=trial.settings,
        trials=[_summary(each) for each in trials],
        audit_words=found_audit.words if (found_audit := audit(trials, config.study.sign)) else "",
        finalists=fresh.scores,
        settings=fresh.settings,
        refit_words=refit.words if refit else "",
        front=front_of(front, trials, supervisor.trials[Training.of(trial.number).trial], config.study),
        strength=found.strength,
        tried={strength: each.evaluation for strength, each in found.tried.items()},
        strength_words=found.words,
        within_noise=lead_in_words(lead),
        lead=fresh.lead,
        strength_sheet=strength_sheet,
        finalists_sheet=finalists_sheet(fresh.trainings, trial, rescored, prompts, reals, config),
    )


def _summary(trial: Trial) -> TrialSummary:
    best = trial.best
    return TrialSummary(
        number=trial.number,
        params=trial.settings,
        status=trial.status,
        score=best.score if best else None,
        step=best.step if best else None,
        reason=with_audit(trial, trial.reason),
        diagnosis=trial.diagnosis,
        costs=costs_in_all(trial.folder),
    )
