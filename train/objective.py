"""The denoising objective: what the denoiser gets, and what its error costs.

Errors are (B, C, h, w), times and weights (B,).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from foundation.bases.noising import Diffusion, Flow, NoiseProcess, PredictionType
from foundation.errors import ConfigError
from train.batch import Batch
from train.spec import ObjectiveSpec

_SNR_LIMIT = 1000.0
"""Debiased estimation counts no timestep as cleaner: the first ones would hardly weigh anything."""
_TIMES = 1000
_LEAST = 1e-6
"""A mask of zeros leaves nothing to divide by; its rows then cost nothing."""


@dataclass(frozen=True, slots=True)
class TrainingLoss:
    """One trial's loss. Equal ones can be computed together."""

    spec: ObjectiveSpec
    process: NoiseProcess = field(compare=False)
    """The base's own, as the trial changes it."""
    prior: bool = False
    """Whether the second part of a trial's rows are regularisation pictures."""

    @property
    def preserves(self) -> bool:
        """Whether the last part of a trial's rows are its pictures with the class word in the trigger's place."""
        return self.spec.preserve_class > 0

    @property
    def num_parts(self) -> int:
        """How many equal parts a trial's rows have."""
        return self.spec.num_parts(self.prior)

    @classmethod
    def of(cls, spec: ObjectiveSpec, process: NoiseProcess, has_regularization: bool = False) -> TrainingLoss:
        """A trial's loss over a base.

        Raises:
            ConfigError: when the base predicts something that an option is not made for.
        """
        return cls(spec, _process_of(spec, process), has_regularization and spec.prior_weight > 0)

    def noisy(self, batch: Batch) -> Tensor:
        """What the denoiser gets; with input perturbation noisier than its time says.

        Source: Ning et al. 2023, Input Perturbation Reduces Exposure Bias in Diffusion Models (arXiv:2301.11706).
        """
        noise = batch.noise if batch.perturbed is None else batch.perturbed
        return self.process.noisy(batch.latents, noise, batch.timesteps)

    def losses(self, predicted: Tensor, batch: Batch, num_trials: int, of_base: Tensor | None = None) -> Tensor:
        """Loss (K,) of each of the trials that have an equal share of the rows, in at least float32.

        With regularisation pictures it is the mean over the pictures plus `prior_weight` times the mean over those.
        Source: Ruiz et al. 2023, DreamBooth, equation 2. Where the class is preserved, `preserve_class` times the mean
        squared distance to what the frozen base says, `of_base`, of the last part of each trial's rows (K·B, C, h, w)
        comes on top: the differential output preservation of Ostris' ai-toolkit (`diff_output_preservation`).
        """
        precise = torch.promote_types(predicted.dtype, torch.float32)
        target = self.process.target(batch.latents, batch.noise, batch.timesteps)
        error = predicted.to(precise) - target.to(precise)
        costs = row_means(cost(self.spec, error, self._thresholds(batch.timesteps)), batch.masks, self.spec)
        weights = self._weights(batch.timesteps)
        rows = (costs if weights is None else weights.to(precise) * costs).view(num_trials, -1)
        parts = rows.chunk(self.num_parts, dim=1)
        losses = parts[0].mean(1)
        if self.prior:
            losses = losses + self.spec.prior_weight * parts[1].mean(1)
        if of_base is not None:
            kept = self.rows_of_class(predicted, num_trials).to(precise) - of_base.to(precise)
            losses = losses + self.spec.preserve_class * kept.square().reshape(num_trials, -1).mean(1)
        return losses

    def rows_of_class(self, rows: Tensor, num_trials: int) -> Tensor:
        """The last part of each trial's rows, (K·B, …), of rows (K·parts·B, …)."""
        return rows.reshape(num_trials, self.num_parts, -1, *rows.shape[1:])[:, -1].flatten(0, 1)

    def _weights(self, times: Tensor) -> Tensor | None:
        if self.spec.snr_gamma is not None:
            return snr_weights(self.spec.snr_gamma, self.process, times)
        return debiased_weights(self.process, times) if self.spec.debiased else None

    def _thresholds(self, times: Tensor) -> Tensor | None:
        return None if self.spec.loss == "mse" else huber_thresholds(self.spec, self.process, times)


def check_objectives(specs: Iterable[ObjectiveSpec], kind: PredictionType) -> None:
    """Raise when any of them cannot be trained over a base that predicts `kind`.

    Raises:
        ConfigError: with one line for each option that is not made for such a base.
    """
    problems = dict.fromkeys(line for spec in specs for line in _unfit(spec, kind))
    if problems:
        raise ConfigError(list(problems))


def _unfit(spec: ObjectiveSpec, kind: PredictionType) -> Iterator[str]:
    if kind == "flow" and (spec.snr_gamma is not None or spec.debiased):
        name = "debiased" if spec.debiased else "snr_gamma"
        yield f"objective.{name} is for bases that predict epsilon or v, this one predicts a flow"
    if spec.zero_terminal_snr and kind != "v_prediction":
        yield (
            f"objective.zero_terminal_snr needs a base that predicts v, this one predicts {kind}; "
            "epsilon says nothing of the picture where all is noise, and a flow ends in pure noise anyway"
        )


def _process_of(spec: ObjectiveSpec, process: NoiseProcess) -> NoiseProcess:
    check_objectives([spec], process.prediction_type)
    if isinstance(process, Flow):
        return replace(
            process,
            shift=process.shift if spec.flow_shift is None else spec.flow_shift,
            density=spec.flow_density,
            logit_mean=spec.flow_logit_mean,
            logit_std=spec.flow_logit_std,
        )
    if spec.zero_terminal_snr and isinstance(process, Diffusion):
        return process.with_zero_terminal_snr()
    return process


def snr_weights(snr_gamma: float, process: NoiseProcess, times: Tensor) -> Tensor:
    """min(SNR, γ) / SNR for ε, min(SNR, γ) / (SNR + 1) for v.

    Source: Hang et al. 2023, Efficient Diffusion Training via Min-SNR Weighting Strategy, section 3.4.
    """
    snr = process.snr(times)
    return snr.clamp(max=snr_gamma) / (snr + 1 if process.prediction_type == "v_prediction" else snr)


def debiased_weights(process: NoiseProcess, times: Tensor) -> Tensor:
    """1 / √SNR for ε, 1 / (SNR + 1) for v, with SNR at most 1000.

    Source: Yu et al. 2023, Debias the Training of Diffusion Models (arXiv:2310.08442), for ε; the form for v and the
    limit are those of kohya's sd-scripts (`apply_debiased_estimation`).
    """
    snr = process.snr(times).double().clamp(max=_SNR_LIMIT)
    return 1 / (snr + 1) if process.prediction_type == "v_prediction" else snr.rsqrt()


def huber_thresholds(spec: ObjectiveSpec, process: NoiseProcess, times: Tensor) -> Tensor:
    """Where the cost turns from square to straight, (B, 1, 1, 1).

    With c = `huber_c`: c; or c^(t / 1000); or (1 - c) / (1 + 1/√SNR)² + c. Source: Khrapov et al. 2024, Improving
    Diffusion Models's Data-Corruption Resistance using Scheduled Pseudo-Huber Loss (arXiv:2403.16728).
    """
    c = spec.huber_c
    if spec.huber_schedule == "exponential":
        thresholds = torch.exp(math.log(c) * times.double() / _TIMES)
    elif spec.huber_schedule == "snr":
        thresholds = (1 - c) / (1 + process.snr(times).double().rsqrt()).square() + c
    else:
        thresholds = torch.full((len(times),), c, dtype=torch.float64, device=times.device)
    return thresholds.view(-1, 1, 1, 1)


def cost(spec: ObjectiveSpec, error: Tensor, thresholds: Tensor | None) -> Tensor:
    """Each place's cost: d², or the pseudo-Huber 2c·(√(d² + c²) - c), or that divided by c.

    Source: as `huber_thresholds`; the two forms and their names are those of kohya's and diffusers' training scripts.
    `huber` becomes d² for large c, `smooth_l1` 2·|d| for small c.
    """
    if thresholds is None:
        return error.square()
    c = thresholds.to(error.dtype)
    straight = 2 * ((error.square() + c.square()).sqrt() - c)
    return c * straight if spec.loss == "huber" else straight


def row_means(costs: Tensor, masks: Tensor | None, spec: ObjectiveSpec) -> Tensor:
    """Mean (B,) of each row's costs, or Σ w·cost / Σ w with w = max(mask, `unmasked_weight`).

    Divided so, a small mask costs as much as a large one: OneTrainer's masked loss, normalized by the masked area.
    """
    every = tuple(range(1, costs.ndim))
    if masks is None:
        return costs.mean(dim=every)
    weights = masks.to(costs.dtype).clamp(min=spec.unmasked_weight)
    return (weights * costs).mean(dim=every) / weights.mean(dim=every).clamp(min=_LEAST)
