"""A study from the page's form: what may be set, what its command would say, which folders are looked into."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from starlette.testclient import TestClient

from foundation.errors import ConfigError, DataError
from sweeper.page.access import CSRF_HEADER, VISIT, Secrets
from sweeper.page.live import Studies
from sweeper.page.server import Site, make_app
from sweeper.page.start.fields import paths, searchable, values
from sweeper.page.start.folders import Folders
from sweeper.page.start.overrides import by_field, command_of, overrides_of, read_form
from sweeper.records.config import TRIAL_GROUPS
from sweeper.search.space import plan
from sweeper.search.space import searchable as is_searchable
from tests.sweeper.page.hand_made import CHINESE, MARKUP

HOST = "127.0.0.1:5000"
NASTY = (
    "x' study.num_trials=1",
    "a,b",
    "choice(1,2)",
    "it's \\",
    'say "so" \\\' $(true) `true`',
    "null ",
    "[1,2]",
    "{a: b}",
    "~key",
    MARKUP,
    CHINESE,
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a set of three captioned pictures, one of markup, and what must not be looked at."""
    root = tmp_path_factory.mktemp("pictures of 日本 & <b>")
    folder = root / "cups"
    folder.mkdir()
    for number, caption in enumerate(("a sks cup on grass", MARKUP, CHINESE)):
        Image.new("RGB", (300, 200), (40 * number, 90, 120)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(caption, encoding="utf-8")
    (root / ".hidden").mkdir()
    return root


@pytest.fixture
def page(studies: Path, database: Path, pictures: Path) -> Iterator[TestClient]:
    own = Secrets()
    site = Site(studies=Studies(studies, database), own=own, hosts=[HOST], port=5000, data=[pictures])
    with TestClient(make_app(site), base_url=f"http://{HOST}", headers={CSRF_HEADER: own.csrf}) as client:
        client.get("/", params={VISIT: own.token})
        yield client


def checked(page: TestClient, **form: Any) -> dict[str, Any]:
    answer = page.post("/api/start/check", json=form)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_no_field_of_the_form_takes_a_list_a_mapping_a_path_or_the_name_of_code() -> None:
    """But for the folder of pictures, and three names and phrases, every value is of a closed list or a number."""
    free = [each.path for each in (*values(), *searchable()) if not each.options and "number" not in each.takes]
    assert free == ["data.path", "data.trigger", "eval.class_word", "study.name"]
    forbidden = {"base.path", "study.folder", "study.storage", "tracking.uri", "optimizer.settings", "adapter.init"}
    assert not forbidden & paths() and not [path for path in paths() if path.startswith(("hydra", "launcher"))]


def test_what_is_offered_to_be_searched_can_be() -> None:
    offered = [each.path for each in searchable()]
    assert {"optimizer", "adapter.rank", "adapter.targets", "optimizer.lr", "objective.snr_gamma"} <= set(offered)
    for path in ("adapter.rank", "data.flip", "train.batch_size", "objective.flow_shift", "lr_scheduler.end"):
        assert path in offered and is_searchable(path)
    assert not [path for path in offered if path.partition(".")[0] not in (*TRIAL_GROUPS, "data")]


@pytest.mark.parametrize("text", NASTY)
def test_no_text_becomes_anything_but_itself(text: str, tmp_path: Path) -> None:
    """Read by Hydra's own parser, and by a shell from the line that is shown."""
    form = read_form({"values": {"data.trigger": text, "study.name": text}, "groups": {"base": text}})
    overrides = overrides_of(form, tmp_path, tmp_path)
    parsed = OverridesParser.create().parse_overrides(overrides)
    assert [each.key_or_group for each in parsed] == ["base", "data.path", "data.trigger", "study.name", "study.folder"]
    assert not any(each.is_sweep_override() for each in parsed)
    assert [each.value() for each in parsed[2:4]] == [text.strip()] * 2
    assert shlex.split(command_of(overrides)) == ["sweeper", *overrides]


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a\nb", "\x1b[31m", "???", "x" * 1001, "a\u202eb"])
def test_what_would_be_read_as_something_else_later_is_refused(text: str) -> None:
    for form in (
        {"values": {"data.trigger": text}},
        {"folder": text},
        {"groups": {"base": text}},
        {"search": [{"key": "adapter.rank", "how": "choice", "texts": ["4", text]}]},
    ):
        with pytest.raises(ConfigError, match="must"):
            read_form(form)


@pytest.mark.parametrize(
    "form",
    [
        {"values": {"hydra.searchpath": "[file:///tmp]"}},
        {"values": {"base.path": "/tmp/model"}},
        {"values": {"study.folder": "/tmp"}},
        {"groups": {"hydra/sweeper": "study"}},
        {"groups": {"launcher": "ray"}},
        {"search": [{"key": "optimizer.settings", "how": "value", "texts": ["1"]}]},
        {"search": [{"key": "adapter.init", "how": "choice", "texts": ["pissa"]}]},
        {"search": [{"key": "adapter.rank", "how": "choice", "texts": ["4"]}] * 2},
        {"overrides": ["base.path=/tmp"]},
        {"values": {"study.name": ["a"]}},
    ],
)
def test_what_a_form_may_not_set_is_refused_and_nothing_is_composed(form: dict[str, Any], page: TestClient) -> None:
    found = checked(page, **form)
    assert found["problems"] and found["command"] == "" and found["overrides"] == []
    assert page.post("/api/start", json=form).status_code == 409


def test_a_form_comes_to_what_its_command_line_does(page: TestClient, studies: Path) -> None:
    search = [
        {"key": "optimizer", "how": "choice", "texts": ["adamw", "lion"]},
        {"key": "adapter.rank", "how": "even", "texts": ["4", "16"]},
        {"key": "optimizer.weight_decay", "how": "log", "texts": ["1e-3", "0.1"]},
        {"key": "train.batch_size", "how": "value", "texts": ["2"]},
        {"key": "adapter.targets", "how": "choice", "texts": ["attention", "all-linear"]},
    ]
    texts = {"study.name": "mine", "study.num_trials": "5", "train.steps": "80", "study.hours": "0.5"}
    found = checked(page, groups={"experiment": "pencil"}, values=texts, search=search)
    assert found["problems"] == {} and found["name"] == "mine"
    line = shlex.split(found["command"])
    assert line[0] == "sweeper" and line[1:] == found["overrides"]
    planned = plan(line[1:])
    assert (planned.config.study.num_trials, planned.config.train.steps) == (5, 80)
    assert planned.config.train.batch_size == 2 and Path(planned.config.study.folder) == studies.resolve()
    by_hand = plan(
        [
            *("+experiment=pencil", "study.name=mine", "study.num_trials=5", "train.steps=80", "study.hours=0.5"),
            *("optimizer=choice(adamw,lion)", "adapter.rank=tag(int,interval(4,16))"),
            *("optimizer.weight_decay=tag(log,interval(1e-3,0.1))", "train.batch_size=2"),
            *("adapter.targets=choice(attention,all-linear)", f"study.folder='{studies.resolve()}'"),
        ]
    )
    assert planned == by_hand or planned.space.fingerprint() == by_hand.space.fingerprint()
    assert planned.config == by_hand.config
    words = {each["key"]: each["words"] for each in found["space"]}
    assert words["adapter.rank"] == by_hand.space.fingerprint()["adapter.rank"]


def test_mistakes_stand_at_their_fields_in_the_commands_own_words(page: TestClient) -> None:
    texts = {"study.name": "a b", "study.num_trials": "many", "train.steps": "10"}
    search = [
        {"key": "adapter.rank", "how": "choice", "texts": ["4", "x"]},
        {"key": "objective.noise_offset", "how": "even", "texts": ["0", "2"]},
        {"key": "optimizer.lr", "how": "log", "texts": ["a", "1"]},
    ]
    found = checked(page, groups={"experiment": "pencil", "base": "pockt"}, values=texts, search=search[:2])
    said = found["problems"]
    with pytest.raises(ConfigError) as error:
        plan(found["overrides"] or shlex.split(found["command"])[1:])
    assert sorted(line for lines in said.values() for line in lines) == sorted(error.value.problems)
    assert said["base"][0].startswith("base must be one of ") and "pocket" in said["base"][0]
    assert said["study.num_trials"] == ["study.num_trials must be a whole number, got 'many'"]
    assert said["adapter.rank"] == ["adapter.rank must be a whole number, got 'x'"]
    assert {"study.name", "objective.noise_offset"} <= said.keys()
    assert "two numbers" in checked(page, search=search)["problems"]["optimizer.lr"][0]
    assert checked(page, values={"study.name": "pencil"})["problems"]["study.name"][0].startswith("study.name must be")


def test_a_line_goes_to_the_field_that_it_names_first() -> None:
    lines = ["adapter.rank_pattern is odd", "adapter: bad", "eval.every must be ≤ train.steps (10)", "no more room"]
    fields = ("adapter", "adapter.rank", "train.steps")
    assert by_field(lines, fields) == {
        "": ["adapter.rank_pattern is odd", "no more room"],
        "adapter": ["adapter: bad"],
        "train.steps": ["eval.every must be ≤ train.steps (10)"],
    }


def test_what_is_expected_follows_from_the_config_and_from_an_earlier_study(page: TestClient) -> None:
    found = checked(page, groups={"experiment": "pencil"}, values={"study.name": "mine", "study.hours": "0.0001"})
    first, pace, fits, memory, disk = found["forecast"]
    assert first.startswith("forecast: at most 12 trainings of 160 steps, 48 evaluations of up to 16 pictures")
    assert pace.startswith("at the pace of study ") and fits.startswith("0.0001 h are enough for ")
    assert memory.endswith("took 1.2 GB at most") and "GB are free" in disk
    other = checked(page, groups={"base": "sd15"}, values={"study.name": "mine"})["forecast"]
    assert other[1].startswith("no study on base sd15 has run in this folder")


def test_pictures_and_captions_of_a_folder_are_shown_and_nothing_is_written(
    page: TestClient, pictures: Path, studies: Path
) -> None:
    before = sorted(studies.rglob("*")), sorted(pictures.rglob("*"))
    top = page.get("/api/start/folder").json()
    assert (top["folder"], top["above"], top["folders"]) == (str(pictures), "", ["cups"])
    shown = page.get("/api/start/folder", params={"path": "cups"}).json()
    assert shown == page.get("/api/start/folder", params={"path": str(pictures / "cups")}).json()
    assert (shown["count"], shown["above"]) == (3, str(pictures))
    assert [each["caption"] for each in shown["pictures"]] == ["a sks cup on grass", MARKUP, CHINESE]
    small = page.get("/api/start/picture", params={"path": shown["pictures"][0]["file"]})
    assert small.headers["content-type"] == "image/webp" and small.content[8:12] == b"WEBP"
    form = {"groups": {"data": "folder"}, "folder": "cups", "values": {"study.name": "mine"}}
    assert checked(page, **form)["problems"] == {}
    assert (sorted(studies.rglob("*")), sorted(pictures.rglob("*"))) == before


def test_nothing_outside_the_named_folders_is_looked_at(page: TestClient, pictures: Path, tmp_path: Path) -> None:
    outside = tmp_path / "private"
    shutil.copytree(pictures / "cups", outside)
    (pictures / "link").symlink_to(outside)
    (pictures / "link.png").symlink_to(outside / "0.png")
    mixed = pictures / "mixed"
    shutil.copytree(pictures / "cups", mixed)
    (mixed / "0.txt").unlink()
    (mixed / "0.txt").symlink_to("/etc/hostname")
    try:
        odd = [
            "..",
            "cups/../..",
            str(outside),
            "link",
            ".hidden",
            "/",
            "~",
            "nothing",
            "cups/0.png",
            "a\0b",
            "/proc/self",
        ]
        for path in odd:
            answer = page.get("/api/start/folder", params={"path": path})
            assert answer.status_code == 409 and "must be a folder in" in answer.text, path
            form = {"groups": {"data": "folder"}, "folder": path, "values": {"study.name": "mine"}}
            assert "data.path" in checked(page, **form)["problems"], path
        files = ["link.png", str(pictures / "link.png"), str(outside / "0.png"), str(pictures / "cups/0.txt"), "", "/"]
        files += [str(pictures / "cups/../../x.png"), "cups/0.png", str(pictures / "cups\0.png")]
        for path in files:
            assert page.get("/api/start/picture", params={"path": path}).status_code == 404, path
        shown = page.get("/api/start/folder", params={"path": "mixed"}).json()
        assert "links in it lead out of" in shown["problem"] and not shown["pictures"]
    finally:
        (pictures / "link").unlink()
        (pictures / "link.png").unlink()
        shutil.rmtree(mixed)


def test_a_disk_is_not_looked_through(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.page.start.folders.MOST_ENTRIES", 3)
    shown = Folders([pictures]).preview(pictures)
    assert "look below it" in shown.problem and shown.folders == ["cups"]
    with pytest.raises(DataError):
        Folders([]).find("cups")


def test_a_start_wants_the_pages_token(studies: Path, database: Path) -> None:
    own = Secrets()
    site = Site(studies=Studies(studies, database), own=own, hosts=[HOST], port=5000)
    with TestClient(make_app(site), base_url=f"http://{HOST}") as client:
        for address in ("/api/start", "/api/start/folder", "/api/start/picture", "/api/start/going/x"):
            assert client.get(address).status_code == 403
        client.get("/", params={VISIT: own.token})
        for address in ("/api/start", "/api/start/check"):
            assert client.post(address, json={}).status_code == 403


def test_a_start_that_fails_leaves_its_words_at_the_fields_and_nothing_else(
    page: TestClient, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is another one here: it says what it was given, and refuses."""
    said = tmp_path / "said"
    program = tmp_path / "program"
    words = "echo looking\necho 'error: base pocket: no <b>such'\nexit 2\n"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{said}'\n{words}")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    before = sorted(studies.iterdir())
    form = {"groups": {"experiment": "pencil"}, "values": {"study.name": "refused", "study.num_trials": "3"}}
    overrides = checked(page, **form)["overrides"]
    assert page.post("/api/start", json=form).json() == {"name": "refused"}
    deadline = time.monotonic() + 30
    while (going := page.get("/api/start/going/refused").json())["state"] == "starting":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert going["state"] == "failed" and going["problems"] == {"base": ["base pocket: no <b>such"]}
    assert said.read_text().splitlines() == ["-m", "sweeper", *overrides]
    assert sorted(studies.iterdir()) == before
    assert page.get("/api/start/going/nothing").status_code == 404


def test_the_name_of_a_study_that_is_there_starts_nothing(page: TestClient) -> None:
    answer = page.post("/api/start", json={"values": {"study.name": "pencil"}})
    assert answer.status_code == 409 and "there is a study pencil" in json.dumps(answer.json())
    assert page.post("/api/start", content=b"{").status_code == 409


def test_the_commands_own_forecast_is_shown_or_its_mistakes_at_their_fields(
    page: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is another one here: it says what it was given, then that there is no such base."""
    program = tmp_path / "program"
    form = {"groups": {"experiment": "pencil"}, "values": {"study.name": "mine"}}
    overrides = checked(page, **form)["overrides"]
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    lines = page.post("/api/start/forecast", json=form).json()["lines"]
    assert lines == ["-m", "sweeper", *overrides, "forecast=true"]
    program.write_text("#!/bin/sh\necho 'error: base sd15: no such folder' >&2\nexit 2\n")
    answer = page.post("/api/start/forecast", json=form)
    assert (answer.status_code, answer.json()) == (409, {"problems": {"base": ["base sd15: no such folder"]}})
    assert page.post("/api/start/forecast", json={"values": {"base.path": "/tmp"}}).status_code == 409
