"""The Pareto front for people: a table of its trials, and a picture of it among all that finished."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image

from foundation.data.images import decode_image
from foundation.pictures.sheets import CHOSEN
from foundation.pictures.tiles import FAINT, INK, PAPER, RULE
from sweeper.records.objectives import raw_values
from sweeper.records.study_spec import StudySpec
from sweeper.records.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _FAINT, _PAPER, _RULE, _WON = (
    "#{:02x}{:02x}{:02x}".format(*colour) for colour in (INK, FAINT, PAPER, RULE, CHOSEN)
)
_FRONT: Final = "#2f6f9f"


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontPoint:
    """One trial's checkpoint on the front."""

    trial: int
    step: int
    values: Sequence[float]
    """The objectives' values, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Front:
    """The front of a study of several objectives."""

    aims: Sequence[str]
    """The objectives in words: `style (higher is better)`."""
    places: Sequence[FrontPoint]
    """By number of trial."""
    picture: Image.Image


def front_of(front: Sequence[Trial], trials: Sequence[Trial], winner: Trial, study: StudySpec) -> Front | None:
    """Return the front for a card; None where there is none. `trials` are all of the study's."""
    if not front:
        return None
    words = {"maximize": "higher is better", "minimize": "lower is better"}
    aims = [f"{name} ({words[way]})" for name, way in zip(study.objectives, study.directions, strict=True)]
    places = [_place(trial, study) for trial in front]
    others = [_place(trial, study) for trial in trials if trial.status == "finished" and trial not in front]
    return Front(aims=aims, places=places, picture=_draw(aims, places, others, winner.number))


def _place(trial: Trial, study: StudySpec) -> FrontPoint:
    assert trial.best is not None
    values = tuple(raw_values(trial.best, study.objectives).values())
    return FrontPoint(trial=trial.number, step=trial.best.step, values=values)


def _draw(aims: Sequence[str], places: Sequence[FrontPoint], others: Sequence[FrontPoint], winner: int) -> Image.Image:
    """A panel for each pair of objectives. Points with a value that was not measured have no place in it."""
    from matplotlib.figure import Figure  # takes its time to import, and only this picture needs it

    pairs = list(itertools.combinations(range(len(aims)), 2))
    figure = Figure(figsize=(5.2 * len(pairs), 4.6), dpi=100, layout="constrained", facecolor=_PAPER)
    for number, (x, y) in enumerate(pairs, start=1):
        axes = figure.add_subplot(1, len(pairs), number, xlabel=aims[x], ylabel=aims[y])
        _panel(axes, [(p.trial, p.values[x], p.values[y]) for p in others], _FAINT, winner)
        _panel(axes, [(p.trial, p.values[x], p.values[y]) for p in places], _FRONT, winner)
        axes.set_facecolor(_PAPER)
        axes.tick_params(colors=_FAINT, labelsize=9)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
        axes.grid(color=_RULE, linewidth=0.8, zorder=0)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_RULE)
    title = "Pareto front (blue) among all finished trials; the star won"
    figure.suptitle(title, x=0.01, ha="left", color=_INK, fontfamily="DejaVu Sans", fontsize=12)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return decode_image(file.getvalue(), "the Pareto front").rgb


def _panel(axes: Axes, points: Sequence[tuple[int, float, float]], colour: str, winner: int) -> None:
    for trial, x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            is_winner = trial == winner
            marker, size = ("*", 160) if is_winner else ("o", 36)
            axes.scatter([x], [y], s=size, marker=marker, color=_WON if is_winner else colour, zorder=2)
            axes.annotate(str(trial), (x, y), xytext=(6, 4), textcoords="offset points", fontsize=9, color=_INK)
