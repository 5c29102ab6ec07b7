"""The example notebook, cell by cell in one namespace; and what a study gives its callbacks.

Training and judging are played (`tests.faults.simulated_study`), the study and its workers' processes are real. The
cells are executed as a script's lines would be: a kernel would add Jupyter's libraries and seconds, nothing of ours.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL.Image import Image

from foundation.files.documents import read_json
from sweeper import (
    BestChosen,
    LineSaid,
    Study,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
    run_study,
)
from sweeper.launchers.local import LocalLauncher
from tests.sweeper.launchers.simulated import WORK

NOTEBOOK = Path(__file__).parents[3] / "docs" / "notebooks" / "study.ipynb"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the notebook's cells leave behind; "events" are what its study gave to a callback beside another one."""
    names, events = dict[str, Any](), list[object]()

    def run(settings: Any, *, on_event: Any = (), progress: bool = True) -> Study:
        return run_study(settings, on_event=[on_event, events.append, _fails], progress=progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        patch.setattr(LocalLauncher, "work", WORK)
        patch.setattr("logging.disable", lambda _: None)  # for this process's other tests
        patch.setattr("sweeper.api.run.run_study", run)
        printed = names["printed"] = io.StringIO()
        with redirect_stdout(printed):
            for cell in read_json(NOTEBOOK)["cells"]:
                if cell["cell_type"] == "code":
                    exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        names["events"] = events
        names["again"] = run_study(names["settings"])
        patch.undo()
    return names


def _fails(_: object) -> None:
    raise RuntimeError("a callback's mistake")


def test_the_notebook_runs_and_shows_what_a_study_came_to(names: dict[str, Any]) -> None:
    assert names["study"].state == "finished"
    trials, evaluations = names["study"].trials(), names["study"].evaluations()
    assert isinstance(trials, pd.DataFrame)
    assert set(trials["params.rank"]) <= {4, 8} and trials["params.lr"].between(1e-4, 1e-2).all()
    assert trials.score.notna().all() and evaluations.groupby("trial").step.max().ge(10).all()
    assert isinstance(names["sheet"], Image)
    first, *_, last = names["printed"].getvalue().splitlines()
    assert first.startswith("trial 0 at step 10: score ")  # by the callback: `progress=False` silences the study alone
    assert last == "adapter.rank must be a whole number, got 'four'"


def test_events_come_in_order_though_a_callback_fails(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = [type(event) for event in names["events"] if not isinstance(event, LineSaid)]
    assert kinds[0] is StudyStarted and kinds[-1] is StudyEnded and kinds[-2] is BestChosen
    assert kinds.index(TrialStarted) < kinds.index(TrialEvaluated) < kinds.index(BestChosen)
    ended = {event.trial for event in names["events"] if isinstance(event, TrialEnded)}
    assert ended == {0, 1, 2}
    (last,) = (event for event in names["events"] if isinstance(event, BestChosen))
    assert last.folder == names["again"].best.folder and last.trial == names["again"].best.trial


def test_a_finished_study_is_returned_at_once(names: dict[str, Any]) -> None:
    assert names["again"].best.score == names["study"].best.score


def test_outputs_that_are_stored_are_small_and_whole() -> None:
    cells = read_json(NOTEBOOK)["cells"]
    assert NOTEBOOK.stat().st_size < 100_000
    assert all(cell["outputs"] for cell in cells if cell["cell_type"] == "code" and "print" in "".join(cell["source"]))
    assert not [output for cell in cells for output in cell.get("outputs", ()) if output["output_type"] == "error"]
