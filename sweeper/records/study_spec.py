"""One search: what `study` in the config says, and when a trial counts as hopeless."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from eval.metrics.registry import Direction
from foundation.config.home import PathText
from foundation.secrets import hide
from sweeper.records.objectives import Objective, direction_of
from sweeper.records.storage import check_storage
from sweeper.records.study_names import check_study_name
from sweeper.records.trainings import MAX_REPEATS

_Positive = Annotated[int, Field(ge=1)]
_Count = Annotated[int, Field(ge=0)]
Keep = Literal["best", "all"]
Blend = Literal["mean", "soup"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PrunerSpec:
    """When a trial counts as hopeless beside the others."""

    name: Literal["median", "wilcoxon", "asha", "hyperband", "none"] = "median"
    """`median`: its best score so far is below the finished trials' median at the same step, and its patience is over.
    `wilcoxon`: its style is significantly behind the best trial's, prompt by prompt, and its patience is over.
    `asha`: successive halving; of those that came as far, only the best share goes on, rising or not.
    `hyperband`: the same in several brackets, which begin to halve at different steps. `none`: never."""
    startup_trials: _Count = 1
    """Finished trials before any trial is held against others."""
    warmup_evaluations: _Count = 1
    """median, wilcoxon: evaluations of each trial that never end it. asha, hyperband: where the first halving is."""
    lookahead: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """median, wilcoxon: a trial is held against others by the score it will have after so many more evaluations, if its
    last gain goes on (the first is from 0, the base's own); 0: by its best so far. What rises fast is not hopeless for
    being late."""
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """median: standard errors of its own score by which a trial must lie below, since others of its pictures might have
    scored higher."""
    patience: _Count | None = None
    """median, wilcoxon: evaluations, after the first, without a new best before a trial may end; None: a trial that
    still rises may end, too."""
    min_improvement: Annotated[float, Field(ge=0)] = 1.0
    """median, wilcoxon: a new best must be better by this many points of score to count as one."""
    p_threshold: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """wilcoxon: how likely, at most, so clear a difference may be between trials that are equally good."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """asha, hyperband: of so many trials one goes on, and has so many times the steps before the next halving."""
    thaw: bool = True
    """Whether a hopeless trial only waits, its state saved, and goes on as soon as it is hopeless no more beside what
    others have reached since; it ends when no other trial is left to train. False: it ends at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySpec:
    """One search, resumable by its name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Names the study in Optuna and MLflow, and its folder: letters, digits, dots, underscores, hyphens."""
    folder: PathText = "multirun"
    """Where studies, their databases and caches live."""
    storage: Annotated[str, AfterValidator(check_storage), AfterValidator(hide)] | None = None
    """A PostgreSQL database for the study, `postgresql+psycopg://USER@HOST/NAME`, which several machines may see; None
    is `studies.db` in `study.folder`. A password comes from `PGPASSWORD` or `PGPASSFILE`, or stands in the address, and
    is then kept in memory alone (docs/clusters.md)."""
    num_trials: _Positive = 12
    """Trials in all; a resumed study runs what is left of them. A finite space may hold fewer."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seeds the sampler."""
    direction: Direction = "maximize"
    """Which way the score is better."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=3)] = ("score",)
    """The score alone, or two or three of the judge's numbers: then the study looks for their Pareto front."""
    sampler: Literal["auto", "tpe", "gp", "cmaes", "random", "grid"] = "auto"
    """Who proposes the next trial: Optuna's tree of Parzen estimators (tpe), Gaussian process (gp) or CMA-ES (cmaes),
    or nobody. A gp models numbers well, and draws at random what counts only beside another choice. cmaes models the
    numbers that count in every trial, for a hundred trials and more, leaves all others to tpe, and wants
    `pip install cmaes`. auto: gp where all that is searched are numbers, else tpe. grid tries every combination in
    turn, and takes no continuous dimension."""
    startup_trials: _Count = 6
    """tpe, gp: trials before it models the scores; recipes are among them, the others are drawn at random."""
    probe: Literal["auto", "always", "never"] = "auto"
    """Whether short trainings at a ladder of learning rates, a tenth of the study's steps at most, come before the
    first trial and move each searched range of rates to where this base learns most from these pictures. auto: where
    each may have 20 steps or more; always: of 10 steps at least, whatever share that is. A grid has none, nor has a
    study that learns from earlier ones."""
    slots: _Positive | Literal["auto"] = "auto"
    """Trials that train at once on a device. auto measures what a device does best, once for each kind, up to an even
    share of a third of the trials, or of all where none can learn from another (a grid that is not pruned, no more than
    `startup_trials`): of 12 trials 4 train at once on one device, 2 on each of two, 1 on each of four or more."""
    keep: Keep = "best"
    """Checkpoints of an ended trial that stay on disk: its best and its last, or all."""
    finalists: _Positive = 3
    """Best trials that are scored again with fresh seeds and prompts before one is called best."""
    finalist_rounds: _Positive = 2
    """Rounds of fresh seeds at most: finalists that the best is not better than by two standard errors, paired over the
    same prompts and seeds, are drawn again with other seeds. If that does not tell them apart they are called alike,
    and of those within one standard error of the best the cheaper is taken, then the earlier. One, with `repeats`."""
    blends: tuple[Blend, ...] = ()
    """Averages of finalists' checkpoints that are judged beside them, and taken where better by a standard error
    (docs/search.md). mean: of the leading finalist's best checkpoint and those next to it. soup: of its best and those
    of other finalists, of each that makes it better. Of plain LoRAs, in a study of one objective, with `repeats` of 1;
    each costs what a finalist does, a soup one for each further finalist."""
    repeats: Annotated[int, Field(ge=1, le=MAX_REPEATS)] = 1
    """Trainings of each finalist, 1 to 100, with training seeds `train.seed`, `train.seed` + 1 …: with 2 or more the
    settings with the best mean score win, and both spreads are told, over training seeds and over prompts."""
    refit: Literal["auto", "always", "never"] = "auto"
    """Whether the winner is trained again on all pictures, held-out ones too, for as many epochs, and taken if it is
    not worse by fresh prompts and copies no more. auto: where of up to twelve pictures some were held out."""
    strengths: tuple[Annotated[float, Field(gt=0, le=4, allow_inf_nan=False)], ...] = (0.4, 0.6, 0.8, 1.0, 1.2)
    """LoRA scales that the winner is tried at, beside 1, which is as it was trained; none: it is not tried."""
    pruner: PrunerSpec = field(default_factory=PrunerSpec)
    """When a trial counts as hopeless."""
    narrow_from: str | None = None
    """An earlier study in the same folder: the space shrinks around its best trials, and those are tried first."""
    learn_from: tuple[PathText, ...] = ()
    """Earlier studies on the same base, by their names where they are in the same folder, else by their folders. Their
    trials shape the first draws, and later ones as far as this study's own trials agree with them (docs/search.md)."""
    taste_from: PathText | None = None
    """A study with votes between pairs of pictures (the dashboard's tab "Votes"), by its name where it is in the same
    folder, else by its folder: what they weigh becomes `eval.taste`, by which this study's checkpoints are scored."""
    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Hours for searching, over all runs of the study: then no trial begins, and running ones end at their next
    evaluation. Finalists are judged after that."""
    gpu_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The same for the hours that trials took on all devices together, for training and judging."""
    extend: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    """How many times its steps a trial may train at most: where its learning-rate curve does not fall, its last
    checkpoint is its best and clean, and such a gain once more would make it the best of all. 1: none goes on."""
    patience: _Positive | None = None
    """Trials that may end, one after another by their numbers, without a score that is better than the best before by
    more than that one's standard error; then no further trial begins. None: all `num_trials` are trained."""
    audit: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """The share of trials, drawn by the seed, that run on where pruning would end them, 0 to 1: at the end it is said
    how many became the best, and what pruning cost in points. They take the steps that pruning would have saved."""
    recipes: dict[str, dict[str, bool | int | float | str | None] | None] | None = field(default_factory=dict)
    """Known good settings that the first trials have, by names: dotted path or group, to its value. Null takes one
    away, or all. A grid, and a study that begins around an earlier one, have none."""
    space: dict[str, str | None] = field(default_factory=dict)
    """What is searched: dotted path or group, to a sweep in Hydra's grammar; null takes a dimension away."""

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which way each objective is better."""
        return tuple(self.direction if name == "score" else direction_of(name) for name in self.objectives)

    @property
    def sign(self) -> int:
        """1 where a higher score is better, -1 where a lower one is."""
        return 1 if self.direction == "maximize" else -1

    def most_on(self, num_devices: int) -> int:
        """Trials that train at once on each of so many devices, at most.

        Where the sampler or the pruner learns from those that have ended, a third of the trials on all devices
        together, but one on each: a device that stands idle learns nothing either. Else all of them. All, too, where
        trials are so few that the sampler draws them at random; what a pruner could save is less then.
        """
        learns = self.sampler not in ("random", "grid") or self.pruner.name != "none"
        if learns and self.num_trials > self.startup_trials:
            return max(1, self.num_trials // 3 // num_devices)
        return math.ceil(self.num_trials / num_devices)

    def for_reruns(self, count: int) -> StudySpec:
        """The same for `count` trainings again, which none ends early: it is wanted to know how they end."""
        unlimited = {"hours": None, "gpu_hours": None, "patience": None, "extend": 1.0}
        return dataclasses.replace(self, num_trials=count, pruner=PrunerSpec(name="none"), **unlimited)  # type: ignore[arg-type]

    @property
    def has_front(self) -> bool:
        """Whether several objectives are weighed, so that no single trial is the best of all."""
        return len(self.objectives) > 1

    def __post_init__(self) -> None:
        check_study_name(self.name)
        self._check_sampler()
        self._check_blends()
        if len(set(self.strengths)) != len(self.strengths):
            raise ValueError(f"strengths must differ from one another, got {list(self.strengths)}")

    def _check_blends(self) -> None:
        if len(set(self.blends)) != len(self.blends):
            raise ValueError(f"blends must differ from one another, got {list(self.blends)}")
        if self.blends and self.repeats > 1:  # then settings are compared by their means over training seeds
            raise ValueError(f"blends are tried with repeats=1, got {self.repeats}; leave one out")
        if self.blends and self.has_front:
            raise ValueError(f"blends take one objective, got {', '.join(self.objectives)}")

    def _check_sampler(self) -> None:
        if self.sampler == "cmaes" and self.has_front:
            raise ValueError(f"sampler=cmaes takes one objective, got {', '.join(self.objectives)}; tpe takes several")
        if self.learn_from and self.sampler in ("random", "grid"):
            raise ValueError(f"learn_from is for samplers that learn, got sampler={self.sampler}; leave one out")
        if self.learn_from and self.has_front:
            raise ValueError(f"learn_from takes one objective, got {', '.join(self.objectives)}")
        if len(set(self.learn_from)) != len(self.learn_from):
            raise ValueError(f"learn_from names a study twice, got {', '.join(self.learn_from)}")
