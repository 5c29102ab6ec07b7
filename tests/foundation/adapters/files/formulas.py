"""What each kind's file makes of a weight, written out in float64 after its own program's code, and random such files.

Each function takes a weight and a generator and returns the layer's tensors, by their names after the layer's, and the
weight that acts. Sources: LyCORIS lycoris/modules and lycoris/functional; sd-scripts networks/lora.py and oft.py; DoRA:
Liu et al. 2024, equation 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Made = tuple[dict[str, Tensor], Tensor]
RANK = 3


def _random(g: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=g) * 0.5


def lora(weight: Tensor, g: torch.Generator, alpha: float | None = 1.5) -> Made:
    down = _random(g, RANK, *weight.shape[1:])
    up = _random(g, len(weight), RANK, *[1] * (weight.ndim - 2))
    tensors = {"lora_down.weight": down, "lora_up.weight": up}
    if alpha is not None:
        tensors["alpha"] = torch.tensor(alpha)
    product = torch.zeros_like(weight, dtype=torch.float64)
    for r in range(RANK):
        product += torch.einsum("o,i...->oi...", up.double().reshape(len(weight), RANK)[:, r], down.double()[r])
    return tensors, weight.double() + (1.0 if alpha is None else alpha / RANK) * product


def lora_without_alpha(weight: Tensor, g: torch.Generator) -> Made:
    return lora(weight, g, None)


def tucker_lora(weight: Tensor, g: torch.Generator) -> Made:
    if weight.ndim == 2 or weight.shape[-1] == 1:
        return lora(weight, g)
    down, up = _random(g, RANK, weight.shape[1], 1, 1), _random(g, len(weight), RANK, 1, 1)
    mid = _random(g, RANK, RANK, *weight.shape[2:])
    one = torch.nn.functional.conv2d(torch.eye(weight.shape[1]).double()[:, :, None, None], down.double())  # in, r
    product = torch.einsum("op,pqkl,iq->oikl", up.double()[:, :, 0, 0], mid.double(), one[:, :, 0, 0])
    tensors = {"lora_down.weight": down, "lora_mid.weight": mid, "lora_up.weight": up, "alpha": torch.tensor(2.0)}
    return tensors, weight.double() + 2 / RANK * product


def _row_norms(weight: Tensor) -> Tensor:
    return torch.stack([row.square().sum().sqrt() for row in weight]).reshape(-1, *[1] * (weight.ndim - 1))


def dora(weight: Tensor, g: torch.Generator) -> Made:
    """A magnitude for each output."""
    tensors, changed = lora(weight, g)
    scale = 2 * _row_norms(weight) + 0.1
    return {**tensors, "dora_scale": scale}, scale.double() * changed / _row_norms(changed)


def dora_of_inputs(weight: Tensor, g: torch.Generator) -> Made:
    """As LyCORIS has it without `wd_on_out`."""
    tensors, changed = lora(weight, g)
    scale = (2 * _row_norms(weight.transpose(0, 1)) + 0.1).transpose(0, 1)
    return {**tensors, "dora_scale": scale}, scale.double() * changed / _row_norms(changed.transpose(0, 1)).transpose(
        0, 1
    )


def loha(weight: Tensor, g: torch.Generator) -> Made:
    outputs, inputs = len(weight), weight[0].numel()
    t = {f"hada_w{i}_{s}": _random(g, *((outputs, RANK) if s == "a" else (RANK, inputs))) for i in (1, 2) for s in "ab"}
    one, two = (t[f"hada_w{i}_a"].double() @ t[f"hada_w{i}_b"].double() for i in (1, 2))
    return {**t, "alpha": torch.tensor(2.0)}, weight.double() + (2 / RANK * one * two).reshape(weight.shape)


def tucker_loha(weight: Tensor, g: torch.Generator) -> Made:
    if weight.ndim == 2 or weight.shape[-1] == 1:
        return loha(weight, g)
    t: dict[str, Tensor] = {}
    product = torch.ones_like(weight, dtype=torch.float64)
    for i in (1, 2):
        t[f"hada_t{i}"] = _random(g, RANK, RANK, *weight.shape[2:])
        t[f"hada_w{i}_a"], t[f"hada_w{i}_b"] = _random(g, RANK, len(weight)), _random(g, RANK, weight.shape[1])
        core, a, b = (t[name].double() for name in (f"hada_t{i}", f"hada_w{i}_a", f"hada_w{i}_b"))
        product *= torch.einsum("ijkl,ip,jr->prkl", core, a, b)
    return {**t, "alpha": torch.tensor(2.0)}, weight.double() + 2 / RANK * product


def loha_dora(weight: Tensor, g: torch.Generator) -> Made:
    tensors, changed = loha(weight, g)
    scale = 2 * _row_norms(weight) + 0.1
    return {**tensors, "dora_scale": scale}, scale.double() * changed / _row_norms(changed)


def _kron(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Block (i, j) of the weight is first[i, j] · second."""
    rows = [torch.cat([each * second for each in row], dim=1) for row in first]
    return torch.cat(rows).reshape(weight.shape)


def _lokr_sizes(weight: Tensor) -> tuple[int, int, int, int]:
    first = [2 if size % 2 == 0 else 1 for size in weight.shape[:2]]
    return first[0], first[1], len(weight) // first[0], weight.shape[1] // first[1]


def lokr_whole(weight: Tensor, g: torch.Generator) -> Made:
    """Both factors whole: the scale is 1 whatever alpha is."""
    a, b, c, d = _lokr_sizes(weight)
    t = {"lokr_w1": _random(g, a, b), "lokr_w2": _random(g, c, d, *weight.shape[2:]), "alpha": torch.tensor(7.0)}
    return t, weight.double() + _kron(t["lokr_w1"].double(), t["lokr_w2"].double(), weight)


def lokr_factored(weight: Tensor, g: torch.Generator) -> Made:
    a, b, c, d = _lokr_sizes(weight)
    kernel = weight.shape[2:].numel()
    t = {
        "lokr_w1_a": _random(g, a, RANK),
        "lokr_w1_b": _random(g, RANK, b),
        "lokr_w2_a": _random(g, c, RANK),
        "lokr_w2_b": _random(g, RANK, d * kernel),
    }
    first, second = (t[f"lokr_w{i}_a"].double() @ t[f"lokr_w{i}_b"].double() for i in (1, 2))
    second = second.reshape(c, d, *weight.shape[2:])
    return {**t, "alpha": torch.tensor(1.0)}, weight.double() + _kron(first, second, weight) / RANK


def lokr_tucker(weight: Tensor, g: torch.Generator) -> Made:
    if weight.ndim == 2 or weight.shape[-1] == 1:
        return lokr_factored(weight, g)
    a, b, c, d = _lokr_sizes(weight)
    t = {
        "lokr_w1": _random(g, a, b),
        "lokr_t2": _random(g, RANK, RANK, *weight.shape[2:]),
        "lokr_w2_a": _random(g, RANK, c),
        "lokr_w2_b": _random(g, RANK, d),
    }
    core, up, down = (t[name].double() for name in ("lokr_t2", "lokr_w2_a", "lokr_w2_b"))
    second = torch.einsum("ijkl,ip,jr->prkl", core, up, down)
    return {**t, "alpha": torch.tensor(4.0)}, weight.double() + 4 / RANK * _kron(t["lokr_w1"].double(), second, weight)


def ia3_of_outputs(weight: Tensor, g: torch.Generator) -> Made:
    factor = _random(g, len(weight), 1)
    by_row = torch.stack([row * (1 + own.double()) for row, own in zip(weight.double(), factor[:, 0], strict=True)])
    return {"weight": factor, "on_input": torch.tensor(False)}, by_row


def ia3_of_inputs(weight: Tensor, g: torch.Generator) -> Made:
    factor = _random(g, weight.shape[1])
    scaled = weight.double().clone()
    for column, own in enumerate(factor):
        scaled[:, column] *= 1 + own.double()
    return {"weight": factor, "on_input": torch.tensor(True)}, scaled


def oft(weight: Tensor, g: torch.Generator, bound: float = 0.0) -> Made:
    size = 4
    blocks = _random(g, len(weight) // size, size, size)
    skew = (blocks - blocks.transpose(1, 2)).double()
    if bound and skew.norm() > bound * len(weight):
        skew *= bound * len(weight) / skew.norm()
    eye = torch.eye(size, dtype=torch.float64)
    rows = []
    for own, part in zip(skew, weight.double().split(size), strict=True):
        turn = (eye + own) @ torch.linalg.inv(eye - own)
        rows.append((turn.T @ part.flatten(1)).reshape(part.shape))
    return {"oft_blocks": blocks, "alpha": torch.tensor(bound)}, torch.cat(rows)


def bounded_oft(weight: Tensor, g: torch.Generator) -> Made:
    return oft(weight, g, 0.05)


def full(weight: Tensor, g: torch.Generator) -> Made:
    difference = _random(g, *weight.shape)
    return {"diff": difference}, weight.double() + difference


KINDS: dict[str, Callable[[Tensor, torch.Generator], Made]] = {
    each.__name__: each
    for each in (
        lora,
        lora_without_alpha,
        tucker_lora,
        dora,
        dora_of_inputs,
        loha,
        tucker_loha,
        loha_dora,
        lokr_whole,
        lokr_factored,
        lokr_tucker,
        ia3_of_outputs,
        ia3_of_inputs,
        oft,
        bounded_oft,
        full,
    )
}


def leaf(module: Any, layer: str) -> Tensor:
    """A layer's own weight."""
    weight: Tensor = module.get_submodule(layer).weight.data
    return weight
