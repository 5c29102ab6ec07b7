"""What a trial learns from next: pictures, noise, times and captions, all drawn from its own generator.

An option that is off draws nothing, so it leaves every other draw where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from train.batch import Batch
from train.caches import Encoded, EncodedDataset
from train.epochs import num_batches, shapes_of_epoch
from train.objective import TrainingLoss
from train.spec import ObjectiveSpec, TrialSpec
from train.tags import vary
from train.texts import Texts

Picked = list[tuple[Encoded, list[int]]]
"""Pictures by their numbers, of one set after another."""
Latents = tuple[int, ...]
"""The shape of a batch of latents: B, C, h, w."""


class BatchSampler:
    """One trial's draws: pass after pass over all pictures, each as often as it is repeated.

    A micro-batch is of one shape and one epoch, so that the last of a shape in an epoch may be smaller. Regularisation
    pictures have passes of their own, as many rows as of the others. Which shape is next depends on the seed and
    the number of the micro-batch alone, so that trials of one seed and batch size that began together stay together
    (docs/decisions/007).
    """

    def __init__(self, trial: TrialSpec, objective: TrainingLoss, data: EncodedDataset, texts: Texts) -> None:
        self._size = trial.train.batch_size
        self._teaches_texts = trial.adapter.text_encoder
        self._objective = objective
        self._data = data
        self._texts = texts
        self._generator = torch.Generator().manual_seed(trial.train.seed)
        self._seed = trial.train.seed
        self._taken = 0
        """Micro-batches so far."""
        self._batches = num_batches([len(part.epoch) for part, _ in data.shapes], self._size)
        """Of an epoch, for each shape."""
        self.orders: list[list[int]] = [[] for _ in data.shapes]
        """For each shape, pictures of this epoch that are still to come; empty before any has."""
        self._prior_order: list[int] = []

    @property
    def next_shape(self) -> Latents:
        """The shape of the next micro-batch's latents, regularisation pictures left out."""
        part, order = self._data.shapes[self._next][0], self.orders[self._next]
        return min(self._size, len(order or part.epoch)), *part.means.shape[1:]

    @property
    def num_left(self) -> int:
        """Micro-batches of this epoch that are still to come; 0 after its last."""
        return -self._taken % sum(self._batches)

    @property
    def _next(self) -> int:
        """Number of the next micro-batch's shape."""
        epoch, place = divmod(self._taken, sum(self._batches))
        return shapes_of_epoch(self._seed, epoch, tuple(self._batches))[place]

    def next_batch(self) -> Batch:
        """Draw the next micro-batch."""
        spec, generator, picked = self._objective.spec, self._generator, self._pick()
        self._taken += 1
        seen = [(part, self._draw_views(part, rows)) for part, rows in picked]
        means = torch.cat([part.means[views] for part, views in seen])
        stds = torch.cat([part.stds[views] for part, views in seen])
        latents = means + stds * torch.randn(means.shape, generator=generator)
        noise = draw_noise(spec, means.shape, generator)
        perturbed = None
        if strength := spec.input_perturbation:
            perturbed = noise + strength * torch.randn(means.shape, generator=generator)
        timesteps = self._objective.process.draw(len(means), generator)
        embeddings, tokens = self._captions(picked)
        batch = Batch(latents, noise, timesteps, embeddings, tokens, perturbed, self._masks(seen), _sizes(seen))
        return self._with_class(batch, *picked[0]) if self._objective.preserves else batch

    def _with_class(self, batch: Batch, part: Encoded, rows: list[int]) -> Batch:
        """The batch with its pictures once more, as noisy, with the captions of their class; it draws nothing."""
        assert part.class_embeddings is not None and part.class_tokens is not None
        count = len(rows)

        def again(values: Tensor | None) -> Tensor | None:
            return None if values is None else torch.cat([values, values[:count]])

        doubled = {
            name: again(getattr(batch, name)) for name in ("latents", "noise", "timesteps", "perturbed", "sizes")
        }
        return replace(
            batch,
            **doubled,  # type: ignore[arg-type]
            masks=again(batch.masks),
            embeddings=torch.cat([batch.embeddings, part.class_embeddings[rows].to(batch.embeddings)]),
            tokens=torch.cat([batch.tokens, part.class_tokens[rows]]),
        )

    def _pick(self) -> Picked:
        number = self._next
        own, others = self._data.shapes[number]
        order = self.orders[number]
        if not order:
            order += _shuffle(own.epoch, self._generator)
        picked = [(own, _take(order, self._size))]
        if self._objective.prior and others is not None:
            count = len(picked[0][1])
            while len(self._prior_order) < count:
                self._prior_order += _shuffle(others.epoch, self._generator)
            picked.append((others, _take(self._prior_order, count)))
        return picked

    def _draw_views(self, part: Encoded, rows: list[int]) -> list[int]:
        """Rows of the latents: a view of each picture, drawn where it has several."""
        if part.views == 1:
            return rows
        views = torch.randint(part.views, (len(rows),), generator=self._generator).tolist()
        return [row * part.views + view for row, view in zip(rows, views, strict=True)]

    def _captions(self, picked: Picked) -> tuple[Tensor, Tensor]:
        """Embeddings and token ids; of captions that vary, only what the trial needs is theirs."""
        spec, data = self._objective.spec, self._data
        embeddings = torch.cat([part.embeddings[rows] for part, rows in picked])
        tokens = torch.cat([part.tokens[rows] for part, rows in picked])
        if spec.varies_captions:
            captions = self._vary(picked)
            if self._teaches_texts:
                return embeddings, self._texts.tokens(captions)
            return self._texts.embeddings(captions), tokens
        if spec.caption_dropout:
            dropped = self._draw_dropped(len(tokens))
            embeddings = torch.where(dropped[:, None, None], data.empty, embeddings)
            tokens = torch.where(dropped[:, None], data.empty_tokens, tokens)
        return embeddings, tokens

    def _vary(self, picked: Picked) -> list[str]:
        spec, trigger = self._objective.spec, self._data.trigger
        captions = [part.captions[row] for part, rows in picked for row in rows]
        captions = [vary(caption, spec, trigger, self._generator) for caption in captions]
        if not spec.caption_dropout:
            return captions
        return ["" if drop else own for own, drop in zip(captions, self._draw_dropped(len(captions)), strict=True)]

    def _draw_dropped(self, count: int) -> Tensor:
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
            "taken": self._taken,
            "orders": [list(order) for order in self.orders],
            "prior_order": list(self._prior_order),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` said."""
        self._generator.set_state(state["generator"])
        self._taken = int(state["taken"])
        self.orders, self._prior_order = [list(order) for order in state["orders"]], list(state["prior_order"])


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

    Noise i has the latents' own sides divided by rⁱ, with r drawn evenly from [2, 4) for each i; the last is the one
    with a side of 1. Source: kohya-ss/sd-scripts library/custom_train_functions.py `pyramid_noise_like`. Whitaker 2023,
    Multi-Resolution Noise for Diffusion Model Training, from which it comes, divides what the noise before had: there
    the sides fall to 1 in three or four steps and most of what is added are whole shifts.
    """
    size = noise.shape[2:]
    for i in range(iterations):
        shrink = float(2 + 2 * torch.rand(1, generator=generator)) ** i
        sides = [max(1, int(side / shrink)) for side in size]
        coarse = torch.randn((*noise.shape[:2], *sides), generator=generator)
        noise = noise + discount**i * F.interpolate(coarse, size, mode="bilinear")
        if 1 in sides:
            break
    return noise / noise.std()


def _shuffle(epoch: list[int], generator: torch.Generator) -> list[int]:
    return [epoch[place] for place in torch.randperm(len(epoch), generator=generator).tolist()]


def _take(order: list[int], count: int) -> list[int]:
    """The next so many numbers of an order, or those that are left."""
    taken = order[:count]
    del order[:count]
    return taken


def _sizes(picked: Picked) -> Tensor | None:
    sizes = [part.sizes[rows] for part, rows in picked if part.sizes is not None]
    return torch.cat(sizes) if sizes else None


def _masks_of(part: Encoded, rows: list[int]) -> Tensor:
    if part.masks is not None:
        return part.masks[rows]
    return torch.ones(len(rows), 1, *part.means.shape[2:])
