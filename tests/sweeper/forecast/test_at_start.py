"""The forecast of a study that begins: in a process of its own, and in nobody's way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.forecast import at_start
from sweeper.forecast.at_start import forecasting
from sweeper.search.space import plan


def test_it_is_computed_beside_the_study_and_a_base_that_cannot_be_told_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(at_start, "_WORTH_IT", 0)
    request = plan(["+experiment=pencil"])
    config = replace(request.config, base=replace(request.config.base, path=str(tmp_path)))
    with forecasting(request, config) as lines:
        (said,) = lines()
    assert said.startswith("memory: not known before the base is loaded: base.path") and "model_index.json" in said


def test_small_bases_and_others_devices_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    request = plan(["+experiment=pencil"])
    with forecasting(request, request.config) as lines:
        assert lines() == []
    monkeypatch.setattr(at_start, "_WORTH_IT", 0)
    config = replace(request.config, launcher=replace(request.config.launcher, name="ray"))
    with forecasting(request, config) as lines:
        assert lines() == []


def test_a_process_that_is_killed_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_start, "_WORTH_IT", 0)
    monkeypatch.setattr(at_start, "_PATIENCE_S", 0.0)
    request = plan(["+experiment=pencil"])
    with forecasting(request, request.config) as lines:
        assert lines() == []  # not there in time, and killed at the end of the block
