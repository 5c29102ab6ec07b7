"""PEFT's config of an adapter's part in one module."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import peft
from peft.tuners.tuners_utils import _find_minimal_target_modules, check_target_module_exists
from torch import nn

from foundation.bases.port import Base
from foundation.errors import AdapterError
from train.spec import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS

_Presets = Callable[[str], list[str]]


def denoiser_config(spec: AdapterSpec, base: Base, steps: int) -> peft.PeftConfig:
    """Of its part in the denoiser, for a training of so many steps; alpha = ratio · rank.

    Raises:
        AdapterError: when it fits no layer, or none of a kind that it needs.
    """
    targets: Any = spec.targets
    if ADAPTER_KINDS[spec.name].convolutions:
        targets = _with_convolutions(_targets(spec, base.denoiser, base.target_modules), base)
    return _config(replace(spec, targets=targets) if targets else spec, base.denoiser, base.target_modules, steps)


def text_config(spec: AdapterSpec, base: Base, steps: int) -> peft.PeftConfig:
    """As `denoiser_config`, of its part in the text encoder.

    Names of layers and numbers of blocks are the denoiser's; here attention is adapted where there is no preset.
    """
    preset = spec.targets if spec.targets in ("attention", "attention+ff", "all-linear", "all") else "attention"
    own = replace(
        spec,
        rank=spec.text_encoder_rank or spec.rank,
        targets=preset,
        exclude=(),
        layers=(),
        layers_pattern=None,
    )
    return _config(own, base.text_encoder, base.text_target_modules, steps)


def _config(spec: AdapterSpec, module: nn.Module, presets: _Presets, steps: int) -> peft.PeftConfig:
    kind = ADAPTER_KINDS[spec.name]
    arguments: dict[str, Any] = {theirs: _as_peft(getattr(spec, ours)) for ours, theirs in kind.arguments.items()}
    arguments |= kind.always
    if spec.starts_from_base:
        arguments["init_lora_weights"] = True  # what the base gives it is put in its place, see train.adapters.residual
    if "budget_warmup" in kind.also:
        arguments |= _budget(spec, steps)
    config: peft.PeftConfig = getattr(peft, kind.config)(
        target_modules=_targets(spec, module, presets),
        exclude_modules=_as_peft(spec.exclude),
        **arguments,
    )
    if "conv_rank" in kind.also and (spec.conv_rank or spec.conv_alpha_ratio):
        _rank_convolutions(config, spec, module)
    if not any(_adapts(config, name) for name, _ in module.named_modules()):
        raise AdapterError(
            f"adapter.targets {_list_names(spec.targets)} fits no layer of the base; name layers such as to_q"
        )
    return config


def _budget(spec: AdapterSpec, steps: int) -> dict[str, Any]:
    """AdaLoRA's schedule: at least one step measures what matters before ranks are taken away.

    A training of one step takes none. PEFT asks that `tinit` < `total_step` - `tfinal`, the step at which the last
    choice is made, and that it is not the first.
    """
    if steps == 1:
        return {"tinit": 1, "tfinal": 0, "total_step": 2}
    final = min(int(spec.budget_final * steps), steps - 2)
    return {"tinit": min(int(spec.budget_warmup * steps), steps - final - 1), "tfinal": final, "total_step": steps}


def _targets(spec: AdapterSpec, module: nn.Module, presets: _Presets) -> list[str] | str:
    if spec.targets == "all-linear":
        return [name for name, each in module.named_modules() if isinstance(each, nn.Linear)]
    if spec.targets in ("attention", "attention+ff", "all"):
        return presets(spec.targets)
    return spec.targets if isinstance(spec.targets, str) else list(spec.targets)


def _with_convolutions(targets: list[str] | str, base: Base) -> tuple[str, ...] | str:
    """The targets, and the convolutions among those that the preset `all` names."""
    found = [name for name in base.target_modules("all") if _is_convolution(base.denoiser, name)]
    if not found:
        raise AdapterError("adapter=locon finds no convolutions in this base; choose lora")
    if isinstance(targets, str):
        return f"({targets})|.*\\.({'|'.join(map(re.escape, found))})"
    return (*targets, *found)


def _is_convolution(module: nn.Module, ending: str) -> bool:
    return any(isinstance(each, nn.Conv2d) for name, each in module.named_modules() if name.endswith(f".{ending}"))


def _rank_convolutions(config: Any, spec: AdapterSpec, module: nn.Module) -> None:
    """Give wide convolutions their own rank and alpha, behind the patterns; as in kohya, 1 × 1 ones count as linear."""
    adapted = {name: each for name, each in module.named_modules() if _adapts(config, name)}
    wide = {name for name, each in adapted.items() if is_wide(each)}
    if not wide:
        return
    rank = spec.conv_rank or spec.rank
    ratio = spec.conv_alpha_ratio or spec.alpha_ratio
    endings = sorted(re.escape(name) for name in _find_minimal_target_modules(wide, set(adapted) - wide))
    config.rank_pattern = {**spec.rank_pattern, **{name: rank for name in endings if name not in spec.rank_pattern}}
    alphas = {name: ratio * rank for name in endings if name not in spec.alpha_pattern}
    config.alpha_pattern = {**spec.alpha_pattern, **alphas}


def is_wide(module: nn.Module) -> bool:
    """Whether it is a convolution with a window wider than 1 × 1."""
    return isinstance(module, nn.Conv2d) and set(module.kernel_size) != {1}


def _adapts(config: peft.PeftConfig, name: str) -> bool:
    return bool(check_target_module_exists(config, name))


def _as_peft(value: Any) -> Any:
    """PEFT's word for an empty list is None."""
    return (list(value) or None) if isinstance(value, tuple) else value


def _list_names(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else ", ".join(sorted(names))
