"""`python -m benchmarks.judge_trials`: train the trials, read their truth, hold the judge against it.

Without a command all three are done, each going on where it stopped: `record` trains (about two hours on two cores),
`read` reads the truth of every checkpoint, `report` prints the tables from the stored courses and draws the pictures
(a minute).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import torch

from benchmarks.judge_trials.courses import inspect_study, read_courses
from benchmarks.judge_trials.figures import draw_all
from benchmarks.judge_trials.reader import accuracy, load_reader
from benchmarks.judge_trials.record import record, record_recipe
from benchmarks.judge_trials.report import report
from benchmarks.judge_trials.sets import SETS
from benchmarks.judge_trials.truth import Inspector
from sweeper.space import plan
from train.bases import load_base
from train.spec import BaseSpec

DOCS: Final = Path(__file__).parents[2] / "docs"
COURSES: Final = "judge_trials.jsonl"
RECIPES: Final = "judge_recipes.jsonl"


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_trials", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("record", "read", "report"))
    parser.add_argument("--folder", type=Path, default=Path("multirun/judge_trials"), help="studies and pictures")
    parser.add_argument("--sets", nargs="+", choices=[each.name for each in SETS], default=[each.name for each in SETS])
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the courses and pictures are kept")
    arguments = parser.parse_args()
    chosen = [each for each in SETS if each.name in arguments.sets]
    if arguments.command in (None, "record"):
        for each in chosen:
            record(each, arguments.folder)
            record_recipe(each, arguments.folder)
    if arguments.command in (None, "read"):
        _read(arguments.folder, arguments.docs, [each.name for each in chosen])
    if arguments.command in (None, "report"):
        asked = plan(["+experiment=pencil"])
        courses = read_courses(arguments.docs / COURSES)
        draw_all(courses, asked.config.eval, arguments.docs / "pictures")
        print(report(courses, arguments.docs / RECIPES, asked))


def _read(folder: Path, docs: Path, names: list[str]) -> None:
    base = load_base(BaseSpec(name="pocket", path="pocket", resolution=64), torch.device("cpu"), "fp32")
    reader = load_reader(base, folder / "reader.safetensors")
    for each in (each for each in SETS if each.name in names):
        parts, whole, styled = accuracy(reader, base, each.style)
        print(
            f"{each.style}: {100 * parts:.1f} % of parts read right, {100 * whole:.1f} % of scenes wholly, "
            f"{100 * styled:.1f} % as {each.style}"
        )
        for study, file in ((each.name, COURSES), (f"{each.name}-recipe", RECIPES)):
            kept = folder / "truth" / study
            inspector = Inspector(base, reader, each, folder / "sets" / each.name, kept)
            inspect_study(folder / each.name / study, inspector, docs / file)


if __name__ == "__main__":
    main()
