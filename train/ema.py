"""The moving average of a trial's parameters over its steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average: after step n it is decay · itself + (1 - decay) · the parameters.

    decay is min(`most`, (1+m)/(10+m)) with m = n - 1, and 0 at the first step, so that where training started is soon
    forgotten. Source: diffusers' `EMAModel`, after TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], most: float) -> None:
        self._parameters = parameters
        self._most = most
        self.values: list[Tensor] = [parameter.detach().clone() for parameter in parameters]
        """As the parameters, one for each."""

    @torch.no_grad()
    def take_in(self, step: int) -> None:
        """Take in the parameters as they are after `step`, 1 for the first. Nothing is waited for."""
        before = step - 1
        decay = min(self._most, (1 + before) / (10 + before)) if before else 0.0
        torch._foreach_lerp_(self.values, [*self._parameters], 1 - decay)

    def load(self, values: Sequence[Tensor]) -> None:
        """Go on from saved `values`."""
        torch._foreach_copy_(self.values, [*values])
