"""`python -m benchmarks.judge_statistics`: does the judge call copying where there is copying, and only there?

The drawn world knows what a copy is. A checkpoint's 32 pictures (8 prompts × 4 seeds) are put together from drawings of
the prompts' scenes in a style, as a good LoRA would make them, and a share of copies: training pictures in one of many
disguises. All went through the base's VAE, as all that it draws does. That is crossed with nuisances that are no
copying. Each replicate has its own training pictures, held-out pictures and prompts; copies are looked for as in any
study, and an alarm is a share of them that would speak for stopping.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageChops, ImageEnhance
from torch import Tensor

from foundation.quiet import quiet_libraries

quiet_libraries()

from benchmarks.disguises import DISGUISES, plain  # noqa: E402
from benchmarks.setting import pocket_base  # noqa: E402
from eval.metrics.copying import copy_rate, distinct, find_copies  # noqa: E402
from eval.overfit import severity  # noqa: E402
from eval.reconstruction import reconstruct  # noqa: E402
from eval.spec import Thresholds  # noqa: E402
from eval.thumbnails import WIDTH, compositions, masked_compositions  # noqa: E402
from foundation.bases.port import Base  # noqa: E402
from train.pocket.draw import draw_scene, layout  # noqa: E402
from train.pocket.world import TAUGHT_STYLES, Scene, scenes  # noqa: E402

PROMPTS, SEEDS, TRAIN, HELD_OUT = 8, 4, 24, 8
NUISANCES: Final = ("none", "less variety", "colour shift", "duplicates in training", "one picture only", "underfit")
PASTED: Final = "on another ground"
KINDS: Final = (*DISGUISES, PASTED)
SHARE: Final = 0.25
"""Of copies, at which they are to be found."""
STYLES: Final = ("pencil", "chalk", "photo", "flat", "mosaic", "neon", "stipple", "halftone", "batik")
_NUM_PROMPT_SCENES, _NUM_REAL = 40, 120
_NEAR: Final = 4
"""Near-duplicates of a training picture, itself among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pools:
    """Thumbnails of everything that a style's replicates are put together from; C = `eval.thumbnails.WIDTH`."""

    base: Tensor
    """(Q, S, C) the prompts' scenes as the base draws them: photographs."""
    good: Tensor
    """(Q, S, C) in the style, each with its own layout."""
    alike: Tensor
    """(Q, S, C) in the style, one layout."""
    shifted: Tensor
    """(Q, S, C) `good` in other colours."""
    real: Tensor
    """(N, C') pictures of other scenes in the style, with masks: to train on, and held out."""
    near: Tensor
    """(N, 4, C') the same and near-duplicates of them."""
    copies: dict[str, Tensor]
    """(N, C) each kind of copy of `real`."""


def main() -> None:
    """Measure and print tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_statistics", description=__doc__)
    parser.add_argument("--replicates", type=int, default=40, help="checkpoints of each style in each cell")
    parser.add_argument("--styles", nargs="+", choices=TAUGHT_STYLES, default=STYLES, metavar="STYLE")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    base = pocket_base()
    rows: dict[str, dict[str, float]] = {}
    for style in arguments.styles:
        pools, rows[style] = make_pools(base, style, arguments.seed), {}
        for masked in (False, True):
            for name in (*NUISANCES, *KINDS):
                rng = np.random.default_rng([arguments.seed, TAUGHT_STYLES.index(style), masked])
                alarms = [alarm(pools, name, masked, rng) for _ in range(arguments.replicates)]
                rows[style][f"{name}, masks" if masked else name] = sum(alarms) / len(alarms)
        print(style, {name: round(share, 3) for name, share in rows[style].items()}, flush=True)
    print(table(rows, arguments.replicates))


def table(rows: dict[str, dict[str, float]], replicates: int) -> str:
    """Shares of alarms over all styles with their 95 % intervals, and of the style that fares worst."""
    lines = [
        "| pictures | without masks | worst style | with masks | worst style |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in (*NUISANCES, *KINDS):
        cells = []
        for key in (name, f"{name}, masks"):
            shares = {style: row[key] for style, row in rows.items()}
            mean = sum(shares.values()) / len(shares)
            low, high = wilson(round(mean * replicates * len(shares)), replicates * len(shares))
            worst = (max if name in NUISANCES else min)(shares, key=lambda style: shares[style])
            cells += [f"{mean:.3f} ({low:.2f}-{high:.2f})", f"{worst} {shares[worst]:.2f}"]
        what = f"no copies: {name}" if name in NUISANCES else f"{SHARE:.0%} copies: {name}"
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def alarm(pools: Pools, name: str, masked: bool, rng: np.random.Generator) -> bool:
    """Put one checkpoint together, of a nuisance or with copies of a kind, and say whether it looks like copying."""
    prompts = torch.from_numpy(rng.choice(len(pools.base), PROMPTS, replace=False))
    real = torch.from_numpy(rng.choice(len(pools.real), TRAIN + HELD_OUT, replace=False))
    learned, held_out = real[:TRAIN], pools.real[real[TRAIN:], :WIDTH]
    if name == "duplicates in training":  # a quarter of the set, over and over
        train = pools.near[learned[: TRAIN // _NEAR]].flatten(0, 1)
    else:
        train = pools.real[learned]
    if not masked:
        train = torch.cat([train[:, :WIDTH], torch.ones_like(train[:, WIDTH:])], dim=1)
    drawn = _draw(pools, name, prompts, rng).flatten(0, 1)
    if name in KINDS:
        where = torch.from_numpy(rng.permutation(len(drawn))[: round(SHARE * len(drawn))])
        drawn[where] = pools.copies[name][learned[torch.from_numpy(rng.integers(len(learned), size=len(where)))]]
    both = torch.cat([drawn, pools.base[prompts].flatten(0, 1)])
    own, base = (find_copies(both, train[distinct(train)], held_out) > 0).chunk(2)
    thresholds = Thresholds()
    severe = severity(copy_rate(own, base), thresholds.copy)
    return int(own.sum()) >= thresholds.min_copies and severe >= thresholds.overfit


def _draw(pools: Pools, name: str, prompts: Tensor, rng: np.random.Generator) -> Tensor:
    """(P, S, C) what the checkpoint draws where it does not copy."""
    match name:
        case "less variety":
            return pools.alike[prompts]
        case "colour shift":
            return pools.shifted[prompts]
        case "one picture only":
            scene, seed = rng.integers(len(pools.good)), rng.integers(SEEDS)
            return pools.good[scene, seed].expand(PROMPTS, SEEDS, -1).clone()
        case "underfit":
            return pools.base[prompts]
        case _:
            return pools.good[prompts]


def make_pools(base: Base, style: str, seed: int) -> Pools:
    """Draw everything of a style once and look at it."""
    found = scenes(seed, _NUM_PROMPT_SCENES + _NUM_REAL, held_out=True)
    wanted, others = found[:_NUM_PROMPT_SCENES], found[_NUM_PROMPT_SCENES:]
    rng = np.random.default_rng([seed, TAUGHT_STYLES.index(style)])

    def each(make: Callable[[int, int], Image.Image]) -> list[Image.Image]:
        return reconstruct(base, [make(i, s) for i in range(len(wanted)) for s in range(SEEDS)])

    def of_prompts(pictures: Sequence[Image.Image]) -> Tensor:
        return compositions(pictures).view(len(wanted), SEEDS, -1)

    def good(i: int, s: int) -> Image.Image:
        return draw_scene(wanted[i], style, seed + 1000 * i + s)

    seeds = [seed + 7_000_000 + i for i in range(len(others))]
    real = [draw_scene(scene, style, own) for scene, own in zip(others, seeds, strict=True)]
    masks = [_mask(scene, own) for scene, own in zip(others, seeds, strict=True)]
    near = [[picture, *(_nearly(picture, k) for k in range(1, _NEAR))] for picture in real]
    grounds = [draw_scene(others[i - 1], style, seeds[i] + 500) for i in range(len(others))]
    pasted = [plain(Image.composite(*each), rng) for each in zip(real, grounds, masks, strict=True)]
    disguised = {name: [disguise(picture, rng) for picture in real] for name, disguise in DISGUISES.items()}
    honest = each(good)
    flat_masks = [mask for mask in masks for _ in range(_NEAR)]
    return Pools(
        base=of_prompts(each(lambda i, s: draw_scene(wanted[i], "photo", seed + 5_000_000 + 1000 * i + s))),
        good=of_prompts(honest),
        alike=of_prompts(each(lambda i, s: _nearly(good(i, 0), s))),
        shifted=of_prompts([_shift_colours(picture) for picture in honest]),
        real=masked_compositions(real, masks),
        near=masked_compositions([picture for group in near for picture in group], flat_masks).view(
            len(real), _NEAR, -1
        ),
        copies={
            name: compositions(reconstruct(base, pictures)) for name, pictures in {**disguised, PASTED: pasted}.items()
        },
    )


def _mask(scene: Scene, seed: int) -> Image.Image:
    """White where `draw_scene` puts things."""
    return Image.fromarray(((layout(scene, seed, 64)[0] > 0) * 255).astype(np.uint8))


def _nearly(picture: Image.Image, number: int) -> Image.Image:
    """A pixel aside and a little lighter or darker."""
    moved = ImageChops.offset(picture, number % 2, number // 2)
    return ImageEnhance.Brightness(moved).enhance(1 + 0.03 * number)


def _shift_colours(picture: Image.Image) -> Image.Image:
    """All colours a fifth of the way to blue."""
    return Image.blend(picture, Image.new("RGB", picture.size, (60, 90, 200)), 0.2)


def wilson(hits: int, tries: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share. Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212."""
    p, n = hits / tries, tries
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


if __name__ == "__main__":
    main()
