"""Stable Diffusion 1.x and 2.x, and the pocket base, which has their layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor, nn

from foundation.errors import AdapterError, BaseModelError
from train.bases.folder import check_folder
from train.bases.port import Saved
from train.noising import Diffusion, NoiseProcess
from train.spec import BaseSpec

_ATTENTION: Final = ("to_q", "to_k", "to_v", "to_out.0")
_FEED_FORWARD: Final = ("ff.net.0.proj", "ff.net.2")
_REST: Final = ("proj_in", "proj_out", "time_emb_proj")
_CONVOLUTIONS: Final = ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
TARGETS: Final = {
    "attention": [*_ATTENTION],
    "attention+ff": [*_ATTENTION, *_FEED_FORWARD],
    "all": [*_ATTENTION, *_FEED_FORWARD, *_REST, *_CONVOLUTIONS],
}

_TEXT_ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "out_proj")
_TEXT_FEED_FORWARD: Final = ("fc1", "fc2")
TEXT_TARGETS: Final = {
    "attention": [*_TEXT_ATTENTION],
    "attention+ff": [*_TEXT_ATTENTION, *_TEXT_FEED_FORWARD],
    "all": [*_TEXT_ATTENTION, *_TEXT_FEED_FORWARD],
}


class StableDiffusion:
    """`train.bases.Base` over a `StableDiffusionPipeline`."""

    def __init__(self, pipeline: StableDiffusionPipeline, resolution: int, device: torch.device) -> None:
        self._pipeline = pipeline.to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        for module in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            module.requires_grad_(False).eval()
        for module in (pipeline.unet, pipeline.vae):  # convolutions run faster so, on CPUs as on tensor cores
            module.to(memory_format=torch.channels_last)
        self.resolution = resolution
        self.device = device
        self.dtype: torch.dtype = pipeline.unet.dtype
        self.fingerprint = _fingerprint(pipeline)
        scheduler = pipeline.scheduler
        self.process: NoiseProcess = Diffusion(
            scheduler.alphas_cumprod.to(device, torch.float32), scheduler.config.prediction_type
        )

    @property
    def denoiser(self) -> nn.Module:
        """The UNet."""
        unet: nn.Module = self._pipeline.unet
        return unet

    @property
    def text_encoder(self) -> nn.Module:
        """CLIP's text model."""
        encoder: nn.Module = self._pipeline.text_encoder
        return encoder

    @property
    def pipeline(self) -> StableDiffusionPipeline:
        """The pipeline, safety checker off: it judges photographs, and costs more than a pocket sample."""
        return self._pipeline

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Base`."""
        vae = self._pipeline.vae
        posterior = vae.encode(pixels.to(self.device, vae.dtype)).latent_dist
        scale = vae.config.scaling_factor
        return (posterior.mean * scale).float(), (posterior.std * scale).float()

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """See `Base`."""
        tokenizer = self._pipeline.tokenizer
        tokens: Tensor = tokenizer(
            list(captions),
            padding="max_length",
            truncation=True,
            max_length=tokenizer.model_max_length,
            return_tensors="pt",
        ).input_ids
        return tokens

    def embed(self, tokens: Tensor) -> Tensor:
        """See `Base`."""
        embeddings: Tensor = self._pipeline.text_encoder(tokens.to(self.device)).last_hidden_state
        return embeddings

    @torch.no_grad()
    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """See `Base`."""
        return self.embed(self.tokenize(captions)).float()

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        """See `Base`."""
        noisy = noisy.to(self.dtype, memory_format=torch.channels_last)
        output: Tensor = self._pipeline.unet(
            noisy, timesteps, encoder_hidden_states=embeddings.to(self.dtype), return_dict=False
        )[0]
        return output

    def target_modules(self, preset: str) -> list[str]:
        """See `Base`."""
        return list(TARGETS[preset])

    def text_target_modules(self, preset: str) -> list[str]:
        """See `Base`."""
        return list(TEXT_TARGETS[preset])

    def save_adapter(self, folder: Path, denoiser: Saved, text_encoder: Saved | None = None) -> None:
        """See `Base`. diffusers keeps alpha only in the header's metadata; without it alpha = rank is assumed.

        The UNet's names stay PEFT's: with its own older names diffusers' loader drops attention beside convolutions.
        """
        StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=denoiser.state,
            unet_lora_adapter_metadata=denoiser.config,
            text_encoder_lora_layers=text_encoder and _as_others_name(text_encoder.state),
            text_encoder_lora_adapter_metadata=text_encoder and text_encoder.config,
            safe_serialization=True,
        )

    def load_adapter(self, folder: Path, name: str) -> None:
        """See `Base`."""
        try:
            with _types_kept(self._pipeline.text_encoder):
                self._pipeline.load_lora_weights(str(folder), adapter_name=name)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise AdapterError(f"{folder} could not be loaded into the base: {error}") from error


def load_stable_diffusion(spec: BaseSpec, path: str, device: torch.device, dtype: torch.dtype) -> StableDiffusion:
    """Load a diffusers folder or a hub id; safetensors only.

    Raises:
        BaseModelError: when `path` is no such pipeline.
    """
    check_folder(path)
    folder = Path(path).expanduser()
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder if folder.exists() else path,
            dtype=dtype,
            use_safetensors=True,
            safety_checker=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BaseModelError(f"base.path {path} is no Stable Diffusion pipeline that loads: {reason}") from error
    return StableDiffusion(pipeline, spec.resolution, device)


def _as_others_name(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text encoder's tensors under the names that files have.

    transformers 5 took `text_model` out of its modules, but it is in all files, and who reads them counts on it. What
    it reads a DoRA's magnitude from ends as all weights do, unlike in PEFT's state dict.
    """
    named = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()}
    return {f"{name}.weight" if name.endswith("vector") else name: tensor for name, tensor in named.items()}


@contextmanager
def _types_kept(module: nn.Module) -> Iterator[None]:
    """diffusers casts a text encoder to one type after loading into it; adapters that are there stay float32."""
    tensors = [each for parameter in module.parameters() for each in (parameter, parameter.grad) if each is not None]
    before = [(each, each.data) for each in tensors]
    try:
        yield
    finally:
        for each, data in before:
            each.data = data


def _fingerprint(pipeline: StableDiffusionPipeline) -> str:
    """A hash over configs and sums of weights: cheap, and different for different weights."""
    digest = hashlib.sha256()
    for module in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        config = module.config if isinstance(module.config, dict) else module.config.to_dict()
        digest.update(json.dumps({k: str(v) for k, v in sorted(dict(config).items())}).encode())
        for name, parameter in module.named_parameters():
            weights = parameter.detach().double()
            digest.update(f"{name} {weights.sum().item():.12e} {weights.square().sum().item():.12e}".encode())
    return digest.hexdigest()[:16]
