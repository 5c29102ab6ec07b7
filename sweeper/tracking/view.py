"""The page on which MLflow shows a study: its trials, best first, with what was searched and what came of it."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import urlencode

VIEW: Final = "trials"
"""The saved view's key: part of its page's address, and of the experiment's tag that holds it."""
VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW}"
RANKED_BY: Final = "chosen/score"

_WIDTHS: Final = {"metrics": 130, "params": 110}
"""Pixels; in 1366 of them a page shows all columns up to the first after the settings."""
_COLUMNS: Final = (
    ("metrics", RANKED_BY),
    ("params", "rank"),
    ("params", "lr"),
    ("params", "optimizer"),
    ("metrics", "fresh/score"),
    ("metrics", "chosen/style"),
    ("metrics", "chosen/prompt_match"),
    ("metrics", "chosen/val_ratio"),
    ("metrics", "chosen/overfit_index"),
    ("metrics", "chosen/step"),
    ("params", "alpha"),
    ("params", "scheduler"),
)


def saved_view() -> tuple[str, str]:
    """Name and text of the experiment's tag in which MLflow (3.17) keeps a view that it offers under "Saved views".

    Trials alone and, being sorted by a metric, not folded under their study; columns of parameters and of the chosen
    checkpoint beside the name.
    """
    columns = [_key(*column) for column in _COLUMNS]
    state = {
        "searchFilter": "tags.role = 'trial'",
        "orderByKey": _key("metrics", RANKED_BY),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [_key("attributes", "Run Name"), *columns],
        "columnWidths": {_key(kind, name): _WIDTHS[kind] for kind, name in _COLUMNS},
    }
    view = {"name": "Trials, best first", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return VIEW_TAG, json.dumps(view)


def page_of(experiment_id: str, tags: dict[str, str]) -> str:
    """The part of a page's address that leads to an experiment's runs, in the saved view where it has one.

    From MLflow's front page one comes to its pages for language models, which show nothing of a study.
    """
    asked = {"workflowType": "machine_learning", **({"viewStateShareKey": VIEW} if VIEW_TAG in tags else {})}
    return f"#/experiments/{experiment_id}/runs?{urlencode(asked)}"


def _key(kind: str, name: str) -> str:
    """A column as MLflow names it."""
    return f"{kind}.`{name}`"
