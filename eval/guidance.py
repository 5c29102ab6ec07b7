"""How a pipeline is called for guidance, and which rows its denoiser then computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from foundation.bases.families import FAMILIES, Guidance, family_of_pipeline

_EMPTY: Final = " "
"""What a pipeline of two passes is guided away from; see the example of Qwen-Image's."""


def guidance_options(pipe: Any, scale: float, count: int) -> dict[str, Any]:
    """What `pipe` is called with for so many prompts; up to 1 means no guidance."""
    if _guidance(pipe) != "two_passes":
        return {"guidance_scale": scale}
    away = {"negative_prompt": [_EMPTY] * count} if scale > 1 else {}
    return {"true_cfg_scale": scale, **away}


def rows_of_a_picture(pipe: Any, scale: float) -> int:
    """In a batch of its denoiser: 2 where guidance puts unconditional before conditional rows, else 1."""
    return 2 if scale > 1 and _guidance(pipe) == "in_batch" else 1


def _guidance(pipe: Any) -> Guidance:
    family = family_of_pipeline(type(pipe).__name__)
    return "in_batch" if family is None else FAMILIES[family].guidance


@contextmanager
def in_shares(pipe: Any, seeds: Sequence[int], *, copies: int, scale: float, every: int) -> Iterator[None]:
    """Within the block, one call of `pipe`, the denoiser sees each copy's rows together, and no row without need.

    The call is for `copies` times as many pictures as there are `seeds`, whose prompts differ in the conditional rows
    alone. A pipeline puts all unconditional rows before all conditional ones; the denoiser gets each copy's
    unconditional and then its conditional rows, so that copies are equal shares of a batch. In the first step
    unconditional rows of one seed are one. Unconditional rows are computed in every `every`-th step; between these
    the difference that guidance makes is the last one's (as in FasterCache, Lv et al. 2024, arXiv:2410.19355).
    """
    if rows_of_a_picture(pipe, scale) == 1:
        yield
        return
    rows = _Rows(seeds, copies, every)
    denoiser: nn.Module = pipe.components.get("unet") or pipe.transformer
    hooks = [
        denoiser.register_forward_pre_hook(rows.before, with_kwargs=True),
        denoiser.register_forward_hook(rows.after),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Rows:
    """K copies of n pictures on their way through the denoiser, step by step."""

    def __init__(self, seeds: Sequence[int], copies: int, every: int) -> None:
        self._copies, self._each, self._every = copies, len(seeds), every
        self._distinct = [seeds.index(seed) for seed in dict.fromkeys(seeds)]
        self._place = [self._distinct.index(seeds.index(seed)) for seed in seeds]
        self._step = -1
        self._difference: Tensor | None = None

    def before(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The rows to compute instead of the pipeline's 2 · K · n, slot by slot."""
        self._step += 1
        unconditional, each = self._unconditional(), self._each
        rows = [
            row
            for copy in range(self._copies)
            for row in (
                *(copy * each + place for place in unconditional),
                *range((self._copies + copy) * each, (self._copies + copy + 1) * each),
            )
        ]
        return tuple(self._take(value, rows) for value in args), self._take(kwargs, rows)

    def _unconditional(self) -> Sequence[int]:
        """Of a copy, the pictures whose unconditional rows are computed in this step."""
        if self._step == 0:
            return self._distinct
        return range(self._each) if self._step % self._every == 0 else ()

    def _take(self, value: Any, rows: list[int]) -> Any:
        """These rows of whatever has one for each of the pipeline's."""
        if isinstance(value, Mapping):
            return {key: self._take(each, rows) for key, each in value.items()}
        if isinstance(value, Tensor) and value.ndim and len(value) == 2 * self._copies * self._each:
            return value[torch.tensor(rows, device=value.device)]
        return value

    def after(self, _: nn.Module, __: Any, output: tuple[Tensor]) -> tuple[Tensor]:
        """All of the pipeline's rows, from those that were computed."""
        found = output[0].reshape(self._copies, -1, *output[0].shape[1:])
        unconditional, conditional = found[:, : -self._each], found[:, -self._each :]
        if self._step == 0:
            unconditional = unconditional[:, self._place]
        if unconditional.shape[1]:
            self._difference = conditional - unconditional
        else:
            assert self._difference is not None
            unconditional = conditional - self._difference
        return (torch.cat([unconditional.flatten(0, 1), conditional.flatten(0, 1)]),)
