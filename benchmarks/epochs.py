"""`python -m benchmarks.epochs`: are all files of a training judged to the right one, whoever saved them?

Small trainings on drawn styles of the world that nothing was tuned on (`RESERVED_SETS`), long enough that some go
past their best. What each leaves is written as another trainer names and writes its files, and `sweeper eval` judges
the folder, by the pictures that were trained on and held out. The truth of every checkpoint is read in two ways that
no network was trained for, off what was trained, not off what was written (`benchmarks.finale.TruthOf`): how far
pictures of other scenes have gone to the style, and the loss on drawings that none learned from. Regret is how much
worse than the truly best file the chosen one is, percent of it. What was made lies in `--folder`, and is kept.

`replay` has the same rules choose among the checkpoints of stored trials (docs/judge_trials.jsonl), of the sets that
nothing was tuned on, against the truth that trained readers told when they were stored; seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.finale import TruthOf
from benchmarks.judge_trials.analysis import LEARNED
from benchmarks.judge_trials.courses import read_courses
from benchmarks.judge_trials.rejudge import rejudge_all
from benchmarks.judge_trials.report import table
from benchmarks.judge_trials.sets import RESERVED_SETS, TrialSet
from benchmarks.judge_trials.subject_sets import RESERVED_SUBJECTS
from benchmarks.setting import POCKET, pocket_base
from eval.evaluation import Evaluation
from eval.request import parse_request
from eval.series.judging import judge_series
from eval.series.record import Judged, Series, is_confirmed
from eval.spec import EvalSpec, Thresholds
from foundation.adapters.exports import About, read_adapter, write_format
from foundation.adapters.files import WEIGHTS_FILE, Saved, saved_by
from foundation.bases.port import Base
from foundation.data.dataset import load_dataset
from foundation.files.durable import new_folder, write_json
from train.caches import encode_dataset
from train.pack import Pack
from train.spec import AdapterSpec, DataSpec, OptimizerSpec, TrainingSpec, TrialSpec
from train.spec.adapter_kinds import AdapterName

COURSES: Final = Path(__file__).parents[1] / "docs" / "judge_trials.jsonl"
STEPS: Final = 280
EVERY: Final = 40
"""Steps between two files."""
FAMILY: Final = "stable_diffusion"
UNRELATED: Final = (
    "a red ball on grass, in photo style",
    "a green star left of a pink heart in the sky, in photo style",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """A trainer's files."""

    trainer: str
    name: Callable[[int, int], str]
    """Of a step, and of its epoch, the file's name without a suffix; with a slash where each has a folder."""
    format: str
    """`kohya` or `diffusers` files, or `own`: as this project saves checkpoints."""
    kind: AdapterName = "lora"
    dora: bool = False
    lr: float = 2e-3

    @property
    def kind_words(self) -> str:
        """What its adapter is called in the table."""
        return "dora" if self.dora else self.kind

    def adapter(self, rank: int, targets: str = "attention") -> AdapterSpec:
        """What is trained."""
        return AdapterSpec(name=self.kind, dora=self.dora, rank=rank, targets=targets)


NAMINGS: Final = (
    Naming(trainer="kohya, epochs", name=lambda _, epoch: f"mine-{epoch:06d}", format="kohya"),
    Naming(trainer="kohya, steps", name=lambda step, _: f"mine-step{step:08d}", format="kohya", kind="loha", lr=8e-3),
    Naming(
        trainer="OneTrainer",
        name=lambda step, epoch: f"2026-11-30_10-00-00-save-{step}-{epoch}-0",
        format="kohya",
        lr=4e-3,
    ),
    Naming(trainer="ai-toolkit", name=lambda step, _: f"mine_{step:09d}", format="kohya", kind="lokr", lr=8e-3),
    Naming(trainer="SimpleTuner, diffusers", name=lambda step, _: f"checkpoint-{step}/", format="diffusers", lr=1e-3),
    Naming(trainer="this project", name=lambda step, _: f"step-{step:06d}/", format="own", dora=True),
)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.epochs", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("make", "judge", "read", "report", "replay"))
    parser.add_argument("--folder", type=Path, default=Path("multirun/epochs"), help="what is made and kept")
    parser.add_argument("--courses", type=Path, default=COURSES, help="stored trials, for replay")
    parser.add_argument("--series", type=int, default=len(NAMINGS), help="how many of the trainers, the first ones")
    given = parser.parse_args()
    if given.command == "replay":
        head = ("trials", "regret", "to the end", "of the last checkpoint", "files judged", "best missed by stopping")
        print(table(head, [replay(given.courses, kind) for kind in ("style", "subject")]))
        return
    torch.set_num_threads(1)
    base = pocket_base()
    chosen = list(zip(NAMINGS, RESERVED_SETS, strict=False))[: given.series]
    for naming, pictures in chosen:
        place = given.folder / pictures.name
        if given.command in (None, "make"):
            make(naming, pictures, place, base)
        if given.command in (None, "judge"):
            judge(pictures, place)
        if given.command in (None, "read"):
            read_truth(pictures, place, base)
    if given.command in (None, "report"):
        print(report(chosen, given.folder))


def make(naming: Naming, pictures: TrialSet, place: Path, base: Base) -> None:
    """Train, keep a checkpoint every `EVERY` steps, and write them as the trainer does; once."""
    if (place / "output").exists():
        return
    drawn = pictures.write(place.parent / "sets")
    dataset = load_dataset(
        DataSpec(name=pictures.name, path=str(drawn / "train"), validation_path=str(drawn / "validation"))
    )
    data = encode_dataset(base, dataset, place.parent / "cache")
    pack = Pack(base, data, 1, "fp32")
    trial = TrialSpec(
        adapter=naming.adapter(rank=16, targets="attention+ff"),
        optimizer=OptimizerSpec(name="adamw", lr=naming.lr),
        train=TrainingSpec(steps=STEPS, batch_size=4, seed=pictures.seed),
    )
    slot = pack.admit(trial)
    shutil.rmtree(place / "trained", ignore_errors=True)
    while not pack.is_finished(slot):
        for done in pack.step():
            if done.step % EVERY == 0:
                pack.save_adapter(slot, checkpoint(place, done.step))
    with new_folder(place / "output") as output:
        for number, step in enumerate(range(EVERY, STEPS + 1, EVERY), start=1):
            _write(naming, checkpoint(place, step), output / naming.name(step, number))
    print(f"{pictures.name}: as {naming.trainer}", flush=True)


def checkpoint(place: Path, step: int) -> Path:
    """What was trained, as this project saves it."""
    return place / "trained" / f"step-{step:06d}"


def _write(naming: Naming, trained: Path, out: Path) -> None:
    if naming.format == "own":
        shutil.copytree(trained, out)
        return
    adapter, fresh = read_adapter(trained), out.with_name("written")
    file = write_format(naming.format, adapter, fresh, About(family=FAMILY))
    if naming.name(1, 1).endswith("/"):
        out.mkdir()
        file.rename(out / WEIGHTS_FILE)
    else:
        file.rename(out.with_name(f"{out.name}.safetensors"))
    shutil.rmtree(fresh)


def judge(pictures: TrialSet, place: Path) -> None:
    """Have `sweeper eval` judge the folder, as a person would; once."""
    if (place / "judged.json").exists():
        return
    drawn = place.parent / "sets" / pictures.name
    request = parse_request(
        [
            *(f"lora={place / 'output'}", f"base={POCKET.path}", f"trigger={pictures.trigger}", "to_end=true"),
            *(f"data={drawn / 'train'}", f"held_out={drawn / 'validation'}", "seeds=2", "steps=5", "sampler=dpm++"),
            *(f"unrelated={each}" for each in UNRELATED),
            *(f"report={place / 'report.html'}", f"sheet={place / 'sheet.png'}", f"json={place / 'judged.json'}"),
        ]
    )
    judge_series(request, saved_by(request.lora))


def read_truth(pictures: TrialSet, place: Path, base: Base) -> None:
    """Read the truth of every checkpoint; once."""
    if (place / "truth.json").exists():
        return
    truth = TruthOf(base, pictures, place / "drawn")
    steps = range(EVERY, STEPS + 1, EVERY)
    read = {step: truth.read(checkpoint(place, step)) for step in steps}
    values = {step: {"way": float(each.way.mean()), "gain": 1 - float(each.loss.mean())} for step, each in read.items()}
    write_json(place / "truth.json", {str(step): each for step, each in values.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One series, judged and true; files are by their number."""

    chosen: int
    """Said to be the one to use as trained."""
    alike: Sequence[int]
    """Not told apart from it."""
    overtrained: int | None
    """From which on they were said to be overtrained."""
    ways: Sequence[float]
    """(N,) how far each file's pictures have gone to the style."""
    gains: Sequence[float]
    """(N,) by how much each lowers the base's loss on drawings that none learned from, as a share of it."""


def regret(qualities: Sequence[float], number: int) -> float:
    """How much worse than the truly best one a file is, percent of that."""
    best = max(qualities)
    return 100 * (best - qualities[number]) / best


def outcome_of(naming: Naming, place: Path) -> Outcome:
    """Put a judgement beside the truth; files are told by their trainer's names."""
    judged: Mapping[str, Any] = json.loads((place / "judged.json").read_text())
    truth: Mapping[str, Mapping[str, float]] = json.loads((place / "truth.json").read_text())
    steps = range(EVERY, STEPS + 1, EVERY)
    names = [Path(naming.name(step, number)).name for number, step in enumerate(steps, start=1)]

    def number_of(path: str) -> int:
        return names.index(Path(path).stem if path.endswith(".safetensors") else Path(path).name)

    past = judged["overtrained_from"]
    return Outcome(
        chosen=number_of(judged["best_as_trained"]),
        alike=[number_of(each) for each in judged["not_told_apart"]],
        overtrained=None if past is None else number_of(past),
        ways=[truth[str(step)]["way"] for step in steps],
        gains=[truth[str(step)]["gain"] for step in steps],
    )


def report(chosen: Sequence[tuple[Naming, TrialSet]], folder: Path) -> str:
    """The table of all series that were made, judged and read, and what they come to."""
    rows, of_way, of_gain, lasts = [], list[float](), list[float](), list[float]()
    for naming, pictures in chosen:
        if not (folder / pictures.name / "truth.json").exists():
            continue
        found = outcome_of(naming, folder / pictures.name)
        of_way.append(regret(found.ways, found.chosen))
        of_gain.append(regret(found.gains, found.chosen))
        lasts.append(regret(found.ways, len(found.ways) - 1))
        best = max(range(len(found.ways)), key=lambda number: found.ways[number])
        cells = [naming.trainer, naming.kind_words, pictures.name, _step(found.chosen)]
        cells += [", ".join(map(_step, found.alike)) or "–", _step(best), f"{of_way[-1]:.1f}", f"{of_gain[-1]:.1f}"]
        cells += [f"{lasts[-1]:.1f}", "–" if found.overtrained is None else _step(found.overtrained)]
        rows.append([*cells, " ".join(f"{way:.2f}" for way in found.ways)])
    head = ["as saved by", "kind", "style", "chosen", "not told apart", "truly best", "regret of way, %"]
    head += ["of the loss, %", "last file's, %", "said overtrained from", "way of each"]
    words = f"regret of way: {_spread(of_way)}; of the loss: {_spread(of_gain)}; last file's: {_spread(lasts)}"
    return f"{table(head, rows)}\n{words}"


def replay(file: Path, kind: str) -> list[object]:
    """What the rules of a series choose of stored trials of a kind that nothing was tuned on, as a row of a table.

    Their truth was read when they were stored; each trial's checkpoints stand for what a training saved.
    """
    reserved = {each.name for each in (RESERVED_SETS if kind == "style" else RESERVED_SUBJECTS)}
    spec = EvalSpec(prompts=("a cup",), warmup_evaluations=0, thresholds=Thresholds(in_a_row=1))
    courses = [each for each in read_courses(file) if each.set in reserved and each.best >= each.base + LEARNED]
    chosen, lasts, whole = list[float](), list[float](), list[float]()
    missed = looked = there = 0
    for course in courses:
        qualities = [point.truth.quality for point in course.checkpoints]
        evaluations = rejudge_all([point.evaluation for point in course.checkpoints], spec)
        whole_one = _series(evaluations, spec)
        ends = next((n for n in range(len(evaluations) + 1) if is_confirmed(whole_one.judged[:n])), None)
        chosen.append(regret(qualities, _place(_series(evaluations[:ends], spec))))
        whole.append(regret(qualities, _place(whole_one)))
        lasts.append(regret(qualities, len(qualities) - 1))
        looked, there = looked + (ends or len(qualities)), there + len(qualities)
        missed += ends is not None and max(qualities[:ends]) < 0.98 * max(qualities)
    cells = [f"{len(courses)} trials of {len({each.set for each in courses})} {kind}s", _spread(chosen), _spread(whole)]
    return [*cells, _spread(lasts), f"{looked} of {there}", missed]


def _series(evaluations: Sequence[Evaluation], spec: EvalSpec) -> Series:
    files = [Saved(path=Path(str(each.step)), step=each.step) for each in evaluations]
    judged = [Judged(saved=file, name="", evaluation=each) for file, each in zip(files, evaluations, strict=True)]
    return Series(clean=spec.thresholds.clean, judged=judged)


def _place(series: Series) -> int:
    return next(number for number, each in enumerate(series.judged) if each is series.best_as_trained)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"median {statistics.median(values):.1f} %, mean {statistics.fmean(values):.1f} %, worst {max(values):.0f} %"


def _step(number: int) -> str:
    return str((number + 1) * EVERY)


if __name__ == "__main__":
    main()
