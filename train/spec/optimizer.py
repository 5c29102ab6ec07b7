"""The optimizer of a trial: the `optimizer` group of the configuration."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from foundation.config.installed import NameIn
from foundation.errors import ConfigError
from train.spec.optimizer_kinds import OPTIMIZERS, OptimizerKind

if TYPE_CHECKING:
    OptimizerName = str
else:
    OptimizerName = Annotated[str, NameIn(OPTIMIZERS)]  # no second list of them

ShareOfSteps = Annotated[float, Field(ge=0, lt=1)]

_OWN_FIELDS: Final = (
    *("beta1", "beta2", "beta3"),
    *("momentum", "nesterov", "d_coef", "safeguard_warmup", "use_bias_correction"),
)
"""Fields that only some optimizers take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSpec:
    """The optimizer of a trial; `arguments()` is what its constructor takes.

    A field that is None is the library's own default; so are those that the optimizer does not take, which must be.
    """

    name: OptimizerName = "adamw"
    """Which optimizer."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    """Learning rate; for prodigy and dadapt_adam a factor on the step size that they find themselves, near 1."""
    lr_scaling: Literal["none", "sqrt", "linear"] = "none"
    """How `lr` grows with n, the images of an optimizer step (batch size times gradient accumulation): it is meant for
    one image and is used as it is (none), times √n (sqrt; arXiv:2205.10287) or times n (linear; arXiv:1706.02677)."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """Decoupled weight decay; with sgd a part of the gradient, which it is the same as but for momentum."""
    beta1: ShareOfSteps | None = None
    """Decay of the running mean of gradients (adafactor: of its steps; schedulefree_adamw: how near to its average it
    trains). Not for sgd."""
    beta2: ShareOfSteps | None = None
    """Decay of the running mean of squares (lion, lion8bit: of the momentum). Not for adafactor and sgd."""
    beta3: ShareOfSteps | None = None
    """prodigy: decay of its step-size statistics. came: decay of the running mean of how unsteady its steps are."""
    momentum: ShareOfSteps | None = None
    """sgd only: what each step keeps of the one before, usually 0.9."""
    nesterov: bool | None = None
    """sgd only: look ahead by the momentum (Nesterov's)."""
    d_coef: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """prodigy only: factor on the step size that it estimates, usually .3 to 3."""
    safeguard_warmup: bool | None = None
    """prodigy only: keep the warm-up's small steps out of the estimate."""
    use_bias_correction: bool | None = None
    """prodigy and dadapt_adam: Adam's bias correction."""
    text_encoder_lr_ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """Factor on the learning rate for the text encoder, where that is trained; with prodigy 1 (or 0), with dadapt_adam
    1."""
    lora_plus_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How much higher the learning rate of a LoRA's B is than that of its A (LoRA+, arXiv:2402.12354, which takes 2 to
    16); 1 is LoRA's own. For lora, locon and adalora."""
    lr_by: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = field(default_factory=dict)
    """Factors on the learning rate by part: regular expressions that are looked for in the names of layers, those of
    text encoders with `text_encoder.` before them, such as `{attn: 0.5}`. The first that is found counts."""
    settings: dict[str, Any] = field(default_factory=dict)
    """More of the constructor's arguments, such as eps: see `train/spec/optimizer_kinds.py`."""

    @property
    def kind(self) -> OptimizerKind:
        """Its entry in the table of optimizers."""
        return OPTIMIZERS[self.name]

    def __post_init__(self) -> None:
        problems = [*self._foreign_fields(), *self._wrong_settings(), *self._wrong_rates(), *self._wrong_factors()]
        if self.kind.schedule_free and self.beta1 == 0:
            problems.append(f"optimizer.beta1 must be > 0 for {self.name}, which divides by it, got 0")
        if self.nesterov and not self.momentum:
            problems.append("optimizer.nesterov looks ahead by the momentum; set optimizer.momentum, or leave it out")
        if problems:
            raise ConfigError(problems)

    def factor_of(self, parameter: str) -> float:
        """What the learning rate of a parameter is multiplied by; by its name, such as `…to_q.lora_B.weight`."""
        factor = next((own for pattern, own in self.lr_by.items() if re.search(pattern, parameter)), 1.0)
        return factor * self.lora_plus_ratio if ".lora_B" in parameter else factor

    def arguments(self, images_per_step: int = 1) -> dict[str, Any]:
        """Keyword arguments for the optimizer's constructor; `lr` is for steps over so many images."""
        kind = self.kind
        growth = {"none": 1.0, "sqrt": math.sqrt(images_per_step), "linear": images_per_step}
        # torch takes only one of its two ways of stepping many parameters at once
        given: Mapping[str, Any] = {} if "foreach" in self.settings else kind.given
        own = {argument: getattr(self, name) for name, argument in kind.fields.items()}
        return {
            "lr": self.lr * growth[self.lr_scaling],
            "weight_decay": self.weight_decay,
            **given,
            **self._betas(),
            **{argument: value for argument, value in own.items() if value is not None},
            **self.settings,
        }

    def _betas(self) -> dict[str, tuple[float, ...]]:
        own = (self.beta1, self.beta2, self.beta3)
        betas = tuple(usual if beta is None else beta for usual, beta in zip(self.kind.betas, own, strict=False))
        return {"betas": betas} if betas else {}

    def _foreign_fields(self) -> list[str]:
        problems = []
        for name in _OWN_FIELDS:
            value = getattr(self, name)
            if value is not None and name not in _fields_of(self.kind):
                only = ", ".join(each for each in OPTIMIZERS.built_in if name in _fields_of(OPTIMIZERS[each]))
                problems.append(f"optimizer.{name} is for {only} only, got {value} with {self.name}; leave it out")
        return problems

    def _wrong_settings(self) -> list[str]:
        allowed = self.kind.settings
        problems = []
        for name, value in self.settings.items():
            if name not in allowed:
                known = ", ".join(sorted(allowed))
                problems.append(f"optimizer.settings.{name} is unknown to {self.name}; settings may hold {known}")
            elif type(value) not in ({int, float} if allowed[name] is float else {allowed[name]}):
                kind = {bool: "true or false", int: "a whole number", float: "a number"}[allowed[name]]
                problems.append(f"optimizer.settings.{name} must be {kind}, got {value!r}")
        return problems

    def _wrong_factors(self) -> list[str]:
        problems = []
        for pattern in self.lr_by:
            try:
                re.compile(pattern)
            except re.error as error:
                problems.append(f"optimizer.lr_by: {pattern!r} is no regular expression ({error})")
        allowed = self.kind.lr_ratios
        given = {"lora_plus_ratio": self.lora_plus_ratio, **{f"lr_by.{name}": own for name, own in self.lr_by.items()}}
        problems += [
            f"optimizer.{name} must be 1 for {self.name}, which estimates one step size for all, got {own:g}"
            for name, own in given.items()
            if allowed is not None and own not in allowed
        ]
        return problems

    def _wrong_rates(self) -> list[str]:
        problems = []
        if self.kind.adaptive and not 0.1 <= self.lr <= 10:
            problems.append(
                f"optimizer.lr must be between 0.1 and 10 for {self.name}, which finds its own step size, "
                f"got {self.lr:g}; leave it at 1, or choose among other optimizers"
            )
        if self.kind.adaptive and self.lr_scaling != "none":
            problems.append(
                f"optimizer.lr_scaling must be none for {self.name}, which finds its own step size, "
                f"got {self.lr_scaling}; leave it out"
            )
        return problems


def _fields_of(kind: OptimizerKind) -> set[str]:
    return {*kind.fields, *(f"beta{number}" for number in range(1, len(kind.betas) + 1))}


def check_installed(optimizer: OptimizerSpec) -> None:
    """Raise unless the optimizer's package is installed; nothing is imported.

    Raises:
        ConfigError: with the name that pip knows.
    """
    kind = optimizer.kind
    if kind.package != "torch" and importlib.util.find_spec(kind.module.partition(".")[0]) is None:
        problem = f"optimizer {optimizer.name} is not installed; run `pip install {kind.package}` or choose another"
        raise ConfigError([problem])
