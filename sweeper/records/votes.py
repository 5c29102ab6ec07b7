"""What a person answered about pairs of pictures, in a study's `votes.jsonl`: one line a vote, none is ever changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from foundation.errors import DataError
from foundation.files.documents import parse_json
from foundation.files.durable import append_line

VOTES: Final = "votes.jsonl"
Answer = Literal["left", "right", "alike"]
ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)


@dataclass(frozen=True, order=True, slots=True)
class Candidate:
    """A checkpoint that is voted on."""

    number: int
    """Its training's."""
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CastVote:
    """One answer: which of two checkpoints' pictures, of the same prompt and seed, is liked better."""

    left: Candidate
    right: Candidate
    prompt: int
    seed: int
    """Both as the pictures' files count them, from 0."""
    answer: Answer
    when: str
    """The time, ISO 8601, with its zone."""


def append_vote(study: Path, vote: CastVote) -> None:
    """Add a vote to those of the study in a folder."""
    append_line(study / VOTES, json.dumps(asdict(vote)))


def read_votes(study: Path) -> tuple[list[CastVote], int]:
    """Return the votes of the study in a folder, in order, and how many lines are damaged and were left out."""
    try:
        lines = (study / VOTES).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return [], 0
    found = [_vote_in(line) for line in lines if line.strip()]
    votes = [each for each in found if each is not None]
    return votes, len(found) - len(votes)


def _vote_in(line: str) -> CastVote | None:
    try:
        values = parse_json(line, VOTES)
        vote = CastVote(
            **{
                **values,
                **{
                    side: Candidate(int(values[side]["number"]), int(values[side]["step"]))
                    for side in ("left", "right")
                },
            }
        )
    except (DataError, ValueError, TypeError, LookupError, AttributeError):
        return None
    is_one = vote.left != vote.right and vote.answer in ANSWERS
    return vote if is_one and isinstance(vote.prompt, int) and isinstance(vote.seed, int) else None
