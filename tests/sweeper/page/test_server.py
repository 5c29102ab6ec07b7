"""The live page's server: who is answered, what is served, and what is told to whom has an older version."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from sweeper.page.access import CSRF_HEADER, POLICY, VISIT, Secrets
from sweeper.page.live import LiveStudy, Studies
from sweeper.page.server import Site, make_app
from sweeper.records.history import append_evaluation
from sweeper.records.lease import supervising
from sweeper.records.paths import trial_of
from tests.sweeper.page.hand_made import MARKUP, evaluation_of

HOST = "127.0.0.1:5000"


@pytest.fixture(scope="module")
def site(studies: Path, database: Path) -> Site:
    return Site(studies=Studies(studies, database), own=Secrets(), hosts=[HOST], port=5000, mlflow="http://m")


@pytest.fixture
def stranger(site: Site) -> Iterator[TestClient]:
    with TestClient(make_app(site), base_url=f"http://{HOST}", follow_redirects=False) as client:
        yield client


@pytest.fixture
def visitor(stranger: TestClient, site: Site) -> TestClient:
    """One who has opened the link."""
    answer = stranger.get("/", params={VISIT: site.own.token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    return stranger


@pytest.mark.parametrize(
    "path", ["/", "/api/studies", "/static/page.css", "/pictures/pencil/best/report.html", "/?open=wrong"]
)
def test_nobody_is_answered_without_the_token(path: str, stranger: TestClient) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 403 and answer.text.startswith("open the link")


def test_a_name_of_somebody_elses_is_refused(visitor: TestClient) -> None:
    assert visitor.get("/", headers={"Host": "evil.example:5000"}).status_code == 403


def test_every_answer_has_the_policy_and_the_page_names_its_own_scripts_alone(visitor: TestClient) -> None:
    page = visitor.get("/")
    assert page.status_code == 200 and page.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and "<style" not in page.text and not re.search(r"<script(?! src)", page.text)
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        answer = visitor.get(address)
        assert answer.status_code == 200 and answer.headers["x-content-type-options"] == "nosniff"
    assert visitor.get("/static/../access.py").status_code == 404
    assert visitor.get("/static/file.js").status_code == 404


def test_a_post_wants_the_pages_own_token_and_origin(visitor: TestClient, site: Site) -> None:
    good = {CSRF_HEADER: site.own.csrf}
    assert visitor.post("/api/studies").status_code == 403
    assert visitor.post("/api/studies", headers={CSRF_HEADER: site.own.token}).status_code == 403
    assert visitor.post("/api/studies", headers={**good, "Origin": "http://evil.example"}).status_code == 403
    assert (
        visitor.post("/api/studies", headers={**good, "Origin": f"http://{HOST}"}).status_code == 405
    )  # it got through
    assert site.own.csrf in visitor.get("/").text


def test_the_list_has_every_study_with_its_state_score_and_picture(visitor: TestClient, studies: Path) -> None:
    listed = {each["name"]: each for each in visitor.get("/api/studies").json()}
    assert listed.keys() == {"pencil", "stopped", "failed", "single", "begun"}
    pencil = listed["pencil"]
    assert (pencil["state"], pencil["ended"], pencil["wanted"], pencil["is_chosen"]) == ("finished", 6, 6, True)
    assert (studies / pencil["picture"]).is_file()
    assert listed["failed"]["score"] is None and listed["begun"]["picture"] == ""


def test_pictures_and_thumbnails_come_from_the_studies_folder_alone(
    visitor: TestClient, studies: Path, tmp_path: Path
) -> None:
    path = "pencil/trials/0000/samples/step-000020/prompt00-seed0.png"
    assert visitor.get(f"/pictures/{path}").content == (studies / path).read_bytes()
    small = visitor.get(f"/thumbnails/{path}")
    assert small.headers["content-type"] == "image/webp" and small.content[8:12] == b"WEBP"
    outside = tmp_path / "secret.png"
    shutil.copyfile(studies / path, outside)
    (studies / "link.png").symlink_to(outside)
    try:
        refused = ["link.png", "../secret.png", "%2e%2e/secret.png", f"/{outside}", "pencil/study.yaml", "studies.db"]
        refused += ["pencil/.lease", "pencil/best/config.yaml", "pencil", "", "nothing.png", "a%00b.png"]
        for each in refused:
            for kind in ("pictures", "thumbnails"):
                assert visitor.get(f"/{kind}/{each}").status_code == 404, each
    finally:
        (studies / "link.png").unlink()


def test_a_study_that_is_none_is_not_looked_for_elsewhere(visitor: TestClient) -> None:
    for name in ("nothing", "..", "%2e%2e", "cache", "pencil%2ftrials"):
        assert visitor.get(f"/api/studies/{name}").status_code in (404, 405)  # the latter: a place to POST to


def test_whoever_has_a_version_is_told_what_is_newer(visitor: TestClient) -> None:
    everything = visitor.get("/api/studies/pencil").json()
    assert everything["numbers"] == [0, 1, 2, 3, 4, 5] and everything["study"]["name"] == "pencil"
    assert MARKUP in everything["trials"][2]["ended_because"]
    news = visitor.get("/api/studies/pencil", params={"since": everything["version"]}).json()
    assert news == {"version": everything["version"], "study": {}, "trials": [], "numbers": everything["numbers"]}
    for odd in ("-1", "x", "99999999", "9" * 40):  # of another server, or nobody's
        assert len(visitor.get("/api/studies/pencil", params={"since": odd}).json()["trials"]) == 6


def test_of_a_running_study_the_trial_that_has_changed_is_told(studies: Path, database: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(studies / "stopped", tmp_path / "stopped"))
    seconds = iter(range(0, 1000, 2))
    live = LiveStudy(study, database, clock=lambda: float(next(seconds)))
    with supervising(study, lambda _: None):
        live.newer(0)
        assert live._reader._beside._thread is not None
        live._reader._beside._thread.join()  # importances, which come a moment later, are news as well
        version = live.newer(0)["version"]
        append_evaluation(trial_of(study, 3), evaluation_of(3, 40, 1))
        news = live.newer(version)
    assert [each["number"] for each in news["trials"]] == [3]
    assert len(news["trials"][0]["evaluations"]) == 2
    assert "prompts" not in news["study"] and "params" not in news["study"] and news["version"] > version
