"""The page on which MLflow shows a study: its trials, best first, with what was searched and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

TRIALS, PICTURES = "trials", "pictures"
"""Keys of saved views: part of their pages' addresses, and of the experiment's tags that hold them."""
_TAG: Final = "mlflow.sharedViewState."
_MAX_TAG: Final = 5000
"""Characters of an experiment's tag that MLflow's database takes."""
RANKED_BY: Final = "chosen/score"
FIRST_METRIC: Final = "mlflow.experiment.primaryMetric.name", RANKED_BY
"""The experiment's tag by which MLflow's page chooses the metric of its first charts."""
UNFOLDED: Final = {"mlflow.runType": "evaluation"}
"""Tags of a trial's run by which MLflow's page (3.17) unfolds the study above it on one's first visit. It reads the
word nowhere else. Columns beside the names no tag chooses: they come with a saved view, and with its link."""

_KEPT: Final = {"isGenerated": False, "deleted": False}
"""What the page must know of a chart or a section, or it makes its own."""
_WIDTHS: Final = {"metrics": 110, "params": 84}
"""Pixels; in 1366 of them a page shows score, step, rank and rate beside MLflow's assistant, more without that."""
_COLUMNS: Final = (
    ("metrics", RANKED_BY),
    ("metrics", "chosen/step"),
    ("params", "rank"),
    ("params", "lr"),
    ("params", "optimizer"),
    ("metrics", "fresh/score"),
    ("metrics", "chosen/{aim}"),
    ("metrics", "chosen/prompt_match"),
    ("metrics", "chosen/val_ratio"),
    ("metrics", "chosen/overfit_index"),
    ("params", "alpha"),
    ("params", "scheduler"),
)


def trials_view(aim: str) -> tuple[str, str]:
    """Name and text of the experiment's tag in which MLflow (3.17) keeps a view that it offers under "Saved views".

    Trials alone and, being sorted by a metric, not folded under their study; columns of parameters and of the chosen
    checkpoint beside the name, among them how far it came (`aim`, a metric's name).
    """
    widths = {_key(kind, name.format(aim=aim)): _WIDTHS[kind] for kind, name in _COLUMNS}
    return _tag(
        TRIALS,
        "Trials, best first",
        {
            "selectedColumns": list(widths),
            "columnOrder": [_key("attributes", "Run Name"), *widths],
            "columnWidths": widths,
        },
    )


def pictures_view(keys: Sequence[str], step: int) -> tuple[str, str]:
    """The same for a view of the ten best trials' pictures at a step, a row for each of the image `keys`.

    A trial's own page shows pictures in cards that are too low for them. Keys that an experiment's tag has no room for
    are left out, the last ones; the page without a saved view has them all.
    """
    charts = [
        {
            "type": "IMAGE",
            "uuid": f"image-{number}",
            "metricSectionId": key.partition("/")[0],
            "imageKeys": [key],
            "step": step,
            "runsCountToCompare": 10,
            **_KEPT,
            "showRunParams": False,
        }
        for number, key in enumerate(keys)
    ]
    sections = [
        {"uuid": name, "name": name, "display": True, "columns": 1, "cardHeight": 460, "isReordered": False, **_KEPT}
        for name in dict.fromkeys(key.partition("/")[0] for key in keys)
    ]
    state = {
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
    }  # so they stay first
    name, text = _tag(PICTURES, "Pictures of trials", state)
    return (name, text) if len(text) <= _MAX_TAG else pictures_view(keys[:-1], step)


def pages_of(experiment_id: str, tags: Mapping[str, str]) -> list[str]:
    """The parts of pages' addresses that lead to an experiment: in the saved views that it has, the trials first.

    From MLflow's front page one comes to its pages for language models, which show nothing of a study.
    """
    page = f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    views = {TRIALS: "", PICTURES: "&compareRunsMode=CHART"}
    found = [f"{page}{more}&viewStateShareKey={key}" for key, more in views.items() if _TAG + key in tags]
    return found or [page]


def _tag(key: str, name: str, state: Mapping[str, object]) -> tuple[str, str]:
    """A saved view of trials, best first, as MLflow's page writes it."""
    whole = {
        "searchFilter": "tags.role = 'trial'",
        "orderByKey": _key("metrics", RANKED_BY),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        **state,
    }
    return _TAG + key, json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(whole)})


def _key(kind: str, name: str) -> str:
    """A column as MLflow names it."""
    return f"{kind}.`{name}`"
