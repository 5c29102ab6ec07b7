"""What of one trial's adapter is in one module of the base."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from peft import AdaLoraModel, PeftConfig
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.adalora.layer import AdaLoraLayer
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from foundation.adapters.files import move_adapter, plain_config
from foundation.errors import AdapterError, first_line
from train.adapters import adalora
from train.adapters.configs import is_wide
from train.adapters.residual import as_plain_lora, start_from_base
from train.adapters.shadow_modules import shadow_module
from train.products import LoraDelta, LowRankFactors
from train.spec import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS

_MEMORY = "memory:"
_DROPOUTS = ("lora_dropout", "rank_dropout", "module_dropout")
_STARTS = ("start_A", "start_B")


class ModuleAdapter:
    """PEFT's layers of one adapter, built around the layers of a shared module, which itself stays as it is.

    PEFT puts them into a twin of the module (see `shadow_module`), so that adapters of any kind live side by side,
    each with PEFT's own names, initialisation and config.
    """

    def __init__(
        self, module: nn.Module, name: str, spec: AdapterSpec, config: PeftConfig, device: torch.device
    ) -> None:
        """A part called `name` of a `spec`, by PEFT's `config`, on a `device`; the weights of `module` may be away."""
        self._name = name
        self._spec = spec
        self._twin = shadow_module(module)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Invalid `oft_block_size`")  # it takes the next that fits
                self._tuner: Any = PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type](self._twin, config, name)
        except (TypeError, ValueError) as error:
            raise AdapterError(f"adapter {spec.name} does not fit the base: {first_line(error)}") from error
        self._config = config
        self._layers = {key: each for key, each in self._twin.named_modules() if isinstance(each, BaseTunerLayer)}
        self._check_windows()
        self._starts: dict[str, LowRankFactors] = {}
        if spec.starts_from_base:
            starts = {key: start_from_base(each, name, str(spec.init)) for key, each in self._layers.items()}
            self._starts = {
                key: LowRankFactors(each.down.to(device), each.up.to(device)) for key, each in starts.items()
            }
        move_adapter(self._twin, name, device)
        for parameter in self._own().values():
            if parameter.dtype in (torch.float16, torch.bfloat16):
                parameter.data = parameter.data.float()  # a step of 1e-4 is lost in half precision
        self.parameters: list[nn.Parameter] = [each for each in self._own().values() if each.requires_grad]
        """What is trained, in PEFT's order, float32."""
        self.names = {each: key for key, each in self._own().items() if each.requires_grad}
        """What each of them is called in its module."""
        self.dropout: float = max(getattr(config, each, 0.0) for each in _DROPOUTS)
        """The largest share that it drops of anything."""
        self.products = {key: self._product(key) for key, each in self._layers.items() if _is_product(each, name)}
        """Those of its layers that are plain products, by the names of the module's layers."""
        self.apart = {key: each for key, each in self._layers.items() if key not in self.products}
        """All others, as PEFT computes them."""

    def _check_windows(self) -> None:
        if ADAPTER_KINDS[self._spec.name].wide_windows:
            return
        wide = [key for key, each in self._layers.items() if is_wide(each.get_base_layer())]
        if wide:
            raise AdapterError(f"adapter {self._spec.name} is for linear layers and 1 × 1 convolutions, got {wide[0]}")

    def _own(self) -> dict[str, nn.Parameter]:
        """All that the adapter holds, by names in which its own does not occur."""
        return {
            key.replace(f".{self._name}", ""): parameter
            for key, parameter in self._twin.named_parameters()
            if f".{self._name}." in f"{key}."
        }

    def _product(self, key: str) -> LoraDelta:
        layer: Any = self._layers[key]
        pair = LowRankFactors(layer.lora_A[self._name].weight, layer.lora_B[self._name].weight)
        return LoraDelta(pair, layer.scaling[self._name], self._starts.get(key))

    def penalty(self) -> Tensor | None:
        """What the kind adds to the loss, without dimensions; None for most."""
        return adalora.penalty(self._tuner) if isinstance(self._tuner, AdaLoraModel) else None

    def after_step(self, step: int) -> None:
        """What the kind does when step number `step`, from 1, is taken and its gradients are still there."""
        if isinstance(self._tuner, AdaLoraModel):
            self._tuner.update_and_allocate(step)

    def state_to_save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state and config that PEFT, or diffusers if it is saved as a LoRA, loads it from.

        Without dropout: diffusers puts what it loads into training mode, and would draw pictures with it.
        """
        config = plain_config(self._config)
        config |= {each: 0.0 for each in _DROPOUTS if each in config}
        layers: dict[str, AdaLoraLayer] = {k: v for k, v in self._layers.items() if isinstance(v, AdaLoraLayer)}
        if layers:
            return adalora.as_lora(layers, self._name, config)
        state = {
            key: tensor.detach()
            for key, tensor in get_peft_model_state_dict(self._twin, adapter_name=self._name).items()
        }
        if self._starts:
            return as_plain_lora(state, config, self._starts)
        if "init_lora_weights" in config:
            config["init_lora_weights"] = True  # who loads it starts from nothing but the file
        return state, config

    def state(self) -> dict[str, Tensor]:
        """All that goes on from here hangs on, copied."""
        own = {key: parameter.detach().clone() for key, parameter in self._own().items()}
        for key, start in self._starts.items():
            own |= {
                f"{key}.{name}": tensor.clone() for name, tensor in zip(_STARTS, (start.down, start.up), strict=True)
            }
        if isinstance(self._tuner, AdaLoraModel):
            own |= {f"{_MEMORY}{key}": tensor.clone() for key, tensor in adalora.memory(self._tuner).items()}
        return own

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave of an adapter of the same config.

        Raises:
            AdapterError: when names or shapes differ.
        """
        mine = {key: tensor for key, tensor in self.state().items() if not key.startswith(_MEMORY)}
        theirs = {key: tensor for key, tensor in state.items() if not key.startswith(_MEMORY)}
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
            raise AdapterError(
                "the checkpoint's adapter has other layers or ranks than the trial; remove the checkpoint"
            )
        for key, parameter in self._own().items():
            parameter.copy_(theirs[key])
        for key, start in self._starts.items():
            for name, tensor in zip(_STARTS, (start.down, start.up), strict=True):
                tensor.copy_(theirs[f"{key}.{name}"])
        if isinstance(self._tuner, AdaLoraModel):
            kept = {k.removeprefix(_MEMORY): v for k, v in state.items() if k.startswith(_MEMORY)}
            adalora.remember_ranks(self._tuner, {k: v.to(self.parameters[0].device) for k, v in kept.items()})


def _is_product(layer: BaseTunerLayer, name: str) -> bool:
    """Whether what it adds is scale · B(A(x)) and nothing else, of a layer that `train.products` knows."""
    if not isinstance(layer, LoraLayer) or isinstance(layer, AdaLoraLayer):
        return False
    base = layer.get_base_layer()
    fits = isinstance(base, nn.Linear) or (
        isinstance(base, nn.Conv2d) and base.groups == 1 and base.padding_mode == "zeros"
    )
    return fits and name not in layer.lora_variant and layer.lora_B[name].bias is None
