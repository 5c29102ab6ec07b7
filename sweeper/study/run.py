"""Runs one study from its overrides to `best/`: checks first, then search, training and choice, then a clean end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from eval.models import check_models
from eval.prompts import check_prompts
from foundation.bases.folder import known_prediction
from foundation.bases.registry import check_base
from foundation.command import EXIT_INTERRUPTED
from foundation.console import say
from foundation.data.buckets import Cut
from foundation.data.dataset import Dataset, load_dataset, with_folders
from foundation.data.spec import Views
from foundation.errors import ConfigError, StudyError, first_line
from foundation.files.cache_use import noting_uses
from foundation.files.durable import temporaries_below
from foundation.json_output import give, note_error
from foundation.secrets import redact
from sweeper.best import result_of
from sweeper.clean import clear_after_kills
from sweeper.forecast.at_most import forecast_words
from sweeper.forecast.at_start import forecasting
from sweeper.launchers import LAUNCHERS
from sweeper.launchers.port import Launcher
from sweeper.notify import notify, notify_end, notify_wait
from sweeper.records.config import Config
from sweeper.records.lease import supervising
from sweeper.records.paths import STUDIES, cache_of, trainings_of
from sweeper.records.trials import Resolved
from sweeper.results.finalists import select_best
from sweeper.search.database import DATABASE_ERRORS, Database, config_of, database_of, ranking_of
from sweeper.search.dimension import Params, Value
from sweeper.search.earlier import read_earlier
from sweeper.search.narrowing import changes, differences, narrow
from sweeper.search.recipes import recipes_in
from sweeper.search.sampling import words_on_sampler
from sweeper.search.server import Server
from sweeper.search.space import Plan
from sweeper.search.study import Search
from sweeper.study.audit import audit, audit_words
from sweeper.study.display import Display
from sweeper.study.finished import forget_finished, note_finished
from sweeper.study.fleet import Fleet
from sweeper.study.last_page import leave_page
from sweeper.study.lost import refuse_lost_trials, why_no_best, words_on_unchecked
from sweeper.study.probe import probe_rates
from sweeper.study.prompts import with_prompts
from sweeper.study.reruns import as_rerun
from sweeper.study.stages import StudyStages
from sweeper.study.stopping import Stop, stoppable
from sweeper.study.study_file import STUDY_FILE, read_identity, to_yaml, write_study
from sweeper.study.supervisor import Supervisor
from sweeper.study.taste import keep_taste, plan_by_taste, words_on_taste
from sweeper.study.time_left import TimeLeft
from sweeper.tracking import open_tracker
from sweeper.tracking.port import Tracker
from sweeper.tracking.together import TrackersTogether
from train.drawn import with_drawn_folder
from train.objective import check_objectives
from train.spec import check_class

NO_BEST: Final = 1
"""Exit code when all trials have ended and none left a checkpoint."""
BEHIND: Final = 3
"""Exit code when all is done, but MLflow does not show all of it."""
_ENDS: Final = {NO_BEST: "failed: it has no best", EXIT_INTERRUPTED: "was stopped, and can go on"}
_GRACE_S: Final = 120.0


def run_study(overrides: Sequence[str], listener: Tracker | None = None, *, ends_process: bool = True) -> int:
    """Run or resume the study that Hydra's overrides describe; the exit code.

    `listener` sees what the tracker is shown, when it happens. A second Ctrl-C `ends_process`, without tidying up.

    Raises:
        UserError: bad input; then nothing was started and nothing written but drawn pictures in the cache. Also when
            the disk is full or a database is lost on the way; what was learned until then is kept.
    """
    try:
        with stoppable(say) as stop:
            code = _run_study(overrides, stop, listener)
            if ends_process:
                stop.leave(code)
            return code
    except (OSError, *DATABASE_ERRORS) as error:
        said = first_line(error)
        notify("sweeper: a study failed", said)
        raise StudyError(f"the study cannot go on: {said}; put that right, and the same command goes on") from error
    except Exception as error:
        notify("sweeper: a study failed", first_line(error))
        raise


def _run_study(overrides: Sequence[str], stop: Stop, listener: Tracker | None) -> int:
    request = plan_by_taste(overrides)
    database = database_of(request.config.study, notify_wait)
    request, first = _narrow(request, database)
    recipes = recipes_in(request)
    server = database if isinstance(database, Server) else None
    first, earlier = [*first, *recipes.first], read_earlier(request, STUDIES, server)
    missing = _check(request)
    study, tracking = request.config.study, request.config.tracking
    folder = Path(study.folder) / study.name
    with ExitStack() as stack:
        if server:
            stack.enter_context(server.use())
        if not tracking.in_our_files:  # what a person named may be wrong; a database of our own is made on the way
            tracker = open_tracker(tracking, folder.parent)
            stack.callback(tracker.close)
        config, dataset = prepare(request)
        if server:
            stack.enter_context(server.supervising(study.name))
        stack.enter_context(supervising(folder, notify_wait))
        forget_finished(folder)
        clear_after_kills(folder)
        stack.enter_context(temporaries_below(folder))
        search = Search.open(request.config, request.space, database, dataset.fingerprint, first, earlier.evidence)
        refuse_lost_trials(folder, database, search.has_trials, search.ended_trials())
        stack.enter_context(noting_uses(folder, and_before=True))
        identity = search.identity(read_identity(folder / STUDY_FILE))
        write_study(folder, request, identity, overrides)
        keep_taste(request)
        words_on_memory = stack.enter_context(forecasting(request, config))
        launcher = stack.enter_context(_start_workers(request, config, search))
        if tracking.in_our_files:
            tracker = open_tracker(tracking, folder.parent)
        tracker = TrackersTogether(tracker, [listener]) if listener else tracker
        display = Display(config.study.name, config.study.num_trials, config.train.num_steps, TimeLeft.of(config))
        resolve, fleet = partial(_resolve, request, dataset), Fleet(config, launcher, display.line)
        supervisor = Supervisor(config, folder, search, tracker, launcher, display, resolve, fleet=fleet)
        stages = StudyStages(folder, fleet.stages, lambda: trainings_of(folder).values())
        stop.say, stop.hurry = display.line, launcher.hurry
        if server:
            server.patience.say = partial(notify_wait, say_it=display.line)

        def run() -> object:
            params = {"data.kind": config.data.kind, **request.space.fingerprint()}
            tracker.start_study(config.study.name, identity, params, (folder / STUDY_FILE).read_text())
            notes = (*_notes(request, config, dataset, missing), *recipes.notes, *earlier.notes)
            display.line(*notes, *words_on_unchecked(folder), *words_on_memory())
            probe_rates(config, request.space, search, first, resolve, supervisor, display, folder)
            supervisor.run()
            chosen = select_best(supervisor, tracker, display, folder, config, dataset, stages.total)
            took, audited = stages.total(), audit(supervisor.trials.values(), config.study.sign)
            tracker.log_study({**took.metrics(), **(audited.metrics() if audited else {})})
            display.line(*audit_words(audited, config.study), str(took))
            return chosen

        code = _run_guarded(run, supervisor, tracker, display, stop, config)
        if code != EXIT_INTERRUPTED:
            leave_page(folder, database)
        _tell_end(request, folder, code, tracker)
        return code


def _tell_end(request: Plan, folder: Path, code: int, tracker: Tracker) -> None:
    """Tidy up, tell whoever wants to know, and note that a study is finished unless something is left to do or show."""
    clear_after_kills(folder)  # workers may have died on the way
    give(**result_of(folder))
    if code == 0 and not tracker.num_lost:
        note_finished(request)
    notify_end(folder, _ENDS.get(code, "is finished"))


def _narrow(request: Plan, database: Database) -> tuple[Plan, list[Params]]:
    """The plan in the space around an earlier study's best trials, where one is named, and those trials."""
    study = request.config.study
    if study.narrow_from is None:
        return request, []
    if study.narrow_from == study.name:
        raise StudyError(f"study.narrow_from is the study itself; give this one another study.name than {study.name}")
    space, first = narrow(request.space, ranking_of(study.narrow_from, database, study.direction))
    num_trials = space.num_points(at_most=study.num_trials)
    first = first[:num_trials]
    say(f"study.narrow_from={study.narrow_from} {changes(request.space, space, len(first))}")
    searched = {dimension.key for dimension in request.space.dimensions}
    before = config_of(study.narrow_from, database)
    say(*differences(study.narrow_from, before, request.config.fingerprint(), searched))
    config = replace(request.config, study=replace(study, num_trials=num_trials))
    return replace(request, config=config, space=space), first


def _notes(request: Plan, config: Config, dataset: Dataset, missing: Sequence[str]) -> Iterator[str]:
    """What a person should know before the study begins, one line each; `missing` says which devices are not there."""
    yield from (f"{line}; the others go on" for line in missing)
    yield from dataset.notes(config.base.resolution)
    if len(config.eval.prompts) == 1:
        yield (
            "there is one prompt to judge by, so errors cannot be estimated and no fall of the score is sure; "
            "name more by eval.prompts=['…','…']"
        )
    yield from words_on_taste(request)
    yield from words_on_sampler(config.study, request.space)
    yield config.train.epoch_of(dataset.counts(config.base.resolution))
    yield forecast_words(config)
    if epochs := request.config.train.epochs:
        yield f"{epochs:g} epochs are {config.train.num_steps} steps"


def _run_guarded(
    run: Callable[[], object],
    supervisor: Supervisor,
    tracker: Tracker,
    display: Display,
    stop: Stop,
    config: Config,
) -> int:
    """Search and choose; whatever happens, workers save and end, and no run is left open."""
    status, reason, code = "failed", "", 0
    with display:
        try:
            if run() is None:
                reason = why_no_best(list(supervisor.trials.values()))
                _complain(display, reason)
                code = NO_BEST
            else:
                status = "finished"
        except KeyboardInterrupt:
            display.stopping()
            why = stop.reason or "stopped"  # by a callback
            _complain(
                display,
                f"{why}: every trial saves its state; the same command goes on from here (Ctrl-C again ends at "
                "once; then trials go on from their last evaluation)",
            )
            status, reason = "interrupted", f"{why}; the same command goes on"
            code = EXIT_INTERRUPTED
        except Exception as error:
            reason = redact(str(error).strip()) or type(error).__name__
            raise
        finally:
            stop.begin()
            supervisor.shut_down(_GRACE_S)
            tracker.end_study(status, reason)  # type: ignore[arg-type]  # one of its literals, chosen above
            tracker.close(hurried=lambda: stop.hurried)
            if tracker.num_lost:
                _complain(
                    display,
                    f"{config.tracking.title} is behind: {tracker.num_lost} records could not be shown there, though "
                    f"the files in {Path(config.study.folder) / config.study.name} are complete; once the store works "
                    f"again, the same command shows them, and so does `sweeper track {config.study.name}`",
                )
    return code or (BEHIND if tracker.num_lost else 0)


def _complain(display: Display, words: str) -> None:
    display.line(words)
    note_error(words)  # why the exit code is not 0


def _check(request: Plan) -> tuple[str, ...]:
    """Refuse what can be seen to be wrong before anything is written; a line for each device that is not there.

    Raises:
        UserError: it is.
    """
    config = request.config
    missing = tuple(LAUNCHERS[config.launcher.name].check(config.launcher))
    trains_text = bool(request.space.largest("adapter.text_encoder", config.adapter.text_encoder))
    check_base(config.base, trains_text=trains_text)
    predicts = known_prediction(config.base)
    if predicts is not None:
        check_objectives(request.objectives, predicts)
    check_class(request.objectives, config.data.trigger, config.data.class_word)
    check_models(config.eval)
    Cut.of(config.data).sizes(config.base.resolution)
    check_prompts(config.eval.final_prompts, config.data.trigger, "eval.final_prompts")
    if config.eval.prompts:
        check_prompts(config.eval.prompts, config.data.trigger, "eval.prompts")
    return missing


def prepare(request: Plan) -> tuple[Config, Dataset]:
    """The config that workers get, its data drawn and read once so that mistakes show before anything starts."""
    config = request.config
    drawn = config.data.path is None
    cache = cache_of(Path(config.study.folder))
    config = replace(config, data=with_folders(with_drawn_folder(config.data, cache), cache))
    dataset = load_dataset(config.data)
    if not drawn:
        dataset_path = Path(config.data.path or "").resolve()
        config = replace(config, data=replace(config.data, path=str(dataset_path)))
    config = _in_steps(config, dataset, config.data.views)
    config = with_prompts(config.with_objectives_measured(), dataset)
    if config.train.lasts and config.train.compile_rank is None:
        largest = request.space.largest("adapter.rank", config.adapter.rank)
        config = replace(config, train=replace(config.train, compile_rank=largest))
    return config, dataset


def _resolve(request: Plan, dataset: Dataset, params: Mapping[str, object]) -> Resolved:
    values: dict[str, Value] = {name: value for name, value in params.items() if _is_value(value)}  # type: ignore[misc]
    config = as_rerun(_in_steps(request.trial(values), dataset, request.config.data.views), values)
    return Resolved(spec=config.trial, yaml=to_yaml(config))


def _in_steps(config: Config, dataset: Dataset, views: Views) -> Config:
    """The config with epochs as steps, those of `dataset` that was read with the study's `views`."""
    counts = dataset.seen_as(views, config.data.views).counts(config.base.resolution)
    try:
        return replace(config, train=config.train.for_images(counts))
    except ValueError as error:  # fewer steps than eval.every
        images = f"{config.train.epochs} epochs of {sum(counts)} images"
        raise ConfigError([f"{line} (train.epochs: {images})" for line in str(error).splitlines()]) from error


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


@contextmanager
def _start_workers(request: Plan, config: Config, search: Search) -> Iterator[Launcher]:
    """Let the workers load, which takes them a while, as soon as it is known that there is work; end them after."""
    launcher = LAUNCHERS[config.launcher.name](config, request.objectives)
    try:
        if search.running() or search.num_finished < config.study.num_trials:
            for number in range(len(launcher.devices)):
                launcher.start(number)
        yield launcher
    finally:
        launcher.shut_down(0.0)
