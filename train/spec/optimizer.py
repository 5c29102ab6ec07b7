"""The optimizer of a trial: the `optimizer` group of the configuration."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from foundation.errors import ConfigError

OptimizerName = Literal["adamw", "adamw8bit", "lion", "prodigy"]

OPTIMIZER_MODULES: Final[Mapping[str, tuple[str, str]]] = {
    "adamw8bit": ("bitsandbytes", "bitsandbytes"),
    "lion": ("lion_pytorch", "lion-pytorch"),
    "prodigy": ("prodigyopt", "prodigyopt"),
}
"""For each optimizer that torch does not hold: the module to import, and what pip calls it."""

OPTIMIZER_SETTINGS: Final[Mapping[str, Mapping[str, type]]] = {
    "adamw": {"eps": float, "amsgrad": bool, "foreach": bool, "fused": bool},
    "adamw8bit": {"eps": float, "min_8bit_size": int, "is_paged": bool},
    "lion": {"use_triton": bool, "decoupled_weight_decay": bool},
    "prodigy": {"eps": float, "decouple": bool, "d0": float, "growth_rate": float, "slice_p": int},
}
"""What `optimizer.settings` may hold: arguments of each optimizer's constructor that have no field of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSpec:
    """The optimizer of a trial; `arguments()` is what its constructor takes."""

    name: OptimizerName = "adamw"
    """Which optimizer."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    """Learning rate; for prodigy a factor on the step size that it finds itself, near 1."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """Decoupled weight decay."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the running mean of gradients."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the running mean of squares (lion: of the momentum)."""
    beta3: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Prodigy only: decay of its step-size statistics; None is √beta2."""
    d_coef: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Prodigy only: factor on the step size that it estimates, usually .3 to 3; None is its own default."""
    safeguard_warmup: bool | None = None
    """Prodigy only: keep the warm-up's small steps out of the estimate; None is its own default."""
    use_bias_correction: bool | None = None
    """Prodigy only: Adam's bias correction; None is its own default."""
    text_encoder_lr_ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """Factor on the learning rate for the text encoder, where that is trained; with prodigy 1 (or 0)."""
    settings: dict[str, Any] = field(default_factory=dict)
    """More of the constructor's arguments, such as eps: see `OPTIMIZER_SETTINGS`."""

    def __post_init__(self) -> None:
        problems = [*self._foreign_fields(), *self._wrong_settings()]
        if self.name == "prodigy" and not 0.1 <= self.lr <= 10:
            problems.append(
                f"optimizer.lr must be between 0.1 and 10 for prodigy, which finds its own step size, got {self.lr:g}; "
                "leave it at 1, or choose among other optimizers"
            )
        if problems:
            raise ConfigError(problems)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the optimizer's constructor."""
        own = {name: value for name, value in self._prodigy_fields().items() if value is not None}
        return {
            "lr": self.lr,
            "betas": (self.beta1, self.beta2),
            "weight_decay": self.weight_decay,
            **own,
            **self.settings,
        }

    def _prodigy_fields(self) -> dict[str, float | bool | None]:
        return {
            "beta3": self.beta3,
            "d_coef": self.d_coef,
            "safeguard_warmup": self.safeguard_warmup,
            "use_bias_correction": self.use_bias_correction,
        }

    def _foreign_fields(self) -> list[str]:
        if self.name == "prodigy":
            return []
        return [
            f"optimizer.{name} is for prodigy only, got {value} with {self.name}; leave it out"
            for name, value in self._prodigy_fields().items()
            if value is not None
        ]

    def _wrong_settings(self) -> list[str]:
        allowed = OPTIMIZER_SETTINGS[self.name]
        problems = []
        for name, value in self.settings.items():
            if name not in allowed:
                known = ", ".join(sorted(allowed))
                problems.append(f"optimizer.settings.{name} is unknown to {self.name}; settings may hold {known}")
            elif type(value) not in ({int, float} if allowed[name] is float else {allowed[name]}):
                kind = {bool: "true or false", int: "a whole number", float: "a number"}[allowed[name]]
                problems.append(f"optimizer.settings.{name} must be {kind}, got {value!r}")
        return problems


def check_installed(optimizer: OptimizerSpec) -> None:
    """Raise unless the optimizer's package is installed; nothing is imported.

    Raises:
        ConfigError: with the name that pip knows.
    """
    if optimizer.name not in OPTIMIZER_MODULES:
        return
    module, package = OPTIMIZER_MODULES[optimizer.name]
    if importlib.util.find_spec(module) is None:
        problem = f"optimizer {optimizer.name} is not installed; run `pip install {package}` or choose another"
        raise ConfigError([problem])
