"""`python -m benchmarks.judge_trials`: train the trials, read their truth, hold the judge against it.

Without a command three things are done, each going on where it stopped: `record` trains (about two hours on two cores),
`read` draws and reads the truth of every checkpoint (about two hours on one), `report` prints the tables from the
stored courses and draws the pictures (minutes).

`rejudge` has today's judge look at the stored pictures again and writes the courses anew (a minute); arguments such as
`eval.seeds=[0]` change what it looks at, and with `--draw` how it draws (forty minutes on one core). `ceiling`
prints what the truth's own reader would make of what was so drawn. Both are for sets of styles.

Sets are of a style or of a subject (`--sets mug beachball`); a report is of one kind.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from benchmarks.judge_trials.anew import judge_anew
from benchmarks.judge_trials.ceiling import between_halves, by_the_reader, reach
from benchmarks.judge_trials.courses import Course, append_course, inspect_study, read_courses
from benchmarks.judge_trials.discriminator import style_accuracy
from benchmarks.judge_trials.figures import draw_all
from benchmarks.judge_trials.reader import accuracy
from benchmarks.judge_trials.record import record, record_recipe, record_subject
from benchmarks.judge_trials.report import report, table
from benchmarks.judge_trials.sets import SETS, TUNED_SETS, TrialSet
from benchmarks.judge_trials.style_truth import StyleInspector, load_readers
from benchmarks.judge_trials.subject_readers import load_subject_reader
from benchmarks.judge_trials.subject_sets import SUBJECT_SETS, SubjectSet
from benchmarks.judge_trials.subject_truth import SubjectInspector, told_apart
from benchmarks.setting import pocket_base
from eval.spec import EvalSpec
from foundation.bases.port import Base
from sweeper.search.space import plan

DOCS: Final = Path(__file__).parents[2] / "docs"
COURSES: Final = "judge_trials.jsonl"
RECIPES: Final = "judge_recipes.jsonl"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_trials", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("record", "read", "rejudge", "report", "ceiling"))
    parser.add_argument("overrides", nargs="*", help="of the default study, such as eval.seeds=[0]")
    parser.add_argument("--folder", type=Path, default=Path("multirun/judge_trials"), help="studies and pictures")
    parser.add_argument(
        "--sets",
        nargs="+",
        choices=[*(each.name for each in SETS), *(each.name for each in SUBJECT_SETS)],
        default=[each.name for each in TUNED_SETS],
    )
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the report's pictures go, and the courses are")
    parser.add_argument("--courses", type=Path, help="rejudge: where to write them; report: what to read")
    parser.add_argument("--draw", action="store_true", help="rejudge: draw all checkpoints again")
    arguments = parser.parse_intermixed_args()
    chosen = [each for each in SETS if each.name in arguments.sets]
    subjects = [each for each in SUBJECT_SETS if each.name in arguments.sets]
    if subjects and (chosen or arguments.command in ("rejudge", "ceiling")):
        parser.error("sets of subjects go by themselves, and are recorded, read and reported alone")
    stored = arguments.docs / COURSES
    file = arguments.courses or stored
    if arguments.command in (None, "record"):
        for style in chosen:
            record(style, arguments.folder)
            record_recipe(style, arguments.folder)
        for subject in subjects:
            record_subject(subject, arguments.folder)
    if arguments.command in (None, "read"):
        _read(arguments.folder, arguments.docs, chosen, subjects)
    if arguments.command in (None, "report"):
        request = plan([f"+experiment={'mug' if subjects else 'pencil'}", *arguments.overrides])
        courses = [each for each in read_courses(file) if each.set in arguments.sets]
        if not subjects:
            draw_all(courses, request.config.eval, arguments.docs / "pictures")
        print(report(courses, arguments.docs / RECIPES, request))
    if arguments.command == "rejudge":
        spec = plan(["+experiment=pencil", *arguments.overrides]).config.eval
        _rejudge(chosen, read_courses(stored), arguments.folder, file, spec, draw=arguments.draw)
    if arguments.command == "ceiling":
        spec = plan(["+experiment=pencil", *arguments.overrides]).config.eval
        print(_ceiling(chosen, read_courses(file), arguments.folder, spec))


def _rejudge(
    chosen: list[TrialSet], courses: list[Course], folder: Path, file: Path, spec: EvalSpec, *, draw: bool
) -> None:
    """Write the courses to `file` in its place, set by set."""
    base, fresh = pocket_base(), file.with_suffix(".part")
    fresh.unlink(missing_ok=True)
    for each in chosen:
        own = [course for course in courses if course.set == each.name]
        for course in judge_anew(own, each, folder, base, spec, draw=draw):
            append_course(fresh, course)
    fresh.replace(file)


def _ceiling(chosen: list[TrialSet], courses: list[Course], folder: Path, spec: EvalSpec) -> str:
    base = pocket_base()
    readers = load_readers(base, folder)
    own = {each.name: [course for course in courses if course.set == each.name] for each in chosen}
    own["all"] = [course for some in own.values() for course in some]
    seen = by_the_reader(own["all"], folder, base, readers, spec)
    rows = {
        "the truth's reader on the judge's pictures": [reach(some, seen) for some in own.values()],
        "half of the truth's pictures against the other": [between_halves(some) for some in own.values()],
    }
    return table(["AUC", *own], [[name, *values] for name, values in rows.items()])


def _read(folder: Path, docs: Path, styles: list[TrialSet], subjects: list[SubjectSet]) -> None:
    base = pocket_base()
    if styles:
        _read_styles(base, folder, docs, styles)
    if subjects:
        _read_subjects(base, folder, docs, subjects)


def _read_styles(base: Base, folder: Path, docs: Path, styles: list[TrialSet]) -> None:
    readers = load_readers(base, folder)
    for each in styles:
        parts, whole = accuracy(readers.reader, base, each.style)
        styled = style_accuracy(readers.discriminator, base, each.style)
        print(
            f"{each.style}: {100 * parts:.1f} % of parts read right, {100 * whole:.1f} % of scenes wholly, "
            f"{100 * styled:.1f} % sure that it is {each.style}"
        )
        for study, file in ((each.name, COURSES), (f"{each.name}-recipe", RECIPES)):
            kept = folder / "truth" / study
            inspector = StyleInspector(base, readers, each, folder / "sets" / each.name, kept)
            inspect_study(folder / each.name / study, inspector, docs / file)


def _read_subjects(base: Base, folder: Path, docs: Path, subjects: list[SubjectSet]) -> None:
    reader = load_subject_reader(base, folder)
    for each in subjects:
        print(f"{each.name}: {told_apart(reader, base, each)}")
        train = each.write(folder / "sets") / "train"
        inspector = SubjectInspector(base, reader, each, train, folder / "truth" / each.name)
        inspect_study(folder / each.name / each.name, inspector, docs / COURSES)


if __name__ == "__main__":
    main()
