"""What the pocket models' trainings share: drawn pictures in memory, a learning-rate curve, a loop that can resume."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from foundation.console import say
from foundation.files.durable import write_bytes
from train.pocket.brushes import SIZE
from train.pocket.draw import draw_scene
from train.pocket.recipes import Recipe
from train.pocket.world import Scene


@dataclass(frozen=True, slots=True)
class Pictures:
    """Drawn pictures (N, 3, 64, 64) uint8 with what each of them shows."""

    pixels: Tensor
    scenes: list[Scene]
    styles: list[str | Recipe]
    """By name, or one without a name, which no caption tells."""
    seeds: list[int]
    """What each was drawn with."""

    @property
    def captions(self) -> list[str]:
        """Each picture's caption, its style included."""
        named = [style if isinstance(style, str) else None for style in self.styles]
        return [scene.caption(style) for scene, style in zip(self.scenes, named, strict=True)]


def draw_all(scenes: Sequence[Scene], styles: Sequence[str | Recipe], seed: int) -> Pictures:
    """Draw scene i in style i, each with its own seed derived from `seed`."""
    pixels = np.empty((len(scenes), SIZE, SIZE, 3), dtype=np.uint8)
    seeds = [seed * 1_000_003 + i for i in range(len(scenes))]
    for i, (scene, style) in enumerate(zip(scenes, styles, strict=True)):
        pixels[i] = np.asarray(draw_scene(scene, style, seeds[i]))
    return Pictures(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), list(scenes), list(styles), seeds)


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 pixels to floats in [-1, 1], the range of the VAE."""
    return pixels.float() / 127.5 - 1


def train_loop(
    name: str,
    modules: dict[str, nn.Module],
    step: Callable[[torch.Generator], tuple[Tensor, str]],
    *,
    num_steps: int,
    lr: float,
    weight_decay: float,
    state_path: Path,
    seed: int,
    ema: EMA | None = None,
    now_and_then: Callable[[], None] = lambda: None,
) -> None:
    """AdamW with warm-up and a cosine to zero over `modules`; `step` gives a loss and a word for the log.

    `num_steps` with a rate of `lr` at most and AdamW's `weight_decay`; `seed` is the generator's that `step` gets,
    `ema` follows the weights, and `name` begins the log's lines. Every 250 steps all state goes to `state_path`, from
    which a later call with the same arguments goes on. The state file is our own working file: it is read with
    `weights_only`, and removed at the end. `now_and_then` is called every 50 steps.
    """
    parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(seed)
    first = _resume(state_path, modules, optimizer, generator, ema)
    began, seen = time.monotonic(), 0.0
    for index in range(first, num_steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * learning_rate_factor(index, num_steps)
        loss, word = step(generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if ema is not None:
            ema.update(index)
        seen = loss.item() if index == first else 0.98 * seen + 0.02 * loss.item()
        if index % 50 == 49 or index == num_steps - 1:
            pace = (time.monotonic() - began) / (index + 1 - first)
            say(f"{name} {index + 1}/{num_steps}  loss {seen:.4f}  {word}  {pace:.3f} s/step")
            now_and_then()
        if index % 250 == 249:
            _save(state_path, index + 1, modules, optimizer, generator, ema)
    state_path.unlink(missing_ok=True)


S = TypeVar("S")


def in_stages(module: nn.Module, stages: Sequence[S], train: Callable[[S, int], None], state_path: Path) -> None:
    """Train a module in one stage after another; after a crash, stages that were done are read back, not made again."""
    files = [state_path.with_suffix(f".stage{number}.safetensors") for number in range(len(stages))]
    for number, (stage, file) in enumerate(zip(stages, files, strict=True)):
        if file.exists():
            module.load_state_dict(load_file(file))
        else:
            train(stage, number)
            write_bytes(file, save(module.state_dict()))
    for file in files:
        file.unlink()


def learning_rate_factor(step: int, num_steps: int, warmup: int = 100) -> float:
    """Linear from 0 over `warmup` steps, then half a cosine down to 0 at `num_steps`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))


class EMA:
    """Moving average of parameters, warmed up so that early steps do not linger: min(decay, (1+t)/(10+t))."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float = 0.999) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.average = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the parameters of step number `step`."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], weight)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the average into the parameters."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            parameter.copy_(average)


def _save(
    path: Path,
    step: int,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    ema: EMA | None,
) -> None:
    buffer = io.BytesIO()
    state = {
        "step": step,
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "ema": ema.average if ema else None,
    }
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def _resume(
    path: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    ema: EMA | None,
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, module in modules.items():
        module.load_state_dict(state["modules"][name])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"])
    if ema is not None:
        ema.average = state["ema"]
    return int(state["step"])
