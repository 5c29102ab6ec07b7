"""The moving average of a trial's parameters over its steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn


class Average:
    """diffusers' exponential moving average: after step n it is decay · itself + (1 - decay) · the parameters.

    decay is min(`most`, (1+m)/(10+m)) with m = n - 1, and 0 at the first step, so that where training started is soon
    forgotten. Which step it is, the trial says: it may go on from a state, with `values` of its own.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], most: float) -> None:
        self._parameters = parameters
        self._model = EMAModel(parameters, decay=most, foreach=True)

    @property
    def values(self) -> list[Tensor]:
        """As the parameters, one for each."""
        return [*self._model.shadow_params]

    def take_in(self, step: int) -> None:
        """Take in the parameters as they are after `step`, 1 for the first. Nothing is waited for."""
        self._model.optimization_step = step - 1
        self._model.step(self._parameters)

    @torch.no_grad()
    def load(self, values: Sequence[Tensor]) -> None:
        """Go on from saved `values`."""
        torch._foreach_copy_(self.values, [*values])
