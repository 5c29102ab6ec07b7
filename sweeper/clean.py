"""`sweeper clean`: what old studies hold, and what of it may go. It shows; it deletes only with `delete=true`."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

from foundation.command import run_main, run_with_usage
from foundation.config.keyed import read_keyed
from foundation.console import columns, say
from foundation.errors import ConfigError, StudyError
from foundation.json_output import give
from sweeper.holdings import Held, KeepOf, bytes_freed, find_studies, holdings_of, leftovers, shared_holdings
from sweeper.records.lease import supervising
from sweeper.records.paths import cache_of
from sweeper.study.finished import forget_trials_files
from sweeper.tracking import ARTIFACTS
from sweeper.tracking.runs_of import study_runs

USAGE: Final = """\
sweeper clean [folder=multirun] [study=NAME …] [keep=best|winner] [delete=true]     free space

  folder=    where studies are (default: multirun)
  study=     only this one, and nothing that studies share; give it as often as needed (default: all)
  keep=      of a finished study's trials, beside their records:
             best     each trial's best checkpoint, so that the study can be made longer (default)
             winner   no checkpoint and no sample: best/ holds the winner; a longer study trains good trials again
  delete=    true: do it. Without it, it shows what it would do and deletes nothing.

best/, the champion in MLflow, and all of a study that runs or is not finished stay. Of the cache goes what no study's
note (cache_used.txt) names and is a day old; it can be computed again.

  sweeper clean
  sweeper clean study=pencil keep=winner delete=true"""
KEYS: Final = ("folder", "study", "keep", "delete")
_WORDS: Final = {"true": True, "false": False}


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: say(*clean(arguments)), arguments)


def clean(arguments: Sequence[str]) -> list[str]:
    """What the studies hold and what is free of it, in lines; with delete=true it is deleted.

    Raises:
        UserError: the arguments are wrong, or there is no such study.
    """
    folder, names, keep, delete = _parse(arguments)
    chosen = find_studies(folder, names)
    held = [holdings_of(study, keep) for study in chosen]
    lines = _table(held)
    free = [path for each in held for path in each.free]
    if not names:
        shared = shared_holdings(folder, chosen)
        rest = [*shared.cache_free, *shared.leftovers]
        free += rest
        lines.append(
            f"cache: {_in_words(shared.cache)}, of which no study uses {_in_words(bytes_freed(shared.cache_free))}"
            + (f" ({shared.cache_note})" if shared.cache_note else "")
            + f"; leftovers beside studies: {_in_words(bytes_freed(shared.leftovers))}"
        )
    total = bytes_freed(free)
    sizes = [
        {"study": each.folder.name, "state": each.state, "bytes": each.size, "free": bytes_freed(each.free)}
        for each in held
    ]
    give(studies=sizes, free_bytes=total, deleted=delete)
    if not delete:
        return [*lines, f"{_in_words(total)} can be freed; nothing was deleted: delete=true does it"]
    skipped = [line for each in held if (line := _delete_of(each))]
    if not names:
        for path in rest:
            _delete(path)
    return [*lines, *skipped, f"{_in_words(total - bytes_freed(free))} freed"]


def clear_after_kills(study: Path) -> None:
    """Delete what killed writers have left in a study that this process holds; in what studies share, if a day old."""
    artifacts = study.parent / ARTIFACTS
    own = [study, *(artifacts / run for run in study_runs(study.parent, study.name))]
    found = [path for place in own for path in leftovers(place, now=math.inf)]
    for path in (*found, *leftovers(cache_of(study.parent)), *leftovers(artifacts)):
        _delete(path)


def _parse(arguments: Sequence[str]) -> tuple[Path, list[str], KeepOf, bool]:
    keys, problems = read_keyed(arguments, KEYS, ("study",), ("folder",))
    keep, delete = keys.get("keep", "best"), keys.get("delete", "false")
    if keep not in get_args(KeepOf):
        problems.append(f"keep must be one of {', '.join(get_args(KeepOf))}, got {keep}")
    if delete not in _WORDS:
        problems.append(f"delete must be true or false, got {delete}")
    if problems:
        raise ConfigError(problems)
    return Path(keys.get("folder", "multirun")), keys.get("study", []), keep, _WORDS[delete]


def _table(held: Sequence[Held]) -> list[str]:
    rows = [
        [
            each.folder.name,
            each.state,
            *map(_in_words, (each.size, each.checkpoints, each.samples, each.artifacts, bytes_freed(each.free))),
            each.why,
        ]
        for each in held
    ]
    head = ["study", "state", "all", "checkpoints", "samples", "MLflow's files", "free", "what is free"]
    return columns(head, rows, right=range(2, 7))


def _delete_of(held: Held) -> str:
    """Delete what is free of a study, which nobody else may run meanwhile; why it was not, if so."""
    if not held.free:
        return ""
    try:
        with supervising(held.folder, say, wait_s=0.0):
            for path in held.free:
                _delete(path)
            forget_trials_files(held.folder)
    except StudyError as error:
        return f"{held.folder.name} was left as it is: {error}"
    return ""


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()


def _in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
