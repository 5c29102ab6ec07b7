"""`python -m benchmarks.sweep`: the default pencil study, packed, one trial after another, and as a stock script would.

The same twelve trials with all their steps, nothing stopped early. The study judges every checkpoint; the stock script
only trains, which makes the comparison harder for the study than it need be. The stock script's trials are alike, so
some of them are timed and the rest counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from foundation.quiet import quiet_libraries

quiet_libraries()

from benchmarks.baselines import stock_seconds  # noqa: E402
from benchmarks.setting import setting  # noqa: E402
from foundation.compose import compose  # noqa: E402

WHOLE = [
    "+experiment=pencil",
    "study.pruner.name=none",
    "eval.warmup_evaluations=99",
    "eval.thresholds.style_drop=9",
]


def main() -> None:
    """Run, and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--stock-trials", type=int, default=2, help="of the stock script, timed; the rest is counted")
    arguments = parser.parse_args()
    config = compose(WHOLE)
    trials, steps = int(config["study"]["num_trials"]), int(config["train"]["steps"])
    with tempfile.TemporaryDirectory() as folder:
        packed = _study(Path(folder) / "packed", "auto")
        alone = _study(Path(folder) / "alone", "1")
    with setting("pocket", torch.device("cpu")) as where:
        batch = int(config["train"]["batch_size"])
        timed = [
            stock_seconds(where.path, where.folder, batch, steps, where.resolution, where.precision)
            for _ in range(arguments.stock_trials)
        ]
    stock = sum(timed) / len(timed) * trials
    print(f"{trials} trials of {steps} steps, {torch.get_num_threads()} threads\n")
    print("| way | seconds | packed is faster by |\n| --- | ---: | ---: |")
    for name, seconds in (("packed", packed), ("one trial after another", alone), ("stock script, no judge", stock)):
        print(f"| {name} | {seconds:.0f} | {seconds / packed:.2f}× |")


def _study(folder: Path, slots: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "sweeper", *WHOLE, f"study.slots={slots}", f"study.folder={folder}"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
