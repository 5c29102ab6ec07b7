"""What all families share: a frozen diffusers pipeline on one device, and its adapters' way to files and back."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from foundation.bases.noising import NoiseProcess
from foundation.bases.offload import Blocks, Parts, blocks_of, executing_on
from foundation.bases.port import Saved
from foundation.bases.quantization import plain_tensors
from foundation.bases.spec import BaseSpec, Offload
from foundation.data.tokens import caption_reader, num_longer
from foundation.errors import BaseModelError

_SUMMED_AT_ONCE: Final = 2**26
"""Weights; in float64, with their squares, 1 GiB."""


class FrozenPipeline(ABC):
    """The part of `port.Base` that is the same for every family; see there."""

    family: ClassVar[str]
    """Its name in `base.family`."""
    reads_sizes: ClassVar[bool] = False
    """See `Base`."""
    pipeline_class: ClassVar[Any]
    """Of diffusers."""
    denoiser_name: ClassVar[str] = "transformer"
    """The pipeline's name for the denoiser."""
    targets: ClassVar[Mapping[str, Sequence[str]]]
    """The denoiser's layers by preset."""
    latents_by: ClassVar[int] = 1
    """The sides of a latent are multiples of this."""
    default_tokens: ClassVar[int | None] = None
    """Of a caption, where that can be chosen: what its pipeline reads by itself."""
    blocks: ClassVar[str] = r"(single_)?transformer_blocks\.\d+"
    """The denoiser's blocks that are checkpoints of activations, by their names: what `base.offload` moves."""

    def __init__(self, pipeline: Any, spec: BaseSpec, device: torch.device) -> None:
        self.offload: Offload = spec.offload
        self._parts: Parts | None = None
        self._blocks: Blocks | None = None
        self._lay_out(pipeline, device)
        self._pipeline = pipeline.to(device) if spec.offload == "none" else self._spread(pipeline, device)
        self._pipeline.set_progress_bar_config(disable=True)
        for module in self._frozen():
            module.requires_grad_(False).eval()
        self.resolution = spec.resolution
        self.max_tokens = self.default_tokens and (spec.max_tokens or self.default_tokens)
        self.device = device
        self.dtype: torch.dtype = self.denoiser.dtype  # type: ignore[assignment]
        self.check_side(self.resolution, "base.resolution")
        self.fingerprint = self._fingerprint()
        self.process: NoiseProcess = self._process()

    def _lay_out(self, pipeline: Any, device: torch.device) -> None:
        """Change how weights lie in memory, before they come to the device; most families change nothing."""
        return

    def _spread(self, pipeline: Any, device: torch.device) -> Any:
        """Leave on the device what is always at work, and let the rest come when it is."""
        denoiser = getattr(pipeline, self.denoiser_name)
        parts = [each for each in pipeline.components.values() if isinstance(each, nn.Module)]
        if self.offload == "blocks":
            parts.remove(denoiser)
            self._blocks = Blocks(denoiser, blocks_of(denoiser, self.blocks), device)
        self._parts = Parts(parts, device)
        denoiser.register_forward_pre_hook(self._parts.make_room)
        return executing_on(pipeline, device)

    def rest(self) -> None:
        """See `Base`."""
        if self._parts is not None:
            self._parts.leave()

    def keep_at_hand(self, module: nn.Module) -> None:
        """See `Base`."""
        if self._parts is not None:
            self._parts.keep(module)

    def backward(self) -> AbstractContextManager[None]:
        """See `Base`."""
        return nullcontext() if self._blocks is None else self._blocks.backward()

    @staticmethod
    def options(spec: BaseSpec) -> dict[str, Any]:
        """What its pipeline is loaded with, beside type and weights."""
        return {}

    @staticmethod
    def own_side(pipeline: Any) -> int:
        """Side of the pictures that diffusers' pipeline draws by itself, pixels."""
        return int(pipeline.default_sample_size) * int(pipeline.vae_scale_factor)

    @abstractmethod
    def _process(self) -> NoiseProcess:
        """The noise that the denoiser was trained with."""

    def _settings(self) -> tuple[object, ...]:
        """What of the config changes what is computed."""
        return () if self.max_tokens is None else (self.max_tokens,)

    def _frozen(self) -> list[Any]:
        """Denoiser, autoencoder and text encoders."""
        parts = self._pipeline.components
        encoders = [parts[name] for name in sorted(parts) if name.startswith("text_encoder")]
        return [parts[self.denoiser_name], parts["vae"], *(each for each in encoders if each is not None)]

    def check_side(self, side: int, setting: str) -> None:
        """See `Base`."""
        multiple: int = self._pipeline.vae_scale_factor * self.latents_by
        if side % multiple:
            raise BaseModelError(
                f"{setting} must be a multiple of {multiple} for this base, got {side}; "
                f"try {max(1, side // multiple) * multiple}"
            )

    @property
    def denoiser(self) -> nn.Module:
        """The UNet or transformer."""
        denoiser: nn.Module = getattr(self._pipeline, self.denoiser_name)
        return denoiser

    @property
    def text_encoder(self) -> nn.Module:
        """The first one."""
        encoder: nn.Module = self._pipeline.text_encoder
        return encoder

    @property
    def pipeline(self) -> Any:
        """See `Base`."""
        return self._pipeline

    @property
    def sampling(self) -> dict[str, Any]:
        """See `Base`."""
        size = {"height": self.resolution, "width": self.resolution}
        return size if self.max_tokens is None else {**size, "max_sequence_length": self.max_tokens}

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Base`."""
        vae = self._pipeline.vae
        posterior = vae.encode(pixels.to(self.device, vae.dtype)).latent_dist
        scale, shift = vae.config.scaling_factor, getattr(vae.config, "shift_factor", None) or 0.0
        mean = posterior.mean if shift == 0 else posterior.mean - shift
        return (mean * scale).float(), (posterior.std * scale).float()

    @torch.no_grad()
    def decode_images(self, latents: Tensor) -> Tensor:
        """See `Base`."""
        vae = self._pipeline.vae
        scale, shift = vae.config.scaling_factor, getattr(vae.config, "shift_factor", None) or 0.0
        decoded: Tensor = vae.decode((latents.to(self.device) / scale + shift).to(vae.dtype)).sample
        return decoded.float()

    @property
    def caption_tokens(self) -> int:
        """See `Base`."""
        own = int(self._reader.model_max_length)
        return own if self.max_tokens is None else min(own, self.max_tokens)

    def num_cut(self, captions: Sequence[str]) -> int:
        """See `Base`."""
        return num_longer(self._reader, captions, self.caption_tokens)

    @property
    def _reader(self) -> Any:
        return caption_reader(self._pipeline)

    def target_modules(self, preset: str) -> list[str]:
        """See `Base`."""
        return list(self.targets[preset])

    def save_adapter(self, folder: Path, denoiser: Saved, text_encoder: Saved | None = None) -> None:
        """See `Base`. diffusers keeps alpha only in the header's metadata; without it alpha = rank is assumed.

        A UNet's names stay PEFT's: with its own older names diffusers' loader drops attention beside convolutions.
        """
        parts = self.parts_of(denoiser, text_encoder)
        for name in parts.keys() - {self.denoiser_name}:
            parts[name] = Saved(_as_others_name(parts[name].state), parts[name].config)
        layers = {f"{name}_lora_layers": saved.state for name, saved in parts.items()}
        headers = {f"{name}_lora_adapter_metadata": saved.config for name, saved in parts.items()}
        type(self._pipeline).save_lora_weights(folder, safe_serialization=True, **layers, **headers)

    def parts_of(self, denoiser: Saved, text_encoder: Saved | None) -> dict[str, Saved]:
        """See `Base`."""
        return {self.denoiser_name: denoiser} | ({} if text_encoder is None else {"text_encoder": text_encoder})

    def _fingerprint(self) -> str:
        """A hash over configs and sums of weights: cheap, and different for different weights."""
        digest = hashlib.sha256("".join(f"{each} " for each in self._settings()).encode())
        for module in self._frozen():
            config = module.config if isinstance(module.config, dict) else module.config.to_dict()
            digest.update(json.dumps({k: str(v) for k, v in sorted(dict(config).items())}).encode())
            for name, parameter in module.named_parameters():
                for plain in plain_tensors(parameter.detach()):
                    sums = [each.item() for each in _sums(plain)]
                    digest.update(f"{name} {sums[0]:.12e} {sums[1]:.12e}".encode())
        return digest.hexdigest()[:16]


def _sums(weights: Tensor) -> Tensor:
    """Sums of weights and of their squares (2,), in float64, in parts: a large embedding is not copied as a whole."""
    large = weights.numel() > _SUMMED_AT_ONCE
    parts = torch.split(weights.flatten(), _SUMMED_AT_ONCE) if large else (weights,)
    doubles = (part.double() for part in parts)
    return torch.stack([torch.stack([each.sum(), each.square().sum()]) for each in doubles]).sum(0)


def _as_others_name(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text encoder's tensors under the names that files have.

    transformers 5 took `text_model` out of its modules, but it is in all files, and who reads them counts on it. What
    it reads a DoRA's magnitude from ends as all weights do, unlike in PEFT's state dict.
    """
    named = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()}
    return {f"{name}.weight" if name.endswith("vector") else name: tensor for name, tensor in named.items()}
