"""Does what `sweeper votes` wants: says what a study's votes say, and makes their leader its best."""

from __future__ import annotations

import time
from pathlib import Path

from foundation.console import say
from foundation.errors import StudyError
from foundation.json_output import give
from sweeper.choose_study import choose as choose_by_hand
from sweeper.holdings import find_studies
from sweeper.records.hand_choice import HandChoice
from sweeper.records.trainings import name_of
from sweeper.results.ballot import read_ballot, table_of, words_on

_HEAD = ("trial", "step", "judge's score", "liked best", "beside the leader")


def show_votes(name: str, folder: Path, *, choose: bool) -> None:
    """Say what the votes of the study of this name in a folder of studies say; `choose` makes their leader its best.

    Raises:
        UserError: there is no such study, nothing to vote on, or no vote to choose by; or it runs and is to be chosen.
    """
    (study,) = find_studies(folder, [name])
    ballot = read_ballot(study)
    rows = [_HEAD] + [
        (
            name_of(each.number),
            str(each.step),
            f"{score:.1f}",
            f"{100 * chance:.0f} %",
            _worth(*worth) if place else "100 %",
        )
        for place, (each, score, chance, worth) in enumerate(table_of(ballot))
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    say(*("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows))
    say(*words_on(ballot))
    first = ballot.leader
    give(study=study.name, votes=ballot.num_votes, leader={"trial": name_of(first.number), "step": first.step})
    if not choose:
        return
    if not ballot.num_votes:
        raise StudyError(f"nobody has voted on {study.name}, so there is nothing to choose by")
    leader, when = ballot.leader, time.strftime("%Y-%m-%d")
    choice = HandChoice(number=leader.number, step=leader.step, strength=1.0, when=when, votes=ballot.num_votes)
    say(*choose_by_hand(name, folder, choice))


def _worth(middle: float, low: float, high: float) -> str:
    return f"{middle:.0f} % ({low:.0f} to {'over 200' if high > 200 else f'{high:.0f}'})"
