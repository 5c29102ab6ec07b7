"""How a pipeline is asked for guidance, and how many rows of its denoiser a picture then takes."""

from __future__ import annotations

from typing import Any, Final

_TOLD: Final = ("FluxPipeline",)
"""Whose denoiser is told the scale, or knows none: it was distilled from guidance."""
_APART: Final = ("QwenImagePipeline",)
"""Who guide in two passes, one after another, and away from a prompt."""
_EMPTY: Final = " "
"""What Qwen-Image is guided away from; see its pipeline's example."""


def guided(pipe: Any, scale: float, count: int) -> dict[str, Any]:
    """What `pipe` is called with for so many prompts; up to 1 means no guidance."""
    if type(pipe).__name__ not in _APART:
        return {"guidance_scale": scale}
    away = {"negative_prompt": [_EMPTY] * count} if scale > 1 else {}
    return {"true_cfg_scale": scale, **away}


def parts(pipe: Any, scale: float) -> int:
    """Of a batch of its denoiser: 2 where guidance puts unconditional before conditional rows, else 1."""
    return 1 if scale <= 1 or type(pipe).__name__ in (*_TOLD, *_APART) else 2
