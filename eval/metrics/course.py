"""The metrics of the validation loss and its way here, each a function of what the judge saw.

The base itself is where the way began. Its lowest value may lie between two evaluations. Whether it rises is judged by
the evaluations alone, which lie far enough apart. All are NaN without held-out pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from eval.metrics import losses
from eval.metrics.registry import BIN
from eval.metrics.seen import Seen


def val_ratio_of(seen: Seen) -> float:
    """The loss over the base's."""
    return losses.ratio_to_base(seen.validation_losses, seen.base_validation_losses)


def val_rise_of(seen: Seen) -> float:
    """The loss over its lowest so far, less 1; infinite where it is no number any more."""
    if not len(seen.validation_losses):
        return math.nan
    now = _now(seen)
    if not math.isfinite(float(now.mean())):
        return math.inf
    return losses.generalization_loss([float(_lowest(seen).mean()), float(now.mean())]) / 100


def val_t_of(seen: Seen) -> float:
    """Paired t of the rise over the pictures; infinite where the loss is no number any more."""
    if not len(seen.validation_losses):
        return math.nan
    now = _now(seen)
    return losses.paired_log_t(now, _lowest(seen)) if math.isfinite(float(now.mean())) else math.inf


def val_rose_in_a_row_of(seen: Seen) -> float:
    """Whether it rose at each of the last evaluations, 0 or 1."""
    if not len(seen.validation_losses):
        return math.nan
    series = [float(values.mean()) for values in [*_at_evaluations(seen), _now(seen)]]
    return float(losses.rose_in_a_row(series, seen.spec.thresholds.rises))


def in_detail(seen: Seen) -> dict[str, float]:
    """The loss itself, and its ratio to the base's in each range of timesteps; none without held-out pictures."""
    if not len(seen.validation_losses):
        return {}
    ratios = losses.bin_ratios(seen.validation_losses, seen.base_validation_losses)
    bins = {f"{BIN}{number}": float(ratio) for number, ratio in enumerate(ratios)}
    return {"val_loss": float(_now(seen).mean()), **bins}


def _now(seen: Seen) -> Tensor:
    """Each picture's loss (N,)."""
    return losses.image_means(seen.validation_losses)


def _at_evaluations(seen: Seen) -> list[Tensor]:
    """The same of the base and of the earlier evaluations, where it was a number."""
    base = losses.image_means(seen.base_validation_losses)
    return _finite([base, *(_tensor(past.validation_losses) for past in seen.history)])


def _lowest(seen: Seen) -> Tensor:
    """The same where its mean was lowest so far."""
    between = _finite([_tensor(each.losses) for each in seen.validations])
    return min([*_at_evaluations(seen), *between], key=lambda values: float(values.mean()))


def _finite(series: Sequence[Tensor]) -> list[Tensor]:
    return [values for values in series if bool(values.isfinite().all())]


def _tensor(values: Sequence[float]) -> Tensor:
    return torch.tensor(tuple(values), dtype=torch.float64)
