"""`python -m benchmarks.refit readers=FOLDER [out=FILE]`: is a winner better for learning from all pictures?

Few pictures of a style that the embedded base never saw: as a study splits them, and all of them with as many more
steps. The same settings and training seeds either way; the truth is read as in `benchmarks.judge_trials`, on scenes
that are new to all. A line of JSON for each pair of checkpoints goes to `out`, and a table is printed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Final

from benchmarks.judge_trials.sets import TrialSet
from benchmarks.judge_trials.style_truth import Readers, StyleInspector, load_readers
from benchmarks.setting import pocket_base
from foundation.bases.port import Base
from foundation.data.dataset import Dataset, load_dataset
from train.caches import encode_dataset
from train.pack import Pack
from train.spec import AdapterSpec, DataSpec, OptimizerSpec, TrainingSpec, TrialSpec

SETS: Final = tuple(TrialSet(f"{style}-{count}", style, count, 77) for style in ("pencil", "chalk") for count in (8, 5))
STEPS: Final = (60, 120)
"""Where a study might have found its best checkpoint."""
SETTINGS: Final = (
    TrialSpec(adapter=AdapterSpec(rank=16), optimizer=OptimizerSpec(name="adamw", lr=1e-3)),
    TrialSpec(adapter=AdapterSpec(rank=8, targets="attention+ff"), optimizer=OptimizerSpec(name="lion", lr=3e-4)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The truth of one setting's checkpoint as split, and of all pictures with as many epochs."""

    set: str
    setting: int
    step: int
    split: dict[str, float]
    refitted: dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    given = dict(argument.partition("=")[::2] for argument in arguments)
    if "readers" not in given or given.keys() - {"readers", "out"}:
        print(__doc__)
        return 2
    base = pocket_base()
    readers = load_readers(base, Path(given["readers"]))
    pairs = []
    with tempfile.TemporaryDirectory() as temporary:
        for chosen in SETS:
            for pair in _compare(base, readers, chosen, Path(temporary)):
                pairs.append(pair)
                line = json.dumps({name: getattr(pair, name) for name in pair.__slots__})
                print(line, flush=True)
                if "out" in given:
                    with Path(given["out"]).open("a") as file:
                        file.write(f"{line}\n")
    _report(pairs)
    return 0


def _compare(base: Base, readers: Readers, chosen: TrialSet, folder: Path) -> Iterator[Pair]:
    pictures = chosen.write(folder / "sets")
    split = load_dataset(DataSpec(name=chosen.name, path=str(pictures / "train"), trigger=chosen.trigger))
    everything = replace(split, train=(*split.train, *split.validation))
    share = everything.num_images / split.num_images
    kept = folder / "truth" / chosen.name
    kept.mkdir(parents=True)
    inspector = StyleInspector(base, readers, chosen, pictures, kept)
    places = {"split": folder / chosen.name / "split", "refitted": folder / chosen.name / "refitted"}
    later = [round(step * share) for step in STEPS]
    _train(base, split, STEPS, places["split"], folder)
    _train(base, everything, later, places["refitted"], folder)
    for setting in range(len(SETTINGS)):
        for step, scaled in zip(STEPS, later, strict=True):
            truths = {
                name: inspector.inspect(place / f"{name}-{setting}" / "checkpoints" / f"step-{at:06}")
                for (name, place), at in zip(places.items(), (step, scaled), strict=True)
            }
            numbers = {
                name: {key: round(getattr(each, key), 4) for key in ("quality", "shown", "way", "told", "copied")}
                for name, each in truths.items()
            }
            yield Pair(set=chosen.name, setting=setting, step=step, **numbers)


def _train(base: Base, dataset: Dataset, steps: Sequence[int], place: Path, folder: Path) -> None:
    """Train all settings side by side, and leave their checkpoints in folders named as the inspector tells them."""
    pack = Pack(base, encode_dataset(base, dataset, folder / "cache"), len(SETTINGS))
    train = TrainingSpec(steps=max(steps), batch_size=4, seed=3)
    slots = [pack.admit(replace(spec, train=train)) for spec in SETTINGS]
    for step in range(1, max(steps) + 1):
        pack.step()
        for number, slot in enumerate(slots if step in steps else []):
            pack.save_adapter(slot, place / f"{place.name}-{number}" / "checkpoints" / f"step-{step:06}")


def _report(pairs: Sequence[Pair]) -> None:
    for name in ("quality", "shown", "way", "told", "copied"):
        gains = [pair.refitted[name] - pair.split[name] for pair in pairs]
        error = stdev(gains) / len(gains) ** 0.5
        better = sum(gain > 0 for gain in gains)
        print(
            f"{name}: {fmean(pair.split[name] for pair in pairs):.3f} as split, "
            f"{fmean(pair.refitted[name] for pair in pairs):.3f} refitted, gain {fmean(gains):+.3f} ± {error:.3f}, "
            f"better in {better} of {len(pairs)}"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
