"""A trial's steps, evaluations, validation losses and costs on disk: one JSON line each, written by its worker.

Whoever comes after reads them. Beside them, for the study, where the base's pictures are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from eval.evaluation import Evaluation, Validation
from foundation.data.text_files import read_text
from foundation.errors import DataError
from foundation.files.documents import parse_json, read_json, read_mapping
from foundation.files.durable import append_line, append_lines, write_json, write_text
from sweeper.records.costs import Costs, Spent
from train.reports import StepReport

_STEPS, _EVALUATIONS, _VALIDATIONS, _COSTS = "steps.jsonl", "evaluations.jsonl", "validations.jsonl", "costs.jsonl"
_BASE_IMAGES = "base_images.json"
_CONFIG = "config.yaml"


class _Told(Protocol):
    """What stands in a line."""

    @property
    def step(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, values: dict[str, Any], /) -> Self: ...


_Kind = TypeVar("_Kind", bound=_Told)


def keep_config(folder: Path, config: str) -> None:
    """Write a trial's whole config, YAML, unless it is there already; what cannot be read is written anew."""
    try:
        if read_text(folder / _CONFIG) == config or read_mapping(folder / _CONFIG):  # to parse it takes 20 ms
            return
    except (OSError, DataError):
        pass
    write_text(folder / _CONFIG, config)


def read_config(folder: Path) -> str:
    """What `keep_config` wrote.

    Raises:
        DataError: it is damaged.
        OSError: it cannot be read at all.
    """
    return read_text(folder / _CONFIG)


def read_config_values(folder: Path) -> dict[str, Any]:
    """The values of what `keep_config` wrote; none where nothing was.

    Raises:
        DataError: it is damaged.
    """
    file = folder / _CONFIG
    return read_mapping(file) if file.exists() else {}


def append_steps(folder: Path, reports: Sequence[StepReport]) -> None:
    """Add steps to a trial's folder."""
    append_lines(folder / _STEPS, [_line(each) for each in reports])


def append_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Add one evaluation to a trial's folder."""
    append_line(folder / _EVALUATIONS, _line(evaluation))


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write the only evaluation of what was never trained."""
    write_text(folder / _EVALUATIONS, f"{_line(evaluation)}\n")


def append_validation(folder: Path, validation: Validation) -> None:
    """Add one validation loss to a trial's folder."""
    append_line(folder / _VALIDATIONS, _line(validation))


def append_costs(folder: Path, spent: Spent) -> None:
    """Add to a trial's folder what it took since this was last done."""
    append_line(folder / _COSTS, _line(spent))


@dataclass(frozen=True, slots=True)
class StepFile:
    """All steps of the trial in a folder, in order, read anew each time; see `read_evaluations`."""

    folder: Path

    def __iter__(self) -> Iterator[StepReport]:
        return _read(self.folder / _STEPS, StepReport)


def write_base_images(study: Path, images: Sequence[tuple[str, Path]]) -> None:
    """Note in a study's folder where the base's pictures are, as seen from there, so that both can be moved."""
    beside = study.parent.resolve()

    def seen_from_study(path: Path) -> str:
        whole = path.resolve()
        return f"../{whole.relative_to(beside).as_posix()}" if whole.is_relative_to(beside) else str(whole)

    write_json(study / _BASE_IMAGES, {name: seen_from_study(path) for name, path in images})


def read_base_images(study: Path) -> tuple[tuple[str, Path], ...]:
    """What `write_base_images` noted, of pictures that are still there; empty before it.

    An older program noted them as seen from where it ran.
    """
    try:
        noted = read_json(study / _BASE_IMAGES).items()
        placed = [(name, [at for at in (study / path, Path(path)) if at.is_file()]) for name, path in noted]
        return tuple((name, places[0]) for name, places in placed if places)
    except (OSError, ValueError, TypeError, AttributeError):
        return ()


def read_base_names(study: Path) -> tuple[str, ...]:
    """The names in what `write_base_images` noted, whether their pictures are still there or not; empty before it."""
    try:
        return tuple(map(str, read_json(study / _BASE_IMAGES)))
    except (OSError, ValueError, TypeError):
        return ()


def digest_of(folder: Path) -> str:
    """A digest of all that is said here of a trial, to know whether any of it is new."""
    digest = hashlib.sha256()
    for name in (_STEPS, _EVALUATIONS, _VALIDATIONS, _COSTS):
        file = folder / name
        digest.update(hashlib.sha256(file.read_bytes() if file.exists() else b"").digest())
    return digest.hexdigest()


def read_evaluations(folder: Path) -> list[Evaluation]:
    """All evaluations of a trial, in order; a last line that a crash cut off is passed over."""
    return list(_read(folder / _EVALUATIONS, Evaluation))


def read_validations(folder: Path) -> list[Validation]:
    """All validation losses of a trial between its evaluations, in order; see `read_evaluations`."""
    return list(_read(folder / _VALIDATIONS, Validation))


def costs_of(folder: Path, evaluations: Sequence[Evaluation]) -> list[Costs]:
    """What a trial took up to each of its first evaluations, behind the one before it."""
    spent = list(_read(folder / _COSTS, Spent))
    bounds = pairwise([-1, *(each.step for each in evaluations)])
    return [_total(each for each in spent if after < each.step <= until) for after, until in bounds]


def costs_in_all(folder: Path) -> Costs:
    """What a trial took. What a crash undid, and had to be done again, counts once."""
    return _total(_read(folder / _COSTS, Spent))


def _total(spent: Iterable[Spent]) -> Costs:
    return sum((each.costs for each in spent), start=Costs())


def rewind(folder: Path, step: int) -> tuple[list[Evaluation], list[Validation]]:
    """What was seen up to `step`, where the saved state stands; what came later will come again, so it is dropped."""
    _cut(folder / _STEPS, StepReport, step)
    _cut(folder / _COSTS, Spent, step)
    return _cut(folder / _EVALUATIONS, Evaluation, step), _cut(folder / _VALIDATIONS, Validation, step)


def _cut(file: Path, kind: type[_Kind], step: int) -> list[_Kind]:
    """Leave in the file the lines up to `step`, and return that."""
    kept = [each for each in _read(file, kind) if each.step <= step]
    if file.exists():
        write_text(file, "".join(f"{_line(each)}\n" for each in kept))
    return kept


def _read(file: Path, kind: type[_Kind]) -> Iterator[_Kind]:
    for line in file.read_text(errors="replace").splitlines() if file.exists() else ():
        try:
            yield kind.from_json(parse_json(line, str(file)))
        except (ValueError, LookupError, TypeError, AttributeError):  # not JSON, or not an object of this kind
            continue


def _line(line: _Told) -> str:
    return json.dumps(line.to_json(), allow_nan=False)
