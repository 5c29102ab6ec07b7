"""The whole config of a study: what the groups of `conf/` parse into."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, cast, get_type_hints

from pydantic import Field

from eval.metrics.registry import METRICS, SEEDS, TWO_UNRELATED, Direction
from eval.spec import EvalSpec
from foundation.bases.families import FAMILIES
from foundation.bases.spec import AUTO
from foundation.config.home import PathText
from foundation.config.parse import parse
from foundation.errors import ConfigError
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.objectives import Objective, direction_of, of_packages
from sweeper.records.study_names import check_study_name
from sweeper.records.trainings import MAX_REPEATS
from sweeper.tracking.spec import TrackingSpec
from train.spec import (
    AdapterSpec,
    BaseSpec,
    DataSpec,
    LrSchedulerSpec,
    ObjectiveSpec,
    OptimizerSpec,
    TrainingSpec,
    TrialSpec,
)

TrialPart = AdapterSpec | OptimizerSpec | LrSchedulerSpec | ObjectiveSpec | TrainingSpec
TRIAL_GROUPS: Final[Mapping[str, type[TrialPart]]] = {
    "adapter": AdapterSpec,
    "optimizer": OptimizerSpec,
    "lr_scheduler": LrSchedulerSpec,
    "objective": ObjectiveSpec,
    "train": TrainingSpec,
}
"""The groups that may differ from trial to trial, the fields of `TrialSpec`; all others are one for the whole study."""

EXAMPLE: Final = {"subject": "dog", "face": "person"}
"""Class words to name in messages."""
_Positive = Annotated[int, Field(ge=1)]
_Count = Annotated[int, Field(ge=0)]
Keep = Literal["best", "all"]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySpec:
    """One search, resumable by its name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Names the study in Optuna and MLflow, and its folder: letters, digits, dots, underscores, hyphens."""
    folder: PathText = "multirun"
    """Where studies, their databases and caches live."""
    num_trials: _Positive = 12
    """Trials in all; a resumed study runs what is left of them. A finite space may hold fewer."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seeds the sampler."""
    direction: Direction = "maximize"
    """Which way the score is better."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=3)] = ("score",)
    """The score alone, or two or three of the judge's numbers: then the study looks for their Pareto front."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """Who proposes the next trial; grid tries every combination in turn, and takes no continuous dimension."""
    startup_trials: _Count = 6
    """tpe: trials drawn at random before it models the scores."""
    slots: _Positive | Literal["auto"] = "auto"
    """Trials that train at once on a device. auto measures what a device does best, once for each kind, up to an even
    share of a third of the trials, or of all where none can learn from another (a grid that is not pruned, no more than
    `startup_trials`): of 12 trials 4 train at once on one device, 2 on each of two, 1 on each of four or more."""
    keep: Keep = "best"
    """Checkpoints of an ended trial that stay on disk: its best and its last, or all."""
    finalists: _Positive = 3
    """Best trials that are scored again with fresh seeds and prompts before one is called best."""
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
    space: dict[str, str | None] = field(default_factory=dict)
    """What is searched: dotted path or group, to a sweep in Hydra's grammar; null takes a dimension away."""

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which way each objective is better."""
        return tuple(self.direction if name == "score" else direction_of(name) for name in self.objectives)

    def most_on(self, num_devices: int) -> int:
        """Trials that train at once on each of so many devices, at most.

        Where the sampler or the pruner learns from those that have ended, a third of the trials on all devices
        together, but one on each: a device that stands idle learns nothing either. Else all of them. All, too, where
        trials are so few that the sampler draws them at random; what a pruner could save is less then.
        """
        learns = self.sampler == "tpe" or self.pruner.name != "none"
        if learns and self.num_trials > self.startup_trials:
            return max(1, self.num_trials // 3 // num_devices)
        return math.ceil(self.num_trials / num_devices)

    @property
    def has_front(self) -> bool:
        """Whether several objectives are weighed, so that no single trial is the best of all."""
        return len(self.objectives) > 1

    def __post_init__(self) -> None:
        check_study_name(self.name)
        if len(set(self.strengths)) != len(self.strengths):
            raise ValueError(f"strengths must differ from one another, got {list(self.strengths)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything, one field per group of `conf/`."""

    base: BaseSpec
    """The frozen pipeline."""
    data: DataSpec
    """The pictures."""
    adapter: AdapterSpec
    """A trial's adapter."""
    optimizer: OptimizerSpec
    """A trial's optimizer."""
    lr_scheduler: LrSchedulerSpec
    """A trial's learning-rate curve."""
    objective: ObjectiveSpec
    """A trial's loss."""
    train: TrainingSpec
    """A trial's steps."""
    eval: EvalSpec
    """The judge."""
    study: StudySpec
    """The search."""
    launcher: LauncherSpec
    """Where workers run."""
    tracking: TrackingSpec
    """Where runs are shown."""

    def __post_init__(self) -> None:
        _ = self.trial  # its checks across groups
        if self.train.steps is not None and self.eval.every > self.train.steps:
            raise ValueError(
                f"eval.every must be ≤ train.steps ({self.train.steps}), or a trial is never judged, "
                f"got {self.eval.every}"
            )
        family = self.base.family
        if self.eval.sampler != "own" and family != AUTO and FAMILIES[family].noise == "flow":
            raise ValueError(f"eval.sampler must be own for base.family {family}, got {self.eval.sampler}")
        if set(self.tracking.model) & set("/:'\""):  # here, since it is the study's name unless it is set
            raise ValueError(f"tracking.model must not hold '/', ':' or quotes, got {self.tracking.model!r}")
        self._check_kind()
        self._check_objectives()
        self._check_pruner()

    @property
    def trial(self) -> TrialSpec:
        """What makes one trial."""
        return trial_config({group: getattr(self, group) for group in TRIAL_GROUPS})

    def with_objectives_measured(self) -> Config:
        """The same where the judge measures the objectives that packages bring."""
        metrics = tuple(dict.fromkeys((*self.eval.metrics, *of_packages(self.study.objectives))))
        return dataclasses.replace(self, eval=dataclasses.replace(self.eval, metrics=metrics))

    def _check_kind(self) -> None:
        kind = self.data.kind
        if kind == "style":
            return
        missing = []
        if not self.data.trigger.strip():
            missing.append(f"data.kind={kind} needs the phrase that calls it: \"data.trigger='sks {EXAMPLE[kind]}'\"")
        if not self.eval.class_word.strip():
            missing.append(f"data.kind={kind} needs the word for what it is one of: eval.class_word={EXAMPLE[kind]}")
        if kind == "face" and not self.eval.identity_features:
            missing.append(
                "data.kind=face needs an eye for faces, a folder of ONNX models: eval.identity_features=FOLDER "
                "(docs/judge.md); data.kind=subject judges without one"
            )
        if missing:
            raise ConfigError(missing)

    def _check_objectives(self) -> None:
        names = self.study.objectives
        if len(set(names)) != len(names):
            raise ConfigError([f"study.objectives must differ from one another, got {', '.join(names)}"])
        if len(names) == 1 and names != ("score",):
            raise ConfigError([f"study.objectives must be score alone, or two or three, got {names[0]} alone"])
        _ = of_packages(names), self.study.directions  # their checks
        for name in names:
            needs = METRICS[name].needs if name != "score" else ()
            if TWO_UNRELATED in needs and len(self.eval.unrelated_prompts) < 2:
                raise ConfigError([f"study.objectives: {name} needs two eval.unrelated_prompts or more to be measured"])
            if SEEDS in needs and len(self.eval.seeds) < 2:
                raise ConfigError([f"study.objectives: {name} needs two eval.seeds or more to be measured"])
            if {SEEDS, TWO_UNRELATED} & set(needs) and self.eval.screening_prompts is not None:
                raise ConfigError([f"study.objectives: {name} needs eval.screening_prompts=null"])

    def _check_pruner(self) -> None:
        pruner, num_prompts = self.study.pruner, len(self.eval.prompts)
        if pruner.name == "wilcoxon" and self.eval.screening_prompts is not None:
            raise ConfigError(["study.pruner.name=wilcoxon compares prompt by prompt; set eval.screening_prompts=null"])
        # Wilcoxon's smallest p, where every prompt speaks against the trial; without prompts captions will stand in.
        if pruner.name == "wilcoxon" and num_prompts and 0.5**num_prompts >= pruner.p_threshold:
            needed = math.floor(-math.log2(pruner.p_threshold)) + 1
            raise ConfigError(
                [
                    f"study.pruner.name=wilcoxon with p_threshold {pruner.p_threshold:g} needs {needed} eval.prompts "
                    f"or more, got {num_prompts}"
                ]
            )

    def fingerprint(self) -> dict[str, str]:
        """Dotted path to value of all that must be the same when a study of this name is resumed.

        What changes no trial may differ: number of trials, sampler, pruner, slots, devices,
        where it is shown. The space has a fingerprint of its own.
        """
        groups = ("base", "data", *TRIAL_GROUPS, "eval")
        plain = {group: dataclasses.asdict(getattr(self, group)) for group in groups}
        for name in ("final_prompts", "metrics"):  # no trial is scored by them
            del plain["eval"][name]
        study = {"study.direction": self.study.direction, "study.objectives": ", ".join(self.study.objectives)}
        return {**dict(_flat(plain)), **study}


def default_fields() -> dict[str, str]:
    """What every field that has a default is when nobody sets it, as `Config.fingerprint` writes it."""
    found: dict[str, dict[str, Any]] = {}
    for group, kind in get_type_hints(Config).items():
        own = found[group] = {}
        for each in dataclasses.fields(kind):
            if callable(each.default_factory):
                made = each.default_factory()
                own[each.name] = dataclasses.asdict(cast(Any, made)) if dataclasses.is_dataclass(made) else made
            elif each.default is not dataclasses.MISSING:
                own[each.name] = each.default
    return dict(_flat(found))


def parse_config(mapping: Mapping[str, Any]) -> Config:
    """Return a composed config as dataclasses; the options' `space` blocks are left out.

    Raises:
        ConfigError: one problem per mistake.
    """
    return parse(Config, {group: _without_space(group, values) for group, values in mapping.items()})


def parse_part(group: str, values: Any) -> TrialPart:
    """Return one of a trial's groups of a composed config as its dataclass.

    Raises:
        ConfigError: one problem per mistake.
    """
    return parse(TRIAL_GROUPS[group], _without_space(group, values), where=group)


def trial_config(parts: Mapping[str, TrialPart]) -> TrialSpec:
    """Return a trial made of its groups.

    Raises:
        ConfigError: when the groups do not go together.
    """
    try:
        return TrialSpec(**parts)  # type: ignore[arg-type]  # each group's type is in TRIAL_GROUPS
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError([str(error)]) from error


def _without_space(group: str, values: Any) -> Any:
    if group not in TRIAL_GROUPS or not isinstance(values, Mapping):
        return values
    return {name: value for name, value in values.items() if name != "space"}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, part in value.items():
        if isinstance(part, Mapping):
            yield from _flat(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(part)
