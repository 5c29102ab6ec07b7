"""What a trial learns from next: pictures, noise, times and captions, all drawn from its own generator.

An option that is off draws nothing, so it leaves every other draw where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from train.batch import Batch
from train.caches import Encoded, EncodedDataset
from train.objective import Objective
from train.spec import ObjectiveSpec, TrialSpec
from train.tags import varied
from train.texts import Texts

Picked = list[tuple[Encoded, list[int]]]
"""Pictures by their numbers, of one set after another."""


class Draws:
    """One trial's draws. Every picture comes once before any comes twice, and so do regularisation pictures."""

    def __init__(self, trial: TrialSpec, objective: Objective, data: EncodedDataset, texts: Texts) -> None:
        self._size = trial.train.batch_size
        self._teaches_texts = trial.adapter.text_encoder
        self._objective = objective
        self._data = data
        self._texts = texts
        self._generator = torch.Generator().manual_seed(trial.train.seed)
        self.order: list[int] = []
        """Pictures of this round that are still to come."""
        self._prior_order: list[int] = []

    def next_batch(self) -> Batch:
        """Draw the next micro-batch."""
        spec, generator, picked = self._objective.spec, self._generator, self._pick()
        means = torch.cat([part.means[rows] for part, rows in picked])
        stds = torch.cat([part.stds[rows] for part, rows in picked])
        latents = means + stds * torch.randn(means.shape, generator=generator)
        noise = draw_noise(spec, means.shape, generator)
        perturbed = None
        if strength := spec.input_perturbation:
            perturbed = noise + strength * torch.randn(means.shape, generator=generator)
        timesteps = self._objective.process.draw(len(means), generator)
        embeddings, tokens = self._captions(picked)
        return Batch(latents, noise, timesteps, embeddings, tokens, perturbed, self._masks(picked))

    def _pick(self) -> Picked:
        picked = [(self._data.train, _take(self.order, self._size, len(self._data.train), self._generator))]
        if self._objective.prior and (others := self._data.regularization) is not None:
            picked.append((others, _take(self._prior_order, self._size, len(others), self._generator)))
        return picked

    def _captions(self, picked: Picked) -> tuple[Tensor, Tensor]:
        """Embeddings and token ids; of captions that vary, only what the trial needs is theirs."""
        spec, data = self._objective.spec, self._data
        embeddings = torch.cat([part.embeddings[rows] for part, rows in picked])
        tokens = torch.cat([part.tokens[rows] for part, rows in picked])
        if spec.varies_captions:
            captions = self._varied(picked)
            if self._teaches_texts:
                return embeddings, self._texts.tokens(captions)
            return self._texts.embeddings(captions), tokens
        if spec.caption_dropout:
            dropped = self._dropped(len(tokens))
            embeddings = torch.where(dropped[:, None, None], data.empty, embeddings)
            tokens = torch.where(dropped[:, None], data.empty_tokens, tokens)
        return embeddings, tokens

    def _varied(self, picked: Picked) -> list[str]:
        spec, trigger = self._objective.spec, self._data.trigger
        captions = [part.captions[row] for part, rows in picked for row in rows]
        captions = [varied(caption, spec, trigger, self._generator) for caption in captions]
        if not spec.caption_dropout:
            return captions
        return ["" if drop else own for own, drop in zip(captions, self._dropped(len(captions)), strict=True)]

    def _dropped(self, count: int) -> Tensor:
        """Which rows' captions are replaced by the empty one, (B,)."""
        return torch.rand(count, generator=self._generator) < self._objective.spec.caption_dropout

    def _masks(self, picked: Picked) -> Tensor | None:
        if self._data.train.masks is None or self._objective.spec.unmasked_weight == 1:
            return None
        return torch.cat([_masks_of(part, rows) for part, rows in picked])

    def state(self) -> dict[str, Any]:
        """Where the draws stand."""
        return {
            "generator": self._generator.get_state(),
            "order": list(self.order),
            "prior_order": list(self._prior_order),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` said."""
        self._generator.set_state(state["generator"])
        self.order, self._prior_order = list(state["order"]), list(state["prior_order"])


def draw_noise(spec: ObjectiveSpec, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Noise (B, C, h, w) that the denoiser is to find: Gaussian, with the options' additions.

    With an offset whole channels shift, so that pictures can grow darker or lighter. Source:
    crosslabs.org/blog/diffusion-with-offset-noise.
    """
    noise = torch.randn(shape, generator=generator)
    if offset := spec.noise_offset:
        noise = noise + offset * torch.randn((*shape[:2], 1, 1), generator=generator)
    if spec.multires_iterations:
        noise = with_coarser_noise(noise, spec.multires_iterations, spec.multires_discount, generator)
    return noise


def with_coarser_noise(noise: Tensor, iterations: int, discount: float, generator: torch.Generator) -> Tensor:
    """Noise plus Σ discountⁱ · upsampled noise of ever smaller sides, brought back to a standard deviation of 1.

    At iteration i the sides shrink by rⁱ, with r drawn evenly from [2, 4); it ends when one is 1. Source: Whitaker
    2023, Multi-Resolution Noise for Diffusion Model Training, as kohya's sd-scripts have it (`pyramid_noise_like`).
    """
    size, sides = noise.shape[2:], [int(side) for side in noise.shape[2:]]
    for i in range(iterations):
        shrink = float(2 + 2 * torch.rand(1, generator=generator)) ** i
        sides = [max(1, int(side / shrink)) for side in sides]
        coarse = torch.randn((*noise.shape[:2], *sides), generator=generator)
        noise = noise + discount**i * F.interpolate(coarse, size, mode="bilinear")
        if 1 in sides:
            break
    return noise / noise.std()


def _take(order: list[int], count: int, total: int, generator: torch.Generator) -> list[int]:
    """The next numbers of an order, which is drawn anew as often as needed."""
    while len(order) < count:
        order += torch.randperm(total, generator=generator).tolist()
    taken = order[:count]
    del order[:count]
    return taken


def _masks_of(part: Encoded, rows: list[int]) -> Tensor:
    if part.masks is not None:
        return part.masks[rows]
    return torch.ones(len(rows), 1, *part.means.shape[2:])
