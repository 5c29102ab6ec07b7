"""One trial's adapter: its parts in the denoiser and in the text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foundation.adapters import files as adapter_files
from foundation.adapters.files import WEIGHTS_FILE
from foundation.bases.port import Base, Saved
from foundation.bases.quantization import is_packed
from foundation.errors import AdapterError
from train.adapters.configs import denoiser_config, text_config
from train.adapters.part import ModuleAdapter
from train.spec import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS

_TEXT = "text_encoder."
"""Before the names of the text encoder's tensors in a training state; those of the denoiser stand alone."""


class TrialAdapter:
    """A freshly initialised adapter over a base, which itself stays as it is.

    The same seed gives the same weights, whatever else happened in the process, and the denoiser's whether or not the
    text encoder has any. `steps` is how long it will be trained.

    Raises:
        AdapterError: when no layer has a name in `adapter.targets`, or the kind cannot adapt one that has.
    """

    def __init__(self, base: Base, name: str, spec: AdapterSpec, seed: int, steps: int) -> None:
        if is_packed(base.denoiser) and not ADAPTER_KINDS[spec.name].packed:
            able = ", ".join(name for name, kind in ADAPTER_KINDS.items() if kind.packed)
            raise AdapterError(
                f"adapter {spec.name} needs a base whose weights are whole; with base.quantization take {able}"
            )
        self.name = name
        self._base = base
        self._spec = spec
        device = base.device
        with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
            torch.manual_seed(seed)
            self._denoiser = ModuleAdapter(base.denoiser, name, spec, denoiser_config(spec, base, steps), device)
            self._text: ModuleAdapter | None = None
            if spec.text_encoder:
                base.keep_at_hand(base.text_encoder)
                self._text = ModuleAdapter(base.text_encoder, name, spec, text_config(spec, base, steps), device)

    @property
    def parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What is trained (float32) in the denoiser and in the text encoder, in PEFT's order."""
        return self._denoiser.parameters, self._text.parameters if self._text else []

    @property
    def names(self) -> dict[nn.Parameter, str]:
        """What each of its parameters is called, those of text encoders with `text_encoder.` before it."""
        return {each: f"{prefix}{name}" for prefix, part in self._parts.items() for each, name in part.names.items()}

    @property
    def stacked_parameters(self) -> set[Tensor]:
        """Those of its parameters that lie in stacks during a pass, whose gradients are handed over from there."""
        products = [product for part in self._parts.values() for product in part.products.values()]
        return {each for product in products for each in (product.learned.down, product.learned.up)}

    def part_in(self, module: nn.Module) -> ModuleAdapter | None:
        """Its part in this module of the base."""
        return self._denoiser if module is self._base.denoiser else self._text

    def penalty(self) -> Tensor | None:
        """What the kind adds to the loss of a pass, without dimensions."""
        own = [penalty for part in self._parts.values() if (penalty := part.penalty()) is not None]
        return torch.stack(own).sum() if own else None

    def after_step(self, step: int) -> None:
        """To be called when the optimizer took step number `step`, from 1, before the gradients are cleared."""
        for part in self._parts.values():
            part.after_step(step)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write it as `WEIGHTS_FILE`, in numbers of `dtype`, in its kind's format (`foundation.adapters.files`)."""
        denoiser, text = (
            None if part is None else _in(dtype, *part.state_to_save()) for part in (self._denoiser, self._text)
        )
        assert denoiser is not None
        saved = _to_save(*denoiser), text and _to_save(*text)
        if ADAPTER_KINDS[self._spec.name].as_lora:
            self._base.save_adapter(folder, *saved)
            return
        parts = self._base.parts_of(*saved)
        adapter_files.write_parts(
            folder / WEIGHTS_FILE,
            {name: adapter_files.AdapterPart(own.state, own.config) for name, own in parts.items()},
        )

    def state(self) -> dict[str, Tensor]:
        """All that a resumed training of it hangs on, copied."""
        return {f"{prefix}{key}": each for prefix, part in self._parts.items() for key, each in part.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave of an adapter with the same spec.

        Raises:
            AdapterError: when names or shapes differ.
        """
        for prefix, part in self._parts.items():
            own = {key: each for key, each in state.items() if key.startswith(_TEXT) == (prefix == _TEXT)}
            part.load_state({key.removeprefix(prefix): each for key, each in own.items()})

    @property
    def _parts(self) -> dict[str, ModuleAdapter]:
        """By what stands before the names of their tensors in a training state."""
        return {"": self._denoiser} if self._text is None else {"": self._denoiser, _TEXT: self._text}


def _in(
    dtype: torch.dtype, state: Mapping[str, Tensor], config: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What is saved of a part, in other numbers."""
    return {key: tensor.to(dtype) for key, tensor in state.items()}, config


def _to_save(state: dict[str, Tensor], config: dict[str, object]) -> Saved:
    return Saved({key: tensor.cpu().contiguous() for key, tensor in state.items()}, config)
