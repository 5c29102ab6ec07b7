"""Votes at the page: which pair is asked about, without a word on whose the pictures are, and what all votes say."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from foundation.errors import StudyError
from sweeper.page.view import as_json
from sweeper.records.trainings import name_of
from sweeper.records.votes import ANSWERS, Answer, CastVote, append_vote
from sweeper.results.ballot import Ballot, Question, next_question, picture_of, read_ballot, table_of, words_on

_MOST_OPEN: Final = 64
"""Questions that may wait for an answer: windows are few, and one that is closed never answers."""


class Votes:
    """Asks, and takes answers. A question is known by a ticket of chance, so no address tells whose a picture is.

    May be asked from any thread.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[Path, Question]] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, study: Path) -> dict[str, Any]:
        """Return what the page shows, for JSON: the next question, what the votes say, and where each candidate is.

        Raises:
            UserError: there is nothing to vote on.
        """
        ballot = read_ballot(study)
        question = next_question(ballot, secrets.randbits(32))
        ticket = secrets.token_urlsafe(12)
        with self._lock:
            self._open[ticket] = (study, question)
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        return {
            "ticket": ticket,
            "prompt": question.prompt,
            "votes": ballot.num_votes,
            "sure": as_json(ballot.liking.of(len(ballot.candidates)).sureness()) if ballot.num_votes else 0,
            "words": words_on(ballot),
            "table": _table(ballot),
        }

    def answer(self, study: Path, wanted: Mapping[str, Any]) -> list[str]:
        """Take an answer to a question that was asked of a study; once.

        Raises:
            StudyError: it is no answer, or to no question that waits.
        """
        ticket, answer = wanted.get("ticket"), wanted.get("answer")
        if answer not in ANSWERS or not isinstance(ticket, str):
            raise StudyError(f"a ticket and one of {', '.join(ANSWERS)} are wanted")
        with self._lock:
            asked_of, question = self._open.get(ticket, (None, None))
            if question is None or asked_of != study:
                raise StudyError("this pair waits for no answer any more; here is another one")
            del self._open[ticket]
        append_vote(
            study,
            CastVote(
                left=question.left,
                right=question.right,
                prompt=question.prompt,
                seed=question.seed,
                answer=cast(Answer, answer),
                when=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            ),
        )
        return ["taken"]

    def picture(self, ticket: str, side: str) -> Path | None:
        """Return the file of a question's picture; None where there is no such question or side."""
        with self._lock:
            study, question = self._open.get(ticket, (None, None))
        if study is None or question is None or side not in ("left", "right"):
            return None
        candidate = question.left if side == "left" else question.right
        return picture_of(study, candidate, question.prompt, question.seed)


def _table(ballot: Ballot) -> Any:
    return as_json(
        [
            {
                "number": each.number,
                "name": name_of(each.number),
                "step": each.step,
                "score": score,
                "chance": chance,
                "worth": worth,
            }
            for each, score, chance, worth in table_of(ballot)
        ]
    )
