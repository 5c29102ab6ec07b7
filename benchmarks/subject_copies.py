"""`python -m benchmarks.subject_copies`: are good pictures of a subject taken for copies, and are copies found?

Checkpoints as `sweeper +experiment=mug` judges them, of 20 pictures: 16 of new scenes with the subject and 4 of
training captions, all drawn anew by the world, as a LoRA without fault would, and a quarter of them replaced by copies
of one kind. All went through the base's VAE. Each replicate has six training and two held-out pictures of its own.
Copies are looked for without masks, as of a subject they are, and with its masks, as they are of a style.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from PIL import Image
from torch import Tensor

from foundation.quiet import quiet_libraries

quiet_libraries()

from benchmarks.disguises import DISGUISES  # noqa: E402
from benchmarks.judge_trials.subject_sets import NUM_TRAIN, NUM_VALIDATION, RESERVED_SUBJECTS  # noqa: E402
from benchmarks.setting import pocket_base  # noqa: E402
from eval.metrics.copying import find_copies  # noqa: E402
from eval.overfit import severity  # noqa: E402
from eval.reconstruction import reconstruct  # noqa: E402
from eval.spec import Thresholds  # noqa: E402
from eval.thumbnails import compositions, masked_compositions  # noqa: E402
from foundation.bases.port import Base  # noqa: E402
from sweeper.search.space import plan  # noqa: E402
from train.drawn import SUBJECT_STYLE  # noqa: E402
from train.pocket.draw import draw_scene, subject_mask  # noqa: E402
from train.pocket.subjects import SUBJECTS, Subject, subject_scenes  # noqa: E402
from train.pocket.world import BACKGROUNDS, Scene  # noqa: E402

NEW, ANEW, PASTED, NONE = "new scenes", "training captions, drawn anew", "on another ground", "no copies"
FROM_PROMPTS, FROM_CAPTIONS, COPIES = 16, 4, 5
"""Pictures of a checkpoint, and how many of them are copies."""
NUM_NEW: Final = 24
"""New scenes of a replicate, from which its checkpoints draw."""
CHECKPOINTS: Final = 100
"""Put together of each replicate by lot."""
WAYS: Final = ("without masks", "with masks")

Called = Mapping[str, Tensor]
"""For each kind of picture which of a replicate's are called copies, (N,) bool."""


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.subject_copies", description=__doc__)
    parser.add_argument("--replicates", type=int, default=4, help="of each subject")
    arguments = parser.parse_args()
    base, reserved = pocket_base(), {each.name for each in RESERVED_SUBJECTS}
    names = [name for name in SUBJECTS if name not in reserved]
    found: dict[str, list[Called]] = {way: [] for way in WAYS}
    for name in names:
        for seed in range(arguments.replicates):
            for way, called in zip(WAYS, look(base, SUBJECTS[name], seed), strict=True):
                found[way].append(called)
    print(f"{', '.join(names)}, {arguments.replicates} replicates each\n\n{table(found)}")


def table(found: Mapping[str, Sequence[Called]]) -> str:
    """Shares of pictures called copies, and of checkpoints that raise an alarm, by kind."""
    thresholds = plan(["+experiment=mug"]).config.eval.thresholds
    head = [f"{what}, {way}" for way in found for what in ("pictures called", "checkpoints called")]
    lines = ["| | " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(head)]
    for kind in (NEW, ANEW, NONE, *DISGUISES, PASTED):
        cells = []
        for each in found.values():
            pictures = [float(called[kind].double().mean()) for called in each if kind in called]
            alarms = []
            if kind not in (NEW, ANEW):
                alarms = [_share_alarmed(called, kind, thresholds, seed) for seed, called in enumerate(each)]
            cells += [f"{np.mean(values):.3f}" if values else "" for values in (pictures, alarms)]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def look(base: Base, subject: Subject, seed: int) -> Iterator[Called]:
    """Draw a replicate, and look for copies in each of `WAYS`."""
    rng = np.random.default_rng(seed)
    real = subject_scenes(subject, 50 + seed, NUM_TRAIN + NUM_VALIDATION)
    others = subject_scenes(subject, 950 + seed, NUM_NEW + len(real), tuple(BACKGROUNDS))
    new = _draw([scene for scene in others if scene not in real][:NUM_NEW], seed, 100)
    learned, scenes = _draw(real, seed, 0), real[:NUM_TRAIN]
    train, held_out = learned[:NUM_TRAIN], learned[NUM_TRAIN:]
    masks = [subject_mask(scene, _drawing_seed(seed, number)) for number, scene in enumerate(scenes)]
    pictures = {NEW: new, ANEW: _draw(scenes, seed, 300)}
    pictures |= {kind: [disguise(each, rng) for each in train] for kind, disguise in DISGUISES.items()}
    grounds = [new[int(rng.integers(NUM_NEW))] for _ in train]
    pairs = zip(train, grounds, masks, strict=True)
    pictures[PASTED] = [Image.composite(own, ground, mask.convert("L")) for own, ground, mask in pairs]
    seen = {kind: compositions(reconstruct(base, some)) for kind, some in pictures.items()}
    for known in (masked_compositions(train), masked_compositions(train, masks)):
        yield {kind: find_copies(some, known, compositions(held_out)) > 0 for kind, some in seen.items()}


def _draw(scenes: Sequence[Scene], seed: int, first: int) -> list[Image.Image]:
    return [draw_scene(scene, SUBJECT_STYLE, _drawing_seed(seed, first + i)) for i, scene in enumerate(scenes)]


def _drawing_seed(seed: int, number: int) -> int:
    return 1000 * seed + number


def _share_alarmed(called: Called, kind: str, thresholds: Thresholds, seed: int) -> float:
    """Of `CHECKPOINTS` put together by lot."""
    rng, alarms = np.random.default_rng(seed), 0
    for _ in range(CHECKPOINTS):
        seen = np.concatenate([_some(called[NEW], FROM_PROMPTS, rng), _some(called[ANEW], FROM_CAPTIONS, rng)])
        if kind != NONE:
            where = rng.permutation(len(seen))[:COPIES]
            seen[where] = _some(called[kind], COPIES, rng)
        severe = severity(float(seen.mean()), thresholds.copy) >= thresholds.overfit
        alarms += int(seen.sum()) >= thresholds.min_copies and severe
    return alarms / CHECKPOINTS


def _some(called: Tensor, count: int, rng: np.random.Generator) -> np.ndarray:
    return called.numpy()[rng.permutation(len(called))[:count]]


if __name__ == "__main__":
    main()
