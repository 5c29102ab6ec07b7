"""`python -m benchmarks.sweep`: the default pencil study, packed, one trial after another, and as a stock script would.

The same trials with all their steps, nothing stopped early. The study judges every checkpoint. The stock script is
timed twice: as it only trains, and as it also draws at each evaluation as many pictures as the judge looks at, in as
many denoising steps (it scores none of them). Its trials are alike, so one is timed and the others counted.
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

from benchmarks.baselines import StockTrial  # noqa: E402
from benchmarks.setting import setting  # noqa: E402
from foundation.config.compose import compose  # noqa: E402

WHOLE = [
    "+experiment=pencil",
    "study.pruner.name=none",
    "eval.warmup_evaluations=99",
    "eval.thresholds.past_best=9",
]


def main() -> None:
    """Run, and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--trials", type=int, default=12, help="of the study")
    parser.add_argument(
        "--slots", default="auto", help="that the packed study has; auto is at most a third of the trials"
    )
    parser.add_argument("--stock-trials", type=int, default=1, help="of the stock script, timed; the rest is counted")
    arguments = parser.parse_args()
    config = compose(WHOLE)
    steps, batch = int(config["train"]["steps"]), int(config["train"]["batch_size"])
    with tempfile.TemporaryDirectory() as folder:
        packed = _study(Path(folder) / "packed", arguments.trials, arguments.slots)
        alone = _study(Path(folder) / "alone", arguments.trials, "1")
    judge = config["eval"]
    look = {
        "pictures": len(judge["prompts"]) * len(judge["seeds"])
        + len(judge["unrelated_prompts"]) * int(judge["unrelated_seeds"]),
        "validate_every": int(judge["every"]),
        "sample_steps": int(judge["sample_steps"]),
    }
    with setting("pocket", torch.device("cpu")) as where:
        blind, looking = StockTrial.over(where, batch, steps), StockTrial.over(where, batch, steps, **look)
        stock = _mean_seconds(blind, arguments.stock_trials) * arguments.trials
        stock_looking = _mean_seconds(looking, arguments.stock_trials) * arguments.trials
    print(f"{arguments.trials} trials of {steps} steps, {torch.get_num_threads()} threads\n")
    print("| way | seconds | packed is faster by |\n| --- | ---: | ---: |")
    for name, seconds in (
        ("packed", packed),
        ("one trial after another", alone),
        ("stock script that draws as many pictures", stock_looking),
        ("stock script that never looks", stock),
    ):
        print(f"| {name} | {seconds:.0f} | {seconds / packed:.2f}× |")


def _mean_seconds(trial: StockTrial, times: int) -> float:
    return sum(trial.seconds() for _ in range(times)) / times


def _study(folder: Path, trials: int, slots: str) -> float:
    began = time.perf_counter()
    sizes = [f"study.num_trials={trials}", f"study.slots={slots}", f"study.folder={folder}"]
    subprocess.run([sys.executable, "-m", "sweeper", *WHOLE, *sizes], check=True, stdout=sys.stderr)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
