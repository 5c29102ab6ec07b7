"""Takes every metric of what the judge saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

from eval.metrics.registry import METRICS, function_of, measured_of
from eval.metrics.seen import Seen
from foundation.errors import first_line

OnFailure = Callable[[str, str], None]
"""Called with a metric that could not be taken, and a line that says whose it is and why."""


def metric_values(seen: Seen, chosen: Sequence[str], failed: OnFailure) -> dict[str, float]:
    """Take all metrics that are built in for the kind of pictures, and those `chosen` of packages; by name.

    What a package's metric raises costs nobody anything: it is NaN, and `failed` is called. It gets a copy of what was
    seen, so that it changes no other number.
    """
    own = {name: function_of(name)(seen) for name in measured_of(seen.spec.kind)}
    return own | {name: _of_package(name, deepcopy(seen), failed) for name in chosen if name not in own}


def said_once(say: Callable[[str], None]) -> OnFailure:
    """Lines on failures go to `say`, the first of each metric."""
    said: set[str] = set()

    def note(name: str, line: str) -> None:
        if name not in said:
            said.add(name)
            say(line)

    return note


def _of_package(name: str, seen: Seen, failed: OnFailure) -> float:
    try:
        value = function_of(name)(seen)
        if isinstance(value, str | bytes):
            raise TypeError(f"it returned {value!r}, which is no number")
        return float(value)
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        failed(name, f"metric {name} is not measured: {METRICS.origin(name)} failed: {reason}")
        return float("nan")
