"""Says why measures of the judge are missing: what each cannot be taken without."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from eval.metrics.registry import DATA, metrics_with


def lines_on_missing(metrics: Mapping[str, float], has_data: bool, chosen: Sequence[str] = ()) -> list[str]:
    """A line for each thing that measures lack which could not be taken, with how many these are and their names.

    `chosen` are metrics of packages that are among them.
    """
    needs = {name: metric.needs for name, metric in metrics_with(chosen).items()}
    of: dict[str, list[str]] = {}
    for name, value in metrics.items():
        if math.isnan(value):
            lacks = [need for need in needs.get(name, ()) if not (need == DATA and has_data)]
            of.setdefault(lacks[0] if lacks else "", []).append(name)
    lines = []
    for need, names in of.items():
        listed = ", ".join(names)
        also = "the score, the overfit index and " if need == DATA else ""
        verb, noun = ("needs", "measure") if len(names) == 1 and not also else ("need", "measures")
        lines.append(f"{also}{len(names)} {noun} {verb} {need}: {listed}" if need else f"not measured: {listed}")
    return lines
