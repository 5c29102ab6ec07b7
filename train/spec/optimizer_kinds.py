"""The optimizers that a trial may have. A new one is an entry here and a file in conf/optimizer/.

Other packages bring theirs as entry points of `sweeper.optimizers`, each an `OptimizerKind` (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foundation.config.installed import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerKind:
    """What an optimizer is called, and what it takes beside `lr` and `weight_decay`."""

    module: str
    """Where its class is imported from."""
    class_name: str
    """Its class."""
    package: str = "torch"
    """What pip calls its package."""
    betas: tuple[float, ...] = ()
    """The library's defaults of its argument `betas`; the config's beta1, beta2, … take their places."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """More fields of `OptimizerSpec` that it takes, to the names of its arguments."""
    settings: Mapping[str, type] = field(default_factory=dict)
    """What `optimizer.settings` may hold: further arguments, and their types."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that differ here from the library's defaults."""
    lr_ratios: tuple[float, ...] | None = None
    """The learning-rate ratios that parts of the adapter may have to one another; None is any."""
    adaptive: bool = False
    """Whether it finds its step size itself; lr is then a factor on it, near 1."""
    schedule_free: bool = False
    """Whether it averages its steps instead of lowering its rate; it is then used at another point than it trains at,
    between its `eval()` and `train()`."""


_BUILT_IN: Final[Mapping[str, OptimizerKind]] = {
    "adamw": OptimizerKind(
        module="torch.optim",
        class_name="AdamW",
        betas=(0.9, 0.999),
        settings={"eps": float, "amsgrad": bool, "foreach": bool, "fused": bool},
        given={"fused": True},  # the same numbers in one call for all parameters instead of ten for each
    ),
    "adamw8bit": OptimizerKind(
        module="bitsandbytes.optim",
        class_name="AdamW8bit",
        package="bitsandbytes",
        betas=(0.9, 0.999),
        settings={"eps": float, "min_8bit_size": int, "is_paged": bool},
    ),
    "lion": OptimizerKind(
        module="lion_pytorch",
        class_name="Lion",
        package="lion-pytorch",
        betas=(0.9, 0.99),
        settings={"use_triton": bool, "decoupled_weight_decay": bool},
    ),
    "lion8bit": OptimizerKind(
        module="bitsandbytes.optim",
        class_name="Lion8bit",
        package="bitsandbytes",
        betas=(0.9, 0.99),
        settings={"min_8bit_size": int, "is_paged": bool},
    ),
    "prodigy": OptimizerKind(
        module="prodigyopt",
        class_name="Prodigy",
        package="prodigyopt",
        betas=(0.9, 0.999),
        fields={name: name for name in ("beta3", "d_coef", "safeguard_warmup", "use_bias_correction")},
        settings={"eps": float, "decouple": bool, "d0": float, "growth_rate": float, "slice_p": int},
        lr_ratios=(1, 0),
        adaptive=True,
    ),
    "dadapt_adam": OptimizerKind(
        module="pytorch_optimizer",
        class_name="DAdaptAdam",
        package="pytorch-optimizer",
        betas=(0.9, 0.999),
        fields={"use_bias_correction": "bias_correction"},
        settings={"eps": float, "d0": float, "growth_rate": float},
        given={"weight_decouple": True},
        lr_ratios=(1,),  # it reads the rate of its first parameters, and takes it for all
        adaptive=True,
    ),
    "adafactor": OptimizerKind(
        module="transformers.optimization",
        class_name="Adafactor",
        package="transformers",
        fields={"beta1": "beta1"},
        settings={"clip_threshold": float, "decay_rate": float},
        # Steps relative to a weight's size would leave B where it starts, at 0.
        given={"scale_parameter": False, "relative_step": False},
    ),
    "came": OptimizerKind(
        module="pytorch_optimizer",
        class_name="CAME",
        package="pytorch-optimizer",
        betas=(0.9, 0.999, 0.9999),
        settings={"clip_threshold": float, "eps1": float, "eps2": float},
    ),
    "schedulefree_adamw": OptimizerKind(
        module="schedulefree",
        class_name="AdamWScheduleFree",
        package="schedulefree",
        betas=(0.9, 0.999),
        settings={"eps": float, "r": float, "weight_lr_power": float, "foreach": bool},
        schedule_free=True,
    ),
    "sgd": OptimizerKind(
        module="torch.optim",
        class_name="SGD",
        fields={"momentum": "momentum", "nesterov": "nesterov"},
        settings={"dampening": float, "foreach": bool, "fused": bool},
        given={"fused": True},
    ),
}
OPTIMIZERS: Final = Registry("sweeper.optimizers", OptimizerKind, _BUILT_IN)
"""By the name that the config gives them."""
