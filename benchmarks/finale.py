"""`python -m benchmarks.finale [--sets pencil chalk]`: is an average of a study's checkpoints better than its best one?

Real studies of the recipes on drawn styles that the embedded base never saw, every checkpoint kept. Beside the
finalists stand the mean of the leading one's best checkpoint and those next to it, and soups of the best two and three,
whatever the judge says of them; the leading one is that with the best fresh score. Their truth is read in two ways
that no network was trained for: the denoising loss on drawings that none learned from (over the base's; lower is
better), and how far pictures of new scenes have gone from the base's to drawings of these (`TextureWay`; higher is
better). Gains are over the leading finalist, ± one standard error, paired over the drawings or scenes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.judge_trials.report import table
from benchmarks.judge_trials.sets import SETS, TrialSet
from benchmarks.judge_trials.style_truth import TextureWay
from benchmarks.judge_trials.truth import Drawer
from benchmarks.setting import POCKET, pocket_base
from eval.spec import Strata
from eval.validation import ValidationSet, losses_of_base
from foundation.adapters.exports import About, read_adapter, write_format
from foundation.adapters.files import put_on, take_off
from foundation.adapters.merge.mean import mean_of
from foundation.bases.pixels import to_pixels
from foundation.bases.port import Base
from sweeper.records.history import read_evaluations
from sweeper.records.paths import best_of, checkpoint_of, trial_of
from sweeper.records.trainings import number_of
from sweeper.records.trials import best_checkpoint, steps_of_mean
from sweeper.results.file_names import SCORES
from train.pocket.draw import draw_scene

STRATA: Final = Strata(span=(0.25, 0.75), bins=2, noises_per_bin=2, seed=0)
DRAWN_FROM: Final = 7_000_000
"""The seed of the first drawing, which no set has."""
CLEAN: Final = 0.5
ROWS: Final = 64


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finale", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("multirun/finale"), help="studies and pictures")
    parser.add_argument("--sets", nargs="+", choices=[each.name for each in SETS], default=["pencil", "chalk"])
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    base, rows = pocket_base(), list[list[object]]()
    for chosen in (each for each in SETS if each.name in given.sets):
        study = _run(chosen, given.folder, given.seed)
        scores: dict[str, Any] = json.loads((best_of(study) / SCORES).read_text())
        truth = TruthOf(base, chosen, given.folder / "truth" / study.name)
        candidates = _candidates(study, scores, given.folder / "averages" / study.name)
        best = truth.read(next(iter(candidates.values())))
        print(f"{study.name} took trial {scores['training']}: {scores.get('made_of', '')} {scores['lead']}", flush=True)
        for words, checkpoint in candidates.items():
            rows.append([chosen.name, words, *_beside(best, truth.read(checkpoint))])
            print(*rows[-1], flush=True)
    print(table(["set", "what", "loss", "gain", "way", "gain"], rows))
    return 0


@dataclass(frozen=True, slots=True)
class Read:
    """The truth of one checkpoint."""

    loss: Tensor
    """(N,) of each drawing, over the mean of the base's."""
    way: Tensor
    """(N,) of each scene."""


class TruthOf:
    """Reads the truth of checkpoints for a set; what was drawn is kept in the folder `kept`."""

    def __init__(self, base: Base, chosen: TrialSet, kept: Path) -> None:
        kept.mkdir(parents=True, exist_ok=True)
        scenes, style = chosen.truth_scenes(), chosen.style
        self._base, self._drawer = base, Drawer(base, [scene.caption(style) for scene in scenes], kept)
        self._way = TextureWay(base, style, scenes, self._drawer.pictures(None))
        drawings = [draw_scene(scene, style, DRAWN_FROM + number) for number, scene in enumerate(scenes)]
        self._drawings = ValidationSet(
            latents=torch.cat([base.encode_images(each)[0] for each in torch.split(to_pixels(drawings), ROWS)]),
            embeddings=base.encode_texts([scene.caption(style) for scene in scenes]),
            ids=[str(number) for number in range(len(scenes))],
            process=base.process,
            strata=STRATA,
        )
        self._of_base = float(self._losses().mean())

    def read(self, checkpoint: Path) -> Read:
        """Draw with a checkpoint, and look."""
        pictures = self._drawer.pictures(checkpoint)
        put_on(self._base.pipeline, checkpoint, "read")
        try:
            losses = self._losses()
        finally:
            take_off(self._base.pipeline)
        return Read(losses / self._of_base, self._way.gone(pictures))

    def _losses(self) -> Tensor:
        return losses_of_base(self._drawings, self._base, ROWS)[0].mean(1)


def _run(chosen: TrialSet, folder: Path, seed: int) -> Path:
    """Run a study of the recipes, all checkpoints kept, unless it was run before; its folder."""
    name = f"{chosen.name}-{seed}"
    overrides = [
        *chosen.overrides(folder / "sets"),
        *(f"study.name={name}", f"study.folder={folder.resolve()}", f"train.seed={seed}", f"base={POCKET.name}"),
        *("study.num_trials=3", "study.slots=3", "study.keep=all", "study.pruner.name=none", "study.extend=1"),
        *("study.strengths=[]", "study.refit=never", "study.blends=[mean,soup]"),
    ]
    if not (best_of(folder / name) / SCORES).is_file():
        subprocess.run([sys.executable, "-m", "sweeper", *overrides], check=True)
    return folder / name


def _candidates(study: Path, scores: Mapping[str, Any], out: Path) -> dict[str, Path]:
    """The finalists, that which leads with fresh seeds first, then averages of theirs, in words to folders."""
    fresh = {number_of(name): score for name, score in scores["finalists"].items() if name.isdecimal()}
    order = sorted(fresh, key=lambda number: -fresh[number])
    courses = {number: read_evaluations(trial_of(study, number)) for number in order}
    best = {number: each.step for number in order if (each := best_checkpoint(courses[number], CLEAN))}
    found = {f"trial {n} at step {best[n]}": checkpoint_of(trial_of(study, n), best[n]) for n in order}
    wanted = [
        *([(order[0], step) for step in steps_of_mean(courses[number], CLEAN)] for number in order[:1]),
        *([(number, best[number]) for number in order[:count]] for count in range(2, len(order) + 1)),
    ]
    for parts in wanted:
        words = " + ".join(f"{number} at {step}" for number, step in parts)
        folder = out / words.replace(" ", "") / "checkpoints" / "mean"
        mean = mean_of([read_adapter(checkpoint_of(trial_of(study, number), step)) for number, step in parts])
        write_format("diffusers", mean.adapter, folder, About())
        found[f"{words}, rank {mean.rank} (error {mean.error:.1%})"] = folder
    return found


def _beside(best: Read, read: Read) -> list[str]:
    cells = []
    for own, other, sign in ((read.loss, best.loss, -1), (read.way, best.way, 1)):
        gains = sign * (own - other)
        cells += [f"{own.mean():.4f}", f"{gains.mean():+.4f} ± {gains.std() / len(gains) ** 0.5:.4f}"]
    return cells


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
