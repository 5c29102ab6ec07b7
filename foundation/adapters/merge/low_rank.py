"""The best approximation of a product B·A by one of another rank."""

from __future__ import annotations

import torch
from torch import Tensor


def as_matrix(down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """A (r, in·k·k) and B (out, r) of a layer, convolution or not, in float64: ΔW is B·A, reshaped."""
    return down.double().flatten(1), up.double().flatten(1)


def in_shape(A: Tensor, B: Tensor, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:  # noqa: N803, the formula's names
    """A and B in the shape and type of a layer's own `down` and `up`, but for the rank."""
    shaped_down = A.reshape(len(A), *down.shape[1:]).to(down.dtype).contiguous()
    return shaped_down, B.reshape(len(B), -1, *up.shape[2:]).to(up.dtype).contiguous()


def truncate(A: Tensor, B: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:  # noqa: N803
    """A' (k, in) and B' (out, k), k ≤ rank, with the least ‖B·A − B'·A'‖; and all singular values of B·A.

    The factors are orthogonalised first, so that no matrix of the layer's size is ever decomposed.

    Source: Eckart & Young 1936, The approximation of one matrix by another of lower rank.
    """
    Q_b, R_b = torch.linalg.qr(B)
    Q_a, R_a = torch.linalg.qr(A.mT)
    U, S, Vh = torch.linalg.svd(R_b @ R_a.mT, full_matrices=False)
    kept = slice(min(rank, len(S)))
    return Vh[kept] @ Q_a.mT, Q_b @ (U[:, kept] * S[kept]), S
