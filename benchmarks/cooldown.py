"""`python -m benchmarks.cooldown [--sets pencil] [--out FILE]`: is a short cool-down from a checkpoint worth its steps?

The same training at a constant rate, and branches that leave it at some step and let the rate fall to 0 in a straight
line: until it leaves, a branch is the constant training to the bit, which is checked. Its end stands beside the
checkpoint that it left, the constant training after as many steps, and a cosine of the longest. Truth is read as in
`benchmarks.finale`, by the loss on drawings that none learned from (over the base's; lower is better) and by how far
pictures of new scenes have gone from the base's to drawings of these (higher is better).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.finale import TruthOf
from benchmarks.judge_trials.report import table
from benchmarks.judge_trials.sets import TUNED_SETS, TrialSet
from benchmarks.setting import pocket_base
from foundation.bases.port import Base
from foundation.data.dataset import load_dataset
from sweeper.results.file_names import WEIGHTS
from train.caches import EncodedDataset, encode_dataset
from train.pack import Pack
from train.spec import AdapterSpec, DataSpec, LrSchedulerSpec, OptimizerSpec, TrainingSpec, TrialSpec

SETTINGS: Final = {
    "adamw 1e-3": TrialSpec(adapter=AdapterSpec(rank=16), optimizer=OptimizerSpec(name="adamw", lr=1e-3)),
    "adamw 3e-3": TrialSpec(adapter=AdapterSpec(rank=16), optimizer=OptimizerSpec(name="adamw", lr=3e-3)),
    "lion 5e-4": TrialSpec(adapter=AdapterSpec(rank=8), optimizer=OptimizerSpec(name="lion", lr=5e-4)),
}
BRANCHES: Final = ((40, 10), (40, 20), (80, 20), (80, 40), (120, 40))
"""The step that each leaves at, and over how many its rate falls."""
LONGEST: Final = max(leaves + falls for leaves, falls in BRANCHES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """One training: what it is called, its schedule, its steps, and where it is read."""

    name: str
    schedule: LrSchedulerSpec
    steps: int
    read: tuple[int, ...]


def courses() -> list[Course]:
    """The constant training, a cosine, and the branches."""
    marks = sorted({step for leaves, falls in BRANCHES for step in (leaves, leaves + falls)})
    falling = [
        Course(
            name=f"{leaves}+{falls}",
            schedule=LrSchedulerSpec(name="warmup_stable_decay", decay=falls / (leaves + falls)),
            steps=leaves + falls,
            read=(leaves, leaves + falls),
        )
        for leaves, falls in BRANCHES
    ]
    constant = Course(name="constant", schedule=LrSchedulerSpec(), steps=LONGEST, read=tuple(marks))
    cosine = Course(name="cosine", schedule=LrSchedulerSpec(name="cosine"), steps=LONGEST, read=(LONGEST,))
    return [constant, cosine, *falling]


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cooldown", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("multirun/cooldown"), help="trainings and pictures")
    parser.add_argument("--sets", nargs="+", choices=[each.name for each in TUNED_SETS], default=["pencil", "chalk"])
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--out", type=Path, help="a file that gets a line of JSON for each comparison")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    base, found = pocket_base(), []
    for chosen in (each for each in TUNED_SETS if each.name in given.sets):
        place = given.folder / f"{chosen.name}-{given.seed}"
        pictures = chosen.write(given.folder / "sets")
        data = DataSpec(name=chosen.name, path=str(pictures / "train"), trigger=chosen.trigger)
        encoded = encode_dataset(base, load_dataset(data), given.folder / "cache")
        truth = TruthOf(base, chosen, place / "truth")
        for name, spec in SETTINGS.items():
            where = place / name.replace(" ", "-")
            _train(base, encoded, spec, where, given.seed)
            for row in _compare(chosen, name, where, truth):
                found.append(row)
                print(json.dumps(row), flush=True)
                if given.out:
                    with given.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    print(report(found))
    return 0


def _train(base: Base, data: EncodedDataset, spec: TrialSpec, place: Path, seed: int) -> None:
    """Train all courses of a setting side by side, and keep the checkpoints that are read."""
    wanted = courses()
    if all(checkpoint(place, course.name, step).exists() for course in wanted for step in course.read):
        return
    pack = Pack(base, data, len(wanted))
    slots = {}
    for course in wanted:
        train = TrainingSpec(steps=course.steps, batch_size=4, seed=seed)
        slots[course.name] = pack.admit(replace(spec, train=train, lr_scheduler=course.schedule))
    for step in range(1, LONGEST + 1):
        pack.step()
        for course in wanted:
            if step in course.read:
                pack.save_adapter(slots[course.name], checkpoint(place, course.name, step))
            if step == course.steps:
                pack.release(slots[course.name])


def checkpoint(place: Path, course: str, step: int) -> Path:
    """Where a course's checkpoint is; the name of its folder is no other's, by which what was drawn is kept."""
    return place / f"{place.name}-{course}" / "checkpoints" / f"step-{step:06}"


def _compare(chosen: TrialSet, setting: str, place: Path, truth: TruthOf) -> Iterator[dict[str, Any]]:
    """What each branch gained over the checkpoint that it left, over the constant training, over a cosine."""
    cosine = truth.read(checkpoint(place, "cosine", LONGEST))
    constant = {step: truth.read(checkpoint(place, "constant", step)) for step in courses()[0].read}
    for leaves, falls in BRANCHES:
        name = f"{leaves}+{falls}"
        _check_same(checkpoint(place, name, leaves), checkpoint(place, "constant", leaves))
        end = truth.read(checkpoint(place, name, leaves + falls))
        for beside, other in (("left", constant[leaves]), ("constant", constant[leaves + falls]), ("cosine", cosine)):
            yield {
                "set": chosen.name,
                "setting": setting,
                "branch": name,
                "beside": beside,
                "loss": _gain(other.loss - end.loss),
                "way": _gain(end.way - other.way),
                "end": [round(float(end.loss.mean()), 4), round(float(end.way.mean()), 4)],
            }


def _check_same(one: Path, other: Path) -> None:
    first, second = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    if first.keys() != second.keys() or not all(torch.equal(first[name], second[name]) for name in first):
        raise RuntimeError(f"{one} is not {other} to the bit")


def _gain(gains: Tensor) -> list[float]:
    """The mean and its standard error, paired over drawings or scenes."""
    return [round(float(gains.mean()), 4), round(float(gains.std() / len(gains) ** 0.5), 4)]


def report(found: Sequence[Mapping[str, Any]]) -> str:
    """A table of gains over all sets and settings: mean, its error over them, and how many gained and lost for sure."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in found:
        groups[row["branch"], row["beside"]].append(row)
    rows = []
    for (branch, beside), own in groups.items():
        cells: list[object] = [branch, beside, len(own)]
        for measure in ("loss", "way"):
            gains = torch.tensor([row[measure] for row in own])
            error = gains[:, 0].std() / len(own) ** 0.5 if len(own) > 1 else torch.tensor(0.0)
            sure = gains[:, 0].abs() > 2 * gains[:, 1]
            gained, lost = int((sure & (gains[:, 0] > 0)).sum()), int((sure & (gains[:, 0] < 0)).sum())
            cells += [f"{gains[:, 0].mean():+.4f} ± {error:.4f}", f"{gained} / {lost}"]
        rows.append(cells)
    return table(["branch", "beside", "n", "loss", "surely better / worse", "way", "surely better / worse"], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
