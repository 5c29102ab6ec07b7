"""`sweeper report`: the trials of a study, best first, and its page in one file; also while it runs.

No model is loaded.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eval.evaluation import Evaluation
from foundation.command import run_main, run_with_usage
from foundation.config.home import at_home
from foundation.config.keyed import is_keyed, read_keyed
from foundation.console import columns, say
from foundation.errors import ConfigError, DataError
from foundation.files.documents import as_mapping, read_mapping
from foundation.json_output import give
from sweeper.holdings import clean_threshold, find_studies, state_of_study
from sweeper.records.history import read_config_values, read_evaluations
from sweeper.records.paths import STUDIES, best_of, trials_of
from sweeper.records.trials import best_checkpoint
from sweeper.results.file_names import CARD, SCORES

_TOP: Final = 20
USAGE: Final = f"""\
sweeper report [STUDY] [folder=multirun] [top={_TOP}]     a study's trials, best first, and its page, also while it runs

  STUDY      its name, or study=NAME; without it all studies, a line each
  folder=    where studies are (default: multirun)
  top=       how many trials at most (default: {_TOP})
  page=      false: only list; else all of it is written to one file, report.html, which opens anywhere (default: true)

A trial's row is its chosen checkpoint's: the earliest that is as good as its best one and shows no sign of overfit.

  sweeper report
  sweeper report pencil top=5"""
KEYS: Final = ("folder", "page", "study", "top")
_GROUPS: Final = ("optimizer", "adapter")
_CLEAN: Final = 0.5
"""Below this overfit index a checkpoint is clean, where the study does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRequest:
    """What is wanted."""

    study: str | None
    """None: all, a line each."""
    folder: Path
    """Of studies."""
    top: int
    """How many trials at most."""
    page: bool
    """Whether the page is written, too."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A trial as its files tell of it."""

    folder: Path
    best: Evaluation | None
    steps: int
    """At which it was judged last."""

    @property
    def number(self) -> int:
        """Its number in the study."""
        return int(self.folder.name)

    def to_json(self) -> dict[str, object]:
        """What is to be seen of it, by name."""
        return {"trial": self.number, "steps": self.steps, "chosen": self.best.to_json() if self.best else None}


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: _report(arguments), arguments)


def _report(arguments: Sequence[str]) -> None:
    say(*report_lines(arguments))
    request = parse(arguments)
    if request.study is not None and request.page:
        from sweeper.page.file import write_report  # Optuna, which it reads, takes its time to import

        page = write_report(request.folder / request.study, request.folder / STUDIES)
        give(page=page)
        say(f"the whole study on one page: {page}")


def report_lines(arguments: Sequence[str]) -> list[str]:
    """What a study has come to, in lines.

    Raises:
        UserError: the arguments are wrong, there is no such study, or its files are damaged.
    """
    request = parse(arguments)
    if request.study is None:
        return _all(find_studies(request.folder))
    (study,) = find_studies(request.folder, [request.study])
    return _one(study, request.top)


def parse(arguments: Sequence[str]) -> ReportRequest:
    """Read what is wanted.

    Raises:
        ConfigError: with every mistake at once.
    """
    words = [argument for argument in arguments if not is_keyed(argument)]
    keys, problems = read_keyed([argument for argument in arguments if is_keyed(argument)], KEYS, (), ("folder",))
    top = keys.get("top", str(_TOP))
    if not (top.isascii() and top.isdecimal() and 1 <= int(top) <= 1_000_000):
        problems.append(f"top must be a whole number ≥ 1, got {top}")
    words += [keys["study"]] if "study" in keys else []
    if len(words) > 1:
        problems.append(f"name one study, got {', '.join(words)}")
    page = keys.get("page", "true")
    if page not in ("true", "false"):
        problems.append(f"page must be true or false, got {page}")
    if problems:
        raise ConfigError(problems)
    return ReportRequest(
        study=words[0] if words else None,
        folder=Path(at_home(keys.get("folder", "multirun"))),
        top=int(top),
        page=page == "true",
    )


def _all(studies: Sequence[Path]) -> list[str]:
    rows = []
    for study in studies:
        found = _ranking(study)
        best = ("–", "–")
        if found and (evaluation := found[0].best):
            best = (f"{evaluation.score:.1f}", str(found[0].number))
        rows.append((study.name, state_of_study(study), str(len(found)), *best))
    give(studies=[{"study": name, "state": state} for name, state, *_ in rows])
    return columns(("study", "state", "trials", "best score", "of trial"), rows, right=(2, 3, 4))


def _one(study: Path, top: int) -> list[str]:
    found = _ranking(study)
    give(study=study.name, state=state_of_study(study), trials=[row.to_json() for row in found[:top]])
    lines = [f"{study.name} is {state_of_study(study)}: {len(found)} trials, best first"]
    heads = ("trial", "score", "±", "step", "of", "overfit", "optimizer", "lr", "rank")
    lines += columns(heads, [_cells(row) for row in found[:top]], right=range(6))
    if len(found) > top:
        lines.append(f"{len(found) - top} more: top={len(found)} shows all")
    return [*lines, *_winner(study)]


def _ranking(study: Path) -> list[_Row]:
    clean = clean_threshold(study)
    clean = _CLEAN if clean is None else clean
    rows = [_row(folder, clean) for folder in sorted(trials_of(study).glob("[0-9]*")) if folder.name.isdecimal()]
    return sorted(rows, key=lambda row: (-_score(row.best), row.number))


def _row(folder: Path, clean: float) -> _Row:
    evaluations = read_evaluations(folder)
    return _Row(folder, best_checkpoint(evaluations, clean), evaluations[-1].step if evaluations else 0)


def _score(best: Evaluation | None) -> float:
    return -math.inf if best is None or math.isnan(best.score) else best.score


def _cells(row: _Row) -> tuple[str, ...]:
    config = read_config_values(row.folder)  # only of those that are shown: YAML takes its time
    optimizer, adapter = (as_mapping(config.get(group) or {}, f"{row.folder}: {group}") for group in _GROUPS)
    settings = (str(optimizer.get("name", "–")), _number(optimizer.get("lr")), _number(adapter.get("rank")))
    if row.best is None:
        return (str(row.number), "–", "–", "–", "–", "–", *settings)
    best = row.best
    numbers = (f"{best.score:.1f}", f"{best.score_se:.1f}", str(best.step), str(row.steps), f"{best.overfit_index:.2f}")
    return (str(row.number), *("–" if cell == "nan" else cell for cell in numbers), *settings)


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "–"


def _winner(study: Path) -> list[str]:
    """Which checkpoint was chosen with fresh seeds, once one was."""
    best = best_of(study)
    if not (best / SCORES).is_file():
        return ["the best is chosen when all trials have ended"]
    try:
        scores = read_mapping(best / SCORES)
    except (DataError, OSError):
        return [f"{best / SCORES} is damaged; the study's command makes it again"]
    chosen = f"trial {scores.get('trial')} at step {scores.get('step')}, strength {scores.get('strength')}"
    return [f"the best, chosen with fresh seeds: {chosen}; {best / CARD}"]


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
