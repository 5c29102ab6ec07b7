"""The winner of a study as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from eval.aims import AIMS, Aim
from eval.diagnosis import Diagnosis
from eval.evaluation import OF_THE_BASE, Evaluation
from eval.metrics.registry import metrics_with
from eval.strength import AS_TRAINED
from sweeper.records.costs import Costs
from sweeper.results.pareto import Front
from sweeper.results.repeats import Repeats
from sweeper.study.stages import Stages

_SCORE: Final = "the study's objective; 0 is the base, 100 what cannot be told from real pictures of {}"
_OVERFIT_INDEX: Final = "0 clean … 1 overfit"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSummary:
    """One trial as the card's table shows it."""

    number: int
    params: Mapping[str, object]
    """What was searched, dotted name to value."""
    status: str
    """finished, pruned, failed, running …"""
    score: float | None
    """Its best checkpoint's, as the search has it; None without any."""
    step: int | None
    """Where that checkpoint is."""
    reason: str
    """Why it ended."""
    diagnosis: Diagnosis | None = None
    """What its course says about its settings."""
    costs: Costs = field(default_factory=Costs)
    """What it took."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What won, in short."""

    number: int
    """The training: a trial's number, or that of a rerun of it."""
    step: int
    """Its training steps."""
    strength: float
    """The LoRA scale to use it at."""
    evaluation: Evaluation
    """The judgement that decided, at this strength; of a refit that of the training that it is a refit of."""
    finalists: Mapping[int, float]
    """Trial to its score with fresh seeds, as trained, of those that were scored again; NaN where it has none."""
    within_noise: str = ""
    """Says that it may be no better than the base; empty where it surely is."""
    settings: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Of finalists that were trained several times, by number: mean score and spreads, see `Repeats.numbers`."""
    lead: str = ""
    """Says whether it is surely better than the other finalists, or which are alike."""
    made_of: str = ""
    """Of a blend, which checkpoints it is the average of; empty for what was trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Winner:
    """What won, and all that its card tells."""

    study: str
    number: int
    """The training: a trial's number, or that of a rerun of it."""
    step: int
    """The checkpoint's training steps."""
    checkpoint: Path
    """Its folder, with `WEIGHTS`."""
    config: str
    """The trial's resolved config as YAML."""
    evaluation: Evaluation
    """The judgement that decided, with fresh seeds."""
    base_metrics: Mapping[str, float] = field(default_factory=dict)
    """The base's own values, as they were measured."""
    metrics: Sequence[str] = ()
    """Metrics of packages that it was judged by, too."""
    chosen_from: str
    """Says what was chosen from, and how: while that stays the same, so does the winner."""
    made_of: str = ""
    """Of a blend, which checkpoints it is the average of; empty for what was trained."""
    how_chosen: str
    """A sentence or two: among what, by what."""
    contact_sheet: Image.Image
    base: str
    """What `DiffusionPipeline.from_pretrained` takes: a hub id or a folder."""
    trigger: str
    """Phrase that calls up what was learnt; empty for none."""
    prompt: str
    """A prompt to try, trigger included."""
    resolution: int
    sample_steps: int
    guidance_scale: float
    params: Mapping[str, object]
    """What was searched, dotted name to the winner's value."""
    trials: Sequence[TrialSummary]
    """All trials of the study, by number."""
    finalists: Mapping[int, float] = field(default_factory=dict)
    """Trial to its score with fresh seeds, of those that were scored again."""
    settings: Sequence[Repeats] = ()
    """The finalists' settings with the trainings of each, the best first."""
    refit_words: str = ""
    """What came of training it again on all pictures; empty where that was not done."""
    front: Front | None = None
    """The Pareto front, in a study of several objectives."""
    strength: float = AS_TRAINED
    """The LoRA scale to use it at; `evaluation` is what it was judged at this."""
    tried: Mapping[float, Evaluation] = field(default_factory=dict)
    """Its judgements at every strength that was tried, of the same prompts and seeds; none where none was."""
    interval: tuple[float, float] = (math.nan, math.nan)
    """In which the score lies with 95 % confidence, as far as prompts go; NaN with one prompt."""
    in_trial: Evaluation | None = None
    """The same checkpoint's judgement in its own trial, by which trials are ranked."""
    strength_words: str = ""
    """Why this strength."""
    within_noise: str = ""
    """Says that it may be no better than the base; empty where it surely is."""
    lead: str = ""
    """Says whether it is surely better than the other finalists, or which are alike."""
    audit_words: str = ""
    """What pruning cost, as far as audited trials tell; empty without any."""
    stages: Stages | None = None
    """What the study took so far."""
    strength_sheet: Image.Image | None = None
    by_hand: str = ""
    """The day on which a person chose it; empty where the judge did."""
    finalists_sheet: Image.Image | None = None
    """The base and the finalists side by side; None for one finalist."""


def measures(chosen: Sequence[str] = (), aim: Aim = AIMS["style"]) -> dict[str, str]:
    """The measures that a card shows, in its order, and how to read each; `chosen` are metrics of packages."""
    shown = {name: metric.description for name, metric in metrics_with(chosen).items() if metric.direction}
    return {"score": _SCORE.format(aim.thing), "overfit_index": _OVERFIT_INDEX, **shown}


def base_metrics(winner: Winner) -> dict[str, float]:
    """The base's own numbers by `measures`' names: those that it has by definition, and those that were measured."""
    metrics = metrics_with(winner.metrics)
    defined = {name: metric.base_value for name, metric in metrics.items() if metric.base_value is not None}
    return {"score": OF_THE_BASE, "overfit_index": 0.0, **defined, **winner.base_metrics}
