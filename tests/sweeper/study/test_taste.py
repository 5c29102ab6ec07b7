"""`study.taste_from`: what votes weigh steers another study's score, and stays what it was when that began."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eval.taste import Taste
from foundation.errors import ConfigError, StudyError
from sweeper.records.votes import CastVote, append_vote
from sweeper.results.ballot import read_ballot
from sweeper.study.taste import keep_taste, plan_by_taste, words_on_taste
from tests.sweeper.page.hand_made import Wanted, make_study


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has votes for what the judge likes least."""
    folder = tmp_path_factory.mktemp("voted")
    study = make_study(folder, Wanted(trials=4))
    make_study(folder, Wanted(name="silent", trials=3))
    *others, liked = read_ballot(study).candidates
    for other in others * 6:
        append_vote(study, CastVote(left=liked, right=other, prompt=0, seed=0, answer="left", when=""))
    return folder


def overrides(folder: Path, *more: str) -> list[str]:
    return ["+experiment=pencil", "study.name=next", f"study.folder='{folder}'", *more]


def test_the_votes_weights_are_every_trials_and_are_kept(voted: Path) -> None:
    request = plan_by_taste(overrides(voted, "study.taste_from=pencil"))
    taste = request.config.eval.taste
    assert taste == read_ballot(voted / "pencil").liking.taste() != Taste()
    params = {each.name: each.domain.corners()[0] for each in request.space.dimensions}
    assert request.trial(params).eval.taste == taste
    (line,) = words_on_taste(request)
    assert line.startswith(f"study.taste_from=pencil: its votes weigh what is learned {taste.aim:g} times as the judge")
    keep_taste(request)
    moved = voted / "pencil" / "votes.jsonl"
    kept, _ = moved.read_text(), moved.write_text("")
    try:
        assert plan_by_taste(overrides(voted, "study.taste_from=pencil")).config == request.config  # it goes on
        with pytest.raises(StudyError, match="study.taste_from=pencil: nobody has voted on it"):
            plan_by_taste(overrides(voted, "study.taste_from=pencil", "study.name=other"))
    finally:
        moved.write_text(kept)
        shutil.rmtree(voted / "next")


def test_a_study_elsewhere_is_named_by_its_folder(voted: Path, tmp_path: Path) -> None:
    request = plan_by_taste(overrides(tmp_path, f"study.taste_from='{voted / 'pencil'}'"))
    assert request.config.eval.taste == read_ballot(voted / "pencil").liking.taste()


def test_without_it_nothing_is_weighed_anew(voted: Path) -> None:
    request = plan_by_taste(overrides(voted))
    assert request.config.eval.taste == Taste() and words_on_taste(request) == []
    keep_taste(request)
    assert not (voted / "next").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["study.taste_from=silent"], "study.taste_from=silent: nobody has voted on it; `sweeper dashboard` shows"),
        (["study.taste_from=none"], "there is no study none in"),
        (["study.taste_from=next"], "study.taste_from names the study itself"),
        (
            ["study.taste_from=pencil", "eval.taste.aim=2"],
            "study.taste_from=pencil sets eval.taste, which is given, too",
        ),
        (["eval.taste.aim=-1"], "eval.taste.aim must be ≥ 0, got -1"),
        (["eval.taste.loss=6"], "eval.taste.loss must be ≤ 5, got 6"),
    ],
)
def test_what_cannot_be_weighed_is_one_line(voted: Path, more: list[str], words: str) -> None:
    with pytest.raises((ConfigError, StudyError)) as caught:
        plan_by_taste(overrides(voted, *more))
    assert str(caught.value).startswith(words) and len(str(caught.value).splitlines()) == 1
