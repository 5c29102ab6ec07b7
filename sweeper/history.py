"""A trial's steps, evaluations and validation losses on disk: one JSON line each, written by its worker.

Whoever comes after reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from eval.evaluation import Evaluation, Validation
from foundation.durable import append_line, append_lines, write_text
from train.reports import StepReport

_STEPS, _EVALUATIONS, _VALIDATIONS = "steps.jsonl", "evaluations.jsonl", "validations.jsonl"
Told = TypeVar("Told", StepReport, Evaluation, Validation)


def append_steps(folder: Path, reports: Sequence[StepReport]) -> None:
    """Add steps to a trial's folder."""
    append_lines(folder / _STEPS, [_line(each) for each in reports])


def append_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Add one evaluation to a trial's folder."""
    append_line(folder / _EVALUATIONS, _line(evaluation))


def append_validation(folder: Path, validation: Validation) -> None:
    """Add one validation loss to a trial's folder."""
    append_line(folder / _VALIDATIONS, _line(validation))


def read_steps(folder: Path) -> Iterator[StepReport]:
    """All steps of a trial, in order, read as they are taken; see `read_evaluations`."""
    return _read(folder / _STEPS, StepReport)


def read_evaluations(folder: Path) -> list[Evaluation]:
    """All evaluations of a trial, in order; a last line that a crash cut off is passed over."""
    return list(_read(folder / _EVALUATIONS, Evaluation))


def read_validations(folder: Path) -> list[Validation]:
    """All validation losses of a trial between its evaluations, in order; see `read_evaluations`."""
    return list(_read(folder / _VALIDATIONS, Validation))


def rewind(folder: Path, step: int) -> tuple[list[Evaluation], list[Validation]]:
    """What was seen up to `step`, where the saved state stands; what came later will come again, so it is dropped."""
    evaluations = [each for each in read_evaluations(folder) if each.step <= step]
    validations = [each for each in read_validations(folder) if each.step <= step]
    _write(folder / _EVALUATIONS, evaluations)
    _write(folder / _VALIDATIONS, validations)
    _write(folder / _STEPS, [each for each in read_steps(folder) if each.step <= step])
    return evaluations, validations


def _read(file: Path, kind: type[Told]) -> Iterator[Told]:
    for line in file.read_text(errors="replace").splitlines() if file.exists() else ():
        try:
            yield kind.from_json(json.loads(line))
        except (json.JSONDecodeError, KeyError, TypeError):
            continue


def _write(file: Path, told: Sequence[StepReport] | Sequence[Evaluation] | Sequence[Validation]) -> None:
    if file.exists():
        write_text(file, "".join(f"{_line(each)}\n" for each in told))


def _line(told: StepReport | Evaluation | Validation) -> str:
    return json.dumps(told.to_json(), allow_nan=False)
