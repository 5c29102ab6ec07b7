"""Has workers probe a new study's learning rates, and tells the search where to draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from foundation.files.durable import write_json
from sweeper.records.config import Config
from sweeper.records.messages import Probe, Probed
from sweeper.records.trials import Resolved
from sweeper.search.dimension import Params, Space
from sweeper.search.probe import Ladder, finding_of, ladders
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.supervisor import Supervisor
from train.spec import LrSchedulerSpec, TrialSpec

FILE: Final = "probe.json"


def probe_rates(
    config: Config,
    space: Space,
    search: Search,
    known: Sequence[Params],
    resolve: Callable[[Mapping[str, object]], Resolved],
    supervisor: Supervisor,
    display: Display,
    folder: Path,
) -> None:
    """Move the ranges of learning rates in `space` to where the base learns most, before the first trial of `search`.

    `config` is the study's, in `folder`, which keeps what was measured; `known` are good points of the space; `resolve`
    completes what a ladder leaves open; the workers of `supervisor` train, `display` says what came of it.
    """
    num_steps = config.train.num_steps
    found = [] if search.has_trials else ladders(space, config.study, num_steps, known)
    if not found:
        return
    total = sum(len(each.points) * each.steps for each in found)
    display.line(f"probing learning rates by {total} steps (study.probe={config.study.probe})")
    questions = [Probe(specs=tuple(_spec(resolve(point).spec, each) for point in each.points)) for each in found]
    answers = [each for each in supervisor.answers(questions, trains=True) if isinstance(each, Probed)]
    findings = [
        finding_of(ladder, answer.losses, answer.base, num_steps) for ladder, answer in zip(found, answers, strict=True)
    ]
    kept = [_record(ladder, answer) for ladder, answer in zip(found, answers, strict=True)]
    write_json(folder / FILE, {"base_loss": _mean(answers[0].base), "ladders": kept})
    search.move({each.name: (each.low, each.high) for each in findings})
    display.line(*(each.words for each in findings))


def _spec(spec: TrialSpec, ladder: Ladder) -> TrialSpec:
    """A rung's training: flat, so that it shows its rate and no curve."""
    train = replace(spec.train, steps=ladder.steps, stop_after=None)
    return replace(spec, train=train, lr_scheduler=LrSchedulerSpec(name="constant"))


def _record(ladder: Ladder, answer: Probed) -> dict[str, object]:
    losses = [_mean(own) for own in answer.losses]
    return {"name": ladder.dimension.name, "steps": ladder.steps, "rates": list(ladder.rates), "losses": losses}


def _mean(losses: Sequence[float]) -> float | None:
    """None of a training that could not go on."""
    return sum(losses) / len(losses) if losses else None
