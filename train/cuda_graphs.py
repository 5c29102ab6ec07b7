"""CUDA graphs: the kernels of a forward and a backward pass, recorded once and from then on launched as a whole."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from foundation.errors import ConfigError, first_line

RecordedPass = Callable[..., Tensor]


def can_record(device: torch.device) -> bool:
    """Whether passes on a device can be recorded at all."""
    return device.type == "cuda"


class Graphs:
    """Recordings of one function, which share their memory: one for each kind of inputs.

    What is recorded is kernels with their addresses, no Python. So whatever the function reads beside its inputs must
    stay where it is, and what it does must hang on nothing but the shapes of its inputs and the arguments of `run`.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._learned: list[Tensor] = []
        self._recorded: dict[Hashable, RecordedPass] = {}

    def run(
        self, function: RecordedPass, inputs: Sequence[Tensor], learned: Sequence[Tensor], read: Sequence[Tensor]
    ) -> Tensor:
        """function(*inputs), replayed where it can be, else recorded first.

        `learned` are the leaves that get gradients; other ones than before make all recordings void. `read` are other
        tensors that change in place: a recording is for those that it was made with. The result is overwritten by the
        next run.

        Raises:
            ConfigError: when the function does what cannot be recorded.
        """
        if [id(each) for each in learned] != [id(each) for each in self._learned]:
            self._recorded.clear()
            self._learned, self._pool = [*learned], torch.cuda.graph_pool_handle()
        key = (tuple(_kind(each) for each in inputs), tuple(id(each) for each in read))
        if key not in self._recorded:
            self._recorded[key] = self._record(function, inputs)
        return self._recorded[key](*inputs, *self._learned)

    def _record(self, function: RecordedPass, inputs: Sequence[Tensor]) -> RecordedPass:
        """Let PyTorch warm up, record forward and backward, and make one node of autograd's graph of both."""
        count = len(inputs)
        samples = [each.detach().clone().requires_grad_(each.requires_grad) for each in inputs]
        try:
            recorded: Any = torch.cuda.make_graphed_callables(
                lambda *given: function(*given[:count]),
                (*samples, *self._learned),
                allow_unused_input=True,
                pool=self._pool,
            )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = first_line(error)
            raise ConfigError(
                [f"train.cuda_graphs: this base's pass cannot be recorded ({reason}); set it to false"]
            ) from error
        return recorded  # type: ignore[no-any-return]


def _kind(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.dtype, tensor.requires_grad
