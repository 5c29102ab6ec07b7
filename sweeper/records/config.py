"""The whole config of a study: what the groups of `conf/` parse into."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_type_hints

from eval.metrics.registry import METRICS, SEEDS, TWO_UNRELATED
from eval.spec import EvalSpec
from foundation.bases.families import FAMILIES
from foundation.bases.spec import AUTO
from foundation.config.parse import parse
from foundation.errors import ConfigError
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.objectives import of_packages
from sweeper.records.study_spec import StudySpec
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
"""The groups that may differ from trial to trial, each a field of `TrialSpec`; all others are one for the whole study,
but for what of the data is in `foundation.data.spec.OF_TRIALS`."""

EXAMPLE: Final = {"subject": "dog", "face": "person"}
"""Class words to name in messages."""


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
        found = trial_config({group: getattr(self, group) for group in TRIAL_GROUPS})
        return dataclasses.replace(found, views=self.data.views)

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
