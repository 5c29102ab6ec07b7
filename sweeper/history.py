"""A trial's evaluations on disk: one JSON line each, written by its worker, read by whoever comes after."""

from __future__ import annotations

import json
from pathlib import Path

from eval.evaluation import Evaluation
from foundation.durable import append_line, write_text

_FILE = "evaluations.jsonl"


def append_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Add one evaluation to a trial's folder."""
    append_line(folder / _FILE, _line(evaluation))


def read_evaluations(folder: Path) -> list[Evaluation]:
    """All evaluations of a trial, in order; a last line that a crash cut off is passed over."""
    file = folder / _FILE
    if not file.exists():
        return []
    evaluations: list[Evaluation] = []
    for line in file.read_text().splitlines():
        try:
            evaluations.append(Evaluation.from_json(json.loads(line)))
        except (json.JSONDecodeError, KeyError):
            continue
    return evaluations


def rewind_evaluations(folder: Path, step: int) -> list[Evaluation]:
    """Evaluations up to `step`, where the saved state stands; later ones will be made again, so they are dropped."""
    kept = [evaluation for evaluation in read_evaluations(folder) if evaluation.step <= step]
    if (folder / _FILE).exists():
        write_text(folder / _FILE, "".join(f"{_line(evaluation)}\n" for evaluation in kept))
    return kept


def _line(evaluation: Evaluation) -> str:
    return json.dumps(evaluation.to_json(), allow_nan=False)
