"""The pages that MLflow opens a study with."""

from __future__ import annotations

import json

from sweeper.tracking.view import PICTURES, pages_of, pictures_view, trials_view


def test_an_experiment_without_saved_views_has_one_page_and_one_with_them_one_for_each() -> None:
    plain = "#/experiments/7/runs?workflowType=machine_learning"
    assert pages_of("7", {}) == [plain]
    tags = dict([trials_view("likeness"), pictures_view(["samples/01 a cup"], 40)])
    pictures = f"{plain}&compareRunsMode=CHART&viewStateShareKey={PICTURES}"
    assert pages_of("7", tags) == [f"{plain}&viewStateShareKey=trials", pictures]


def test_a_view_of_many_pictures_keeps_those_that_a_tag_has_room_for() -> None:
    keys = [f"samples/{number:02} {'a very long prompt ' * 4}" for number in range(60)]
    _, text = pictures_view(keys, 40)
    charts = json.loads(json.loads(text)["state"])["compareRunCharts"]
    assert 5 < len(charts) < 60
    assert len(text) <= 5000
    assert [chart["imageKeys"] for chart in charts] == [[key] for key in keys[: len(charts)]]
