"""Several things that are known of a caption, in one tensor.

Captions are cached, drawn, dropped and cut into rows by code that need not know what a family makes of them. So what it
makes is one tensor (B, T, D) always: the tokens' embeddings, and after them, as further tokens, whatever else there is
(a pooled embedding, a mask), filled up with zeros.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def join_text(tokens: Tensor, extra: Tensor) -> Tensor:
    """Tokens (B, T, D) and numbers beside them (B, P) as (B, T + ⌈P/D⌉, D)."""
    width = tokens.shape[-1]
    rows = -(-extra.shape[-1] // width)
    padded = F.pad(extra.to(tokens.dtype), (0, rows * width - extra.shape[-1]))
    return torch.cat([tokens, padded.view(len(tokens), rows, width)], dim=1)


def joined_shape(tokens: int, width: int, extra: int) -> tuple[int, int]:
    """T and D of what `join_text` makes of so many tokens of this width, and so many numbers beside them."""
    return tokens + -(-extra // width), width


def split_text(joined: Tensor, extra_width: int) -> tuple[Tensor, Tensor]:
    """What `join_text` joined: tokens (B, T, D) and the P = `extra_width` numbers (B, P)."""
    rows = -(-extra_width // joined.shape[-1])
    return joined[:, :-rows], joined[:, -rows:].flatten(1)[:, :extra_width]
