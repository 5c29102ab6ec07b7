"""`python -m benchmarks.judge_statistics`: does the judge call copying where there is copying, and only there?

The drawn world knows what a copy is. A checkpoint's 32 pictures (8 prompts × 4 seeds) are put together from drawings of
the prompts' scenes in the pencil style, as a good LoRA would make them, and a known share of copies: training pictures,
moved by up to two pixels, that went through the base's VAE, as all that it draws does. That is crossed with nuisances
that are no copying. Each replicate has its own training pictures, held-out pictures and prompts; the judge sees them as
in any study. An alarm is an overfit index that would speak for stopping.
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

from eval.feature_sets import ReferenceFeatures, SampleFeatures  # noqa: E402
from eval.features import Extractor, load_extractor  # noqa: E402
from eval.judge import Evidence, judge  # noqa: E402
from eval.metrics.copying import deduplicate  # noqa: E402
from eval.reference import Reference  # noqa: E402
from eval.spec import EvalSpec  # noqa: E402
from eval.thumbnails import THUMBNAIL_WIDTH, compositions  # noqa: E402
from foundation.bases.pixels import to_pixels  # noqa: E402
from foundation.bases.port import Base  # noqa: E402
from foundation.bases.registry import load_base  # noqa: E402
from train.pocket.draw import draw_scene  # noqa: E402
from train.pocket.world import scenes  # noqa: E402
from train.spec import BaseSpec  # noqa: E402

PROMPTS, SEEDS, TRAIN, HELD_OUT = 8, 4, 24, 8
SHARES: Final = (0.0, 0.05, 0.10, 0.25, 0.50)
NUISANCES: Final = ("none", "less variety", "colour shift", "duplicates in training", "one picture only", "underfit")
_NUM_PROMPT_SCENES, _NUM_REAL = 160, 480
_NEAR: Final = 4
"""Near-duplicates of a training picture, itself among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pools:
    """What the judge sees of everything that replicates are put together from: W = features and composition."""

    texts: Tensor
    """(Q, D) features of the captions of the prompts' scenes, without the style."""
    base: Tensor
    """(Q, S, W) as the base draws them: photographs."""
    good: Tensor
    """(Q, S, W) in the style, each with its own layout."""
    alike: Tensor
    """(Q, S, W) in the style, one layout."""
    good_shifted: Tensor
    """(Q, S, W) `good` in other colours."""
    real: Tensor
    """(N, W) pictures of other scenes in the style: to train on, and held out."""
    near: Tensor
    """(N, 4, W) the same and near-duplicates of them."""
    printed: Tensor
    """(N, W) copies of `real` as the base's VAE gives them back."""
    printed_shifted: Tensor
    """(N, W) `printed` in other colours."""


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_statistics", description=__doc__)
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    base = load_base(BaseSpec(name="pocket", path="pocket", resolution=64), torch.device("cpu"))
    pools = make_pools(base, load_extractor("pocket"), arguments.seed)
    print(f"Share of {arguments.replicates} checkpoints of {PROMPTS * SEEDS} pictures that raise an alarm\n")
    print("| nuisance | " + " | ".join(f"{share:.0%} copies" for share in SHARES) + " |")
    print("| --- |" + " ---: |" * len(SHARES))
    for nuisance in NUISANCES:
        cells = []
        for share in SHARES:
            rng = np.random.default_rng([arguments.seed, NUISANCES.index(nuisance), SHARES.index(share)])
            alarms = sum(alarm(pools, nuisance, share, rng) for _ in range(arguments.replicates))
            low, high = wilson(alarms, arguments.replicates)
            cells.append(f"{alarms / arguments.replicates:.3f} ({low:.2f}-{high:.2f})")
        print(f"| {nuisance} | " + " | ".join(cells) + " |", flush=True)


def alarm(pools: Pools, nuisance: str, share: float, rng: np.random.Generator) -> bool:
    """Put one checkpoint together and have it judged."""
    prompts = torch.from_numpy(rng.choice(len(pools.texts), PROMPTS, replace=False))
    real = torch.from_numpy(rng.choice(len(pools.real), TRAIN + HELD_OUT, replace=False))
    learned, held_out = real[:TRAIN], real[TRAIN:]
    if nuisance == "duplicates in training":  # a quarter of the set, over and over
        learned = learned[: TRAIN // _NEAR]
        train = pools.near[learned].flatten(0, 1)
    else:
        train = pools.real[learned]
    shifted = nuisance == "colour shift"
    drawn = _draw(pools, nuisance, prompts, rng).flatten(0, 1)
    copies = rng.permutation(len(drawn))[: round(share * len(drawn))]
    source = pools.printed_shifted if shifted else pools.printed
    drawn[torch.from_numpy(copies)] = source[learned[torch.from_numpy(rng.integers(len(learned), size=len(copies)))]]
    width = pools.texts.shape[-1]
    validation = torch.full((HELD_OUT, 4), 0.05, dtype=torch.float64)
    train_features, train_compositions = _views(train, width)
    held_out_features, held_out_compositions = _views(pools.real[held_out], width)
    base_features, base_compositions = _views(pools.base[prompts], width)
    features, placed = _views(drawn.view(PROMPTS, SEEDS, -1), width)
    seen = ReferenceFeatures(
        train=train_features[deduplicate(train_features)],
        held_out=held_out_features,
        base_samples=base_features,
        base_unrelated=base_features[:0],
    )
    reference = Reference(
        train=seen.train,
        held_out=seen.held_out,
        prompts=pools.texts[prompts],
        base_samples=seen.base_samples,
        base_unrelated=seen.base_unrelated,
        base_training_compositions=torch.zeros(0, THUMBNAIL_WIDTH),
        style=seen,  # which copies have nothing to do with
        style_scale=torch.ones(width),
        real_texts=pools.texts[:0],
        captioned=torch.zeros(0, dtype=torch.int64),
        base_validation=validation,
        train_compositions=train_compositions[deduplicate(train_compositions)],
        held_out_compositions=held_out_compositions,
        base_compositions=base_compositions,
    )
    evidence = Evidence(
        training_compositions=torch.zeros(0, THUMBNAIL_WIDTH),
        step=1,
        samples=features,
        unrelated=base_features[:0],
        validation_losses=0.8 * validation,
        compositions=placed,
        style=SampleFeatures(samples=features, unrelated=base_features[:0]),
    )
    spec = EvalSpec(bootstrap_draws=2)
    return judge(reference, evidence, [], spec).overfit_index >= spec.thresholds.overfit


def _views(seen: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Features and composition of what was seen."""
    return seen[..., :width], seen[..., width:]


def _draw(pools: Pools, nuisance: str, prompts: Tensor, rng: np.random.Generator) -> Tensor:
    """(P, S, W) what the checkpoint draws where it does not copy."""
    match nuisance:
        case "less variety":
            return pools.alike[prompts]
        case "colour shift":
            return pools.good_shifted[prompts]
        case "one picture only":
            scene, seed = rng.integers(len(pools.good)), rng.integers(SEEDS)
            return pools.good[scene, seed].expand(PROMPTS, SEEDS, -1).clone()
        case "underfit":
            return pools.base[prompts]
        case _:
            return pools.good[prompts]


def make_pools(base: Base, eye: Extractor, seed: int) -> Pools:
    """Draw everything once and look at it."""
    found = scenes(seed, _NUM_PROMPT_SCENES + _NUM_REAL, held_out=True)
    wanted, others = found[:_NUM_PROMPT_SCENES], found[_NUM_PROMPT_SCENES:]

    def see(pictures: Sequence[Image.Image]) -> Tensor:
        return torch.cat([eye.images(pictures), compositions(pictures)], dim=-1)

    def each(make: Callable[[int, int], Image.Image]) -> Tensor:
        pictures = [make(i, s) for i in range(len(wanted)) for s in range(SEEDS)]
        return see(pictures).view(len(wanted), SEEDS, -1)

    real = [draw_scene(scene, "pencil", seed + 7_000_000 + i) for i, scene in enumerate(others)]
    near = [[picture, *(_nearly(picture, k) for k in range(1, _NEAR))] for picture in real]
    printed = _through_vae(base, [ImageChops.offset(each, i % 5 - 2, i // 5 % 5 - 2) for i, each in enumerate(real)])

    def good(i: int, s: int) -> Image.Image:
        return draw_scene(wanted[i], "pencil", seed + 1000 * i + s)

    return Pools(
        texts=eye.texts([scene.caption(None) for scene in wanted]),
        base=each(lambda i, s: draw_scene(wanted[i], "photo", seed + 5_000_000 + 1000 * i + s)),
        good=each(good),
        alike=each(lambda i, s: _nearly(good(i, 0), s)),
        good_shifted=each(lambda i, s: _shift_colours(good(i, s))),
        real=see(real),
        near=see([picture for group in near for picture in group]).view(len(real), _NEAR, -1),
        printed=see(printed),
        printed_shifted=see([_shift_colours(picture) for picture in printed]),
    )


def _nearly(picture: Image.Image, number: int) -> Image.Image:
    """A pixel aside and a little lighter or darker."""
    moved = ImageChops.offset(picture, number % 2, number // 2)
    return ImageEnhance.Brightness(moved).enhance(1 + 0.03 * number)


def _shift_colours(picture: Image.Image) -> Image.Image:
    """All colours a fifth of the way to blue."""
    return Image.blend(picture, Image.new("RGB", picture.size, (60, 90, 200)), 0.2)


@torch.no_grad()
def _through_vae(base: Base, pictures: Sequence[Image.Image]) -> list[Image.Image]:
    """What the base's VAE makes of pictures."""
    vae = base.pipeline.vae
    results: list[Image.Image] = []
    for start in range(0, len(pictures), 32):
        means, _ = base.encode_images(to_pixels(pictures[start : start + 32]))
        decoded = vae.decode(means / vae.config.scaling_factor).sample
        results += base.pipeline.image_processor.postprocess(decoded, output_type="pil")
    return results


def wilson(hits: int, tries: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share. Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212."""
    p, n = hits / tries, tries
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


if __name__ == "__main__":
    main()
