"""Votes: who is voted on, a blind pair, what a vote does, the leader as the best; through the server and a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from starlette.testclient import TestClient

from foundation.errors import StudyError
from sweeper.page.access import CSRF_HEADER, VISIT, Secrets
from sweeper.page.live import Studies
from sweeper.page.server import Site, make_app
from sweeper.records.paths import pictures_of, trial_of
from sweeper.records.pictures import PROMPT, picture_name
from sweeper.records.votes import VOTES, Candidate, CastVote, append_vote, read_votes
from sweeper.results.ballot import next_question, read_ballot, table_of, words_on
from sweeper.study.finished import STUDIES
from sweeper.votes import parse
from sweeper.votes_study import show_votes
from tests.sweeper.browser import NEEDS_CHROMIUM, complaints, open_browser, show_at
from tests.sweeper.page.accessible import violations
from tests.sweeper.page.serving import serve

HOST = "127.0.0.1:5000"
BOTH_SHOWN = "return [...document.querySelectorAll('.ballot img')].filter((image) => image.naturalWidth).length === 2"
WHEN = "2026-12-01T09:00:00+0000"


@pytest.fixture
def folder(studies: Path, tmp_path: Path) -> Path:
    """The studies, to be written to."""
    return Path(shutil.copytree(studies, tmp_path / "studies"))


@pytest.fixture
def page(folder: Path) -> Iterator[TestClient]:
    """A client that has opened the link and has the page's own token."""
    own = Secrets()
    site = Site(studies=Studies(folder, folder / STUDIES), own=own, hosts=[HOST], port=5000)
    with TestClient(make_app(site), base_url=f"http://{HOST}", headers={CSRF_HEADER: own.csrf}) as client:
        client.get("/", params={VISIT: own.token})
        yield client


def votes_for(study: Path, liked: Candidate, count: int) -> None:
    """Cast votes for one candidate, against each of the others in turn."""
    others = [each for each in read_ballot(study).candidates if each != liked]
    for number in range(count):
        other = others[number % len(others)]
        append_vote(study, CastVote(left=other, right=liked, prompt=0, seed=0, answer="right", when=WHEN))


def test_candidates_are_the_trials_best_with_their_pictures(folder: Path) -> None:
    study = folder / "pencil"
    ballot = read_ballot(study)
    assert len(ballot.candidates) == 6 and list(ballot.scores) == sorted(ballot.scores, reverse=True)
    best = ballot.candidates[0]
    shutil.rmtree(pictures_of(trial_of(study, best.number), best.step))
    assert best not in read_ballot(study).candidates
    assert words_on(ballot) == ["no vote yet: the order is the judge's"]
    with pytest.raises(StudyError, match="nothing to vote on in study single: two trials .* wanted, 1 has them"):
        read_ballot(folder / "single")


def test_votes_turn_the_order_and_are_counted(folder: Path) -> None:
    study = folder / "pencil"
    liked = read_ballot(study).candidates[-1]
    votes_for(study, liked, 40)
    with (study / VOTES).open("a") as file:
        file.write('{"left": 3}\n{"left": {"number": 0, "st')  # damaged, cut short by a crash
    ballot = read_ballot(study)
    assert ballot.leader == liked and ballot.num_votes == 40 and ballot.left_out == 2
    first, second, third = words_on(ballot)
    assert first.startswith(f"after 40 votes trial {liked.number} at step {liked.step} is liked best; ")
    assert first.endswith("that is enough")
    assert second.startswith("2 votes are left out") and "the prompt" in third
    (candidate, _, chance, worth), *_ = table_of(ballot)
    assert candidate == liked and chance > 0.7 and worth == (100, 100, 100)


def test_a_vote_on_a_checkpoint_that_is_no_candidate_any_more_still_tells(folder: Path) -> None:
    study = folder / "pencil"
    first, second, *_ = read_ballot(study).candidates
    votes_for(study, second, 5)
    shutil.rmtree(pictures_of(trial_of(study, first.number), first.step))
    ballot = read_ballot(study)
    assert first not in ballot.candidates and first in ballot.rows and ballot.num_votes == 5
    append_vote(study, CastVote(left=Candidate(99, 1), right=second, prompt=0, seed=0, answer="left", when=WHEN))
    assert read_ballot(study).left_out == 1


def test_questions_take_prompts_and_seeds_in_turn_and_both_sides(folder: Path) -> None:
    study = folder / "pencil"
    ballot = read_ballot(study)
    asked = [next_question(ballot, seed) for seed in range(60)]
    assert len({(each.prompt, each.seed) for each in asked}) > 2
    top = ballot.candidates[0]
    assert any(each.left == top for each in asked) and any(each.right == top for each in asked)
    one = asked[0]
    append_vote(
        study, CastVote(left=one.left, right=one.right, prompt=one.prompt, seed=one.seed, answer="alike", when=WHEN)
    )
    ballot = read_ballot(study)
    again = [next_question(ballot, seed) for seed in range(200)]
    same = [each for each in again if {each.left, each.right} == {one.left, one.right}]
    assert same and all((each.prompt, each.seed) != (one.prompt, one.seed) for each in same)


def ask(page: TestClient) -> dict[str, Any]:
    answer = page.get("/api/studies/pencil/votes")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_pair_is_blind_and_an_answer_counts_once(page: TestClient, folder: Path, tmp_path: Path) -> None:
    question = ask(page)
    left, right = (page.get(f"/votes/{question['ticket']}/{side}.png") for side in ("left", "right"))
    assert left.status_code == right.status_code == 200 and left.headers["content-type"] == "image/png"
    wanted = {"ticket": question["ticket"], "answer": "left"}
    assert page.post("/api/studies/failed/vote", json=wanted).status_code == 409  # of another study
    assert page.post("/api/studies/pencil/vote", json=wanted).json() == {"lines": ["taken"]}
    again = page.post("/api/studies/pencil/vote", json=wanted)
    assert (again.status_code, again.text) == (409, "this pair waits for no answer any more; here is another one")
    assert page.get(f"/votes/{question['ticket']}/left.png").status_code == 404
    ((vote,), damaged) = read_votes(folder / "pencil")
    assert not damaged and vote.answer == "left" and vote.prompt == question["prompt"]
    for seen, candidate in ((left, vote.left), (right, vote.right)):
        file = pictures_of(trial_of(folder / "pencil", candidate.number), candidate.step)
        assert seen.content == (file / picture_name(PROMPT, vote.prompt, vote.seed)).read_bytes()
    assert ask(page)["votes"] == 1


@pytest.mark.parametrize(
    "body", ['{"ticket": "none", "answer": "left"}', '{"ticket": 3, "answer": "left"}', '{"answer": "up"}', "[]", "{"]
)
def test_what_is_no_answer_is_refused_and_nothing_is_written(body: str, page: TestClient, folder: Path) -> None:
    assert page.post("/api/studies/pencil/vote", content=body).status_code == 409
    assert not (folder / "pencil" / VOTES).exists()


def test_a_vote_without_the_pages_token_is_refused(page: TestClient, folder: Path) -> None:
    del page.headers[CSRF_HEADER]
    assert (
        page.post("/api/studies/pencil/vote", json={"ticket": ask(page)["ticket"], "answer": "left"}).status_code == 403
    )
    assert not (folder / "pencil" / VOTES).exists()


def test_the_leader_becomes_the_best_and_its_card_tells(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = folder / "pencil"
    with pytest.raises(StudyError, match="nobody has voted on pencil"):
        show_votes("pencil", folder, choose=True)
    liked = read_ballot(study).candidates[1]
    votes_for(study, liked, 30)
    capsys.readouterr()
    request = parse(["pencil", "choose=true", f"folder={folder}"])
    show_votes(request.study, request.folder, choose=request.choose)
    said = capsys.readouterr().out
    assert said.splitlines()[0].split() == [
        "trial",
        "step",
        "judge's",
        "score",
        "liked",
        "best",
        "beside",
        "the",
        "leader",
    ]
    assert f"the best of pencil is trial {liked.number} at step {liked.step}" in said
    assert json.loads((study / "best" / "scores.json").read_text())["trial"] == liked.number
    assert "by 30 votes between pairs of pictures" in (study / "best" / "card.md").read_text()


@NEEDS_CHROMIUM
def test_voting_by_keyboard_alone(folder: Path, tmp_path: Path) -> None:
    with serve(folder) as address, open_browser(tmp_path / "profile") as browser:
        show_at(browser, 1366, 768)
        browser.get(address)
        wait = WebDriverWait(browser, 60)
        browser.execute_script("location.hash = '#/pencil/votes'")
        for number, (key, answer) in enumerate(((Keys.ARROW_LEFT, "left"), (Keys.ARROW_DOWN, "alike"))):
            wait.until(lambda page: bool(page.execute_script(BOTH_SHOWN)))  # type: ignore[no-untyped-call]
            assert violations(browser) == []
            browser.find_element(By.TAG_NAME, "body").send_keys(key)
            wait.until(lambda _, count=number + 1: len(read_votes(folder / "pencil")[0]) == count)
            assert read_votes(folder / "pencil")[0][-1].answer == answer
        wait.until(lambda page: "after 2 votes" in page.find_element(By.CSS_SELECTOR, ".standing").text)
        browser.execute_script("location.hash = '#/single/votes'")
        wait.until(lambda page: "nothing to vote on" in page.find_element(By.ID, "view").text)
        assert all("409" in each for each in complaints(browser))  # that there is nothing to vote on
