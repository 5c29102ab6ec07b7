"""The view of a study: what its files say, in whatever state it is, and again only what has changed."""

from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.page.curves import MOST, step_curves
from sweeper.page.params import short_names
from sweeper.page.reading import StudyReader
from sweeper.page.time_left import time_left_s
from sweeper.page.timeline import Course, timeline_of
from sweeper.page.trials import courses_of, read_files
from sweeper.page.view import as_json
from sweeper.records.history import append_evaluation, append_steps, read_base_images
from sweeper.records.lease import supervising
from sweeper.records.paths import trial_of
from sweeper.records.turns import Turn
from sweeper.search.recorded import importances_of
from tests.sweeper.page.hand_made import CHINESE, MARKUP, PROMPTS, STEPS, evaluation_of
from train.reports import StepReport


def test_a_finished_study_is_read_in_whole(studies: Path, database: Path) -> None:
    view = StudyReader(studies / "pencil", database).read()
    assert (view.state, len(view.trials), view.notes) == ("finished", 6, [])
    assert view.choice is not None and view.choice.trial == 1 and view.choice.strength == 0.8
    assert len(view.sentences) == 3
    assert view.sentences[0].startswith("Trial 1 at step 60 won with ")
    trial = view.trials[1]
    assert [each.step for each in trial.evaluations] == list(STEPS)
    assert trial.chosen == 60 and trial.status == "finished" and trial.ended_because == "all steps done"
    assert trial.fresh == pytest.approx(view.choice.score)
    assert {"lr", "rank", "optimizer"} <= trial.params.keys() and isinstance(trial.params["lr"], float)
    assert [point[0] for point in trial.validations] == list(STEPS)
    assert view.trials[2].status == "pruned" and MARKUP in view.trials[2].ended_because


def test_an_average_that_won_is_called_by_what_it_is_of(studies: Path, database: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(studies / "pencil", tmp_path / "pencil"))
    made = "soup of trial 1 at step 60 and trial 4 at step 40, at rank 8"
    scores = {**json.loads((study / "best/scores.json").read_text()), "training": "1 soup", "made_of": made}
    (study / "best/scores.json").write_text(json.dumps(scores))
    assert StudyReader(study, database).read().sentences[0].startswith(f"The {made}, won with ")


def test_pictures_are_known_by_prompt_step_and_seed_with_base_and_a_real_one(studies: Path, database: Path) -> None:
    view = StudyReader(studies / "pencil", database).read()
    assert [each.text for each in view.prompts if each.kind == "prompt"] == list(PROMPTS)
    first = view.trials[0].pictures[0]
    assert (first.step, first.strength, first.counts) == (20, 1.0, {"prompt": [2, 2, 2], "training": [1]})
    assert (studies / first.folder / "prompt02-seed1.png").is_file()
    (base,) = view.base_pictures
    assert base.counts == first.counts and (studies / base.folder / "prompt00-seed0.png").is_file()
    reals = [each.real for each in view.prompts]
    assert all(real is not None and (studies / view.reals[real].file).is_file() for real in reals)


def test_a_view_goes_to_json_with_no_number_that_is_none(studies: Path, database: Path) -> None:
    view = StudyReader(studies / "pencil", database).read()
    text = json.dumps(as_json(view), allow_nan=False, ensure_ascii=False)
    assert CHINESE in text
    assert as_json({"a": (math.nan, math.inf, 0.123456789, 3.0, True, "x")}) == {
        "a": [None, None, 0.12346, 3, True, "x"]
    }


@pytest.mark.parametrize(
    ("name", "state", "first", "statuses"),
    [
        (
            "stopped",
            "unfinished",
            "It was stopped: 2 of 4 trials have ended",
            ["finished", "finished", "waiting", "waiting"],
        ),
        ("failed", "finished", "No trial left a checkpoint, so there is no best.", ["failed"] * 3),
        ("single", "finished", "Trial 0 at step 20 won with ", ["finished"]),
        ("begun", "unfinished", "No trial has begun.", []),
    ],
)
def test_a_study_in_any_state_says_how_it_stands(
    name: str, state: str, first: str, statuses: list[str], studies: Path, database: Path
) -> None:
    view = StudyReader(studies / name, database).read()
    assert (view.state, [each.status for each in view.trials]) == (state, statuses)
    assert view.sentences[0].startswith(first)
    json.dumps(as_json(view), allow_nan=False)


def test_what_is_running_is_read_as_it_grows(studies: Path, database: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(studies / "stopped", tmp_path / "stopped"))
    reader = StudyReader(study, database)
    with supervising(study, lambda _: None):
        before = reader.read()
        assert (before.state, before.trials[2].status, before.trials[2].step) == ("running", "running", 20)
        append_steps(trial_of(study, 2), [StepReport(0, 21, 0.5, 1e-3, 0.1)])
        append_evaluation(trial_of(study, 2), evaluation_of(2, 40, 1))
        after = reader.read()
    assert (after.trials[2].step, after.trials[2].loss) == (40, 0.5)
    assert [each.step for each in after.trials[2].evaluations] == [20, 40]
    assert after.trials[0] == before.trials[0]
    assert "are judged again" in before.sentences[-1]


def test_a_damaged_study_is_shown_as_far_as_it_can_be_read(studies: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(studies / "pencil", tmp_path / "pencil"))
    (study / "study.yaml").write_text("config: [")
    (study / "best" / "scores.json").write_text("{")
    with (trial_of(study, 0) / "evaluations.jsonl").open("a") as file:
        file.write("{cut off")
    (tmp_path / "studies.db").write_text("no database")
    view = StudyReader(study, tmp_path / "studies.db").read()
    assert len(view.notes) == 2 and view.choice is None
    assert [len(each.evaluations) for each in view.trials] == [3] * 6


def test_importances_come_with_a_warning_where_trials_are_few(studies: Path, database: Path) -> None:
    found = importances_of("pencil", database, "maximize")
    assert found.note.startswith("4 finished trials are few")
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert importances_of("single", database, "maximize").note == "importances want two finished trials or more"


def test_names_are_short_where_that_is_clear() -> None:
    names = short_names(
        ["adapter.rank", "optimizer=lion:weight_decay", "optimizer=adamw:weight_decay", "optimizer=lion:layer_lr"]
    )
    assert list(names.values()) == ["rank", "weight_decay", "weight_decay", "lr"]
    assert short_names(["base.name", "data.name"]) == {"base.name": "base.name", "data.name": "data.name"}


def test_a_long_curve_is_averaged_and_keeps_its_end() -> None:
    curves = step_curves(StepReport(0, step, float(step % 2), step / 1000, 0.1) for step in range(1, 1001))
    assert len(curves.losses) <= MOST and curves.losses[-1][0] == 1000
    assert all(abs(loss - 0.5) < 0.05 for _, loss in curves.losses)
    assert (curves.step, curves.peak_rate) == (1000, 1.0)


def test_a_timeline_tells_training_judging_waiting_and_idling() -> None:
    """Two slots: the second trial's slot waits while the first is judged, and its own slot is empty at the end."""
    courses = [
        Course(name="0", device=None, slot=0, began=110.0, ended=160.0, judged=[(140.0, 10.0), (160.0, 5.0)]),
        Course(name="1", device=None, slot=1, began=110.0, ended=150.0, judged=[(150.0, 6.0)]),
    ]
    timeline = timeline_of(courses, started=100.0)
    first, second = timeline.lanes
    assert [(span.kind, span.began, span.ended) for span in first.spans] == [
        ("loading", 0.0, 10.0),
        ("training", 10.0, 30.0),
        ("judging", 30.0, 40.0),
        ("training", 40.0, 44.0),
        ("waiting", 44.0, 50.0),
        ("training", 50.0, 55.0),
        ("judging", 55.0, 60.0),
    ]
    assert [span.kind for span in second.spans] == ["loading", "training", "waiting", "training", "judging", "idle"]
    assert sum(timeline.shares.values()) == pytest.approx(1.0)


def test_two_trials_at_once_in_one_slot_are_on_two_devices() -> None:
    timeline = timeline_of([Course(name=str(n), device=None, slot=0, began=0.0, ended=9.0) for n in range(2)], None)
    assert [each.name for each in timeline.lanes] == ["slot 0 of device 0", "slot 0 of device 1"]


def test_studies_that_were_moved_have_their_own_base_pictures(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever they are looked at from, and where an older program noted a path from where it ran."""
    copy = Path(shutil.copytree(studies, tmp_path / "moved"))
    found = read_base_images(copy / "pencil")
    assert found and all(file.resolve().is_relative_to(copy) for _, file in found)
    monkeypatch.chdir(tmp_path)
    file = copy / "pencil" / "base_images.json"
    file.write_text(json.dumps({name: f"moved/{at.relative_to(copy / 'pencil' / '..')}" for name, at in found}))
    assert [at.resolve() for _, at in read_base_images(copy / "pencil")] == [at.resolve() for _, at in found]


def test_a_trial_that_pauses_leaves_its_slot_to_others(studies: Path) -> None:
    """It waits from 20 to 50 while another has its slot, and goes on in the free one of the same device."""
    turns = [Turn(worker=1, began=0.0, ended=20.0), Turn(worker=1, began=50.0, ended=None)]
    folder = trial_of(studies / "pencil", 0)
    files = read_files(folder, studies)
    judged_at = [10.0, 20.0, 60.0, *(None for _ in files.evaluations)][: len(files.evaluations)]
    files = replace(files, turns=turns, judged_at=judged_at)
    view = replace(StudyReader(studies / "pencil", studies / "studies.db").read().trials[0], status="running")
    courses = courses_of(view, files, None, now=70.0)
    assert [(each.began, each.ended, [at for at, _ in each.judged]) for each in courses] == [
        (0.0, 20.0, [10.0, 20.0]),
        (50.0, 70.0, [60.0]),
    ]
    killed = courses_of(replace(view, status="waiting"), files, None, now=70.0)
    assert [each.ended for each in killed] == [20.0, 60.0]
    other = Course(name="9", device=1, slot=view.slot or 0, began=20.0, ended=70.0)
    elsewhere = Course(name="8", device=0, slot=0, began=0.0, ended=70.0)
    lanes = timeline_of([*courses, other, elsewhere], None).lanes
    assert [each.name for each in lanes] == [
        "slot 0 of device 0",
        *(f"slot {slot} of device 1" for slot in sorted({view.slot, 0 if view.slot else 1})),
    ]


def test_time_left_goes_by_the_steps_that_are_left(studies: Path, database: Path) -> None:
    view = StudyReader(studies / "stopped", database).read()
    left = time_left_s(view.trials, view.timeline, 4)
    busy = sum(
        s.ended - s.began for lane in view.timeline.lanes for s in lane.spans if s.kind not in ("loading", "idle")
    )
    assert left == pytest.approx(busy / 160 * 80 / len(view.timeline.lanes))
    assert time_left_s([], view.timeline, 4) is None


def test_a_trial_is_read_whatever_lies_beside_its_pictures(studies: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(trial_of(studies / "pencil", 0), tmp_path / "s" / "trials" / "0000"))
    (trial / "samples" / "step-000020" / "notes.txt").write_text("mine")
    (trial / "samples" / "other").mkdir()
    shutil.copytree(trial / "samples" / "step-000020", trial / "samples" / "final-step-000020-strength-0.8")
    sets = read_files(trial, tmp_path).pictures
    assert [(each.step, each.strength, list(each.counts)) for each in sets][-1] == (20, 0.8, ["final"])
    assert len(sets) == 4


def test_what_a_study_that_the_page_started_ended_with_is_said_until_it_is_run_again(
    studies: Path, database: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(studies / "stopped", tmp_path / "stopped"))
    (study / "started.log").write_text(f"looking\nerror: no device {MARKUP}\n", encoding="utf-8")
    said = f"its command ended: no device {MARKUP}"
    assert StudyReader(study, database).read().notes == [said]
    assert StudyReader(study, database).read("running").notes == []
    (study / ".lease").touch()
    os.utime(study / "started.log", (1, 1))
    assert StudyReader(study, database).read().notes == []


def test_importances_come_later_to_a_page_that_does_not_wait(studies: Path, database: Path) -> None:
    waits, goes_on = StudyReader(studies / "pencil", database), StudyReader(studies / "pencil", database, waits=False)
    assert goes_on.read().importance_note == "it is being computed"
    assert goes_on._beside._thread is not None
    goes_on._beside._thread.join()
    wanted, found = waits.read(), goes_on.read()
    assert found.importance_note == wanted.importance_note
    assert [each.share for each in found.params] == [each.share for each in wanted.params]
