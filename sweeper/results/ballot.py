"""Which checkpoints of a study are voted on, what the votes say of them, and which pair is asked about next.

Voted on are the best checkpoints of the trials that are still there with their pictures, the best by the judge first;
they change as trials end. A vote about a checkpoint that is none of them any more still tells what a person weighs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from eval.evaluation import Evaluation
from eval.preference import Liking, Vote, features_of, fit
from foundation.errors import StudyError
from foundation.files.documents import read_mapping
from sweeper.records.config import parse_config
from sweeper.records.history import read_evaluations
from sweeper.records.paths import checkpoint_of, pictures_of, trainings_of, trial_of
from sweeper.records.pictures import PROMPT, picture_name
from sweeper.records.trainings import Training, name_of
from sweeper.records.trials import best_checkpoint
from sweeper.records.votes import Candidate, CastVote, read_votes
from sweeper.results.file_names import WEIGHTS

MOST: Final = 8
"""Checkpoints that are voted on: as many as forty votes tell apart."""
_DRAWN: Final = re.compile(rf"{PROMPT}(\d{{2,}})-seed(\d+)\.png")
_SHARES: Final = {"left": 1.0, "right": 0.0, "alike": 0.5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ballot:
    """A study's candidates and votes."""

    study: Path
    candidates: tuple[Candidate, ...]
    """Those of today, the best by the judge first."""
    scores: tuple[float, ...]
    """Of the candidates, by the judge."""
    rows: tuple[Candidate, ...]
    """Candidates, and others that were voted on: the rows of `liking`."""
    liking: Liking
    num_votes: int
    left_out: int
    """Votes that are damaged, or about a checkpoint of which no evaluation is left."""
    asked: Counter[tuple[Candidate, Candidate, int, int]]
    """How often each pair was asked about with a prompt and a seed; the lesser candidate first."""

    @property
    def order(self) -> list[int]:
        """The candidates' rows, the best liked first."""
        return [row for row in self.liking.order if row < len(self.candidates)]

    @property
    def leader(self) -> Candidate:
        """Who is liked best."""
        return self.candidates[self.order[0]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Which of two pictures is better."""

    left: Candidate
    right: Candidate
    prompt: int
    seed: int


def read_ballot(study: Path) -> Ballot:
    """Return the ballot of the study in a folder.

    Raises:
        StudyError: fewer than two trials have left a checkpoint and pictures.
        UserError: the study's own file is damaged.
    """
    config = parse_config(read_mapping(study / "study.yaml")["config"])
    clean = config.eval.thresholds.clean
    judged = {number: read_evaluations(folder) for number, folder in trainings_of(study).items()}
    best = {
        number: found
        for number, evaluations in judged.items()
        if not Training.of(number).is_rerun and (found := best_checkpoint(evaluations, clean)) is not None
    }
    there = [number for number, each in best.items() if _is_there(study, number, each.step)]
    there = sorted(there, key=lambda number: (-config.study.sign * best[number].score, number))[:MOST]
    if len(there) < 2:
        raise StudyError(
            f"there is nothing to vote on in study {study.name}: two trials with a checkpoint and pictures are wanted, "
            f"{len(there)} {'has' if len(there) == 1 else 'have'} them"
        )
    candidates = tuple(Candidate(number, best[number].step) for number in there)
    scores = tuple(best[number].score for number in there)
    return _ballot(study, candidates, scores, judged)


def _ballot(
    study: Path, candidates: tuple[Candidate, ...], scores: tuple[float, ...], judged: dict[int, list[Evaluation]]
) -> Ballot:
    metrics = {Candidate(number, each.step): each.metrics for number, found in judged.items() for each in found}
    votes, damaged = read_votes(study)
    known = [vote for vote in votes if vote.left in metrics and vote.right in metrics]
    others = dict.fromkeys(side for vote in known for side in (vote.left, vote.right) if side not in candidates)
    rows = (*candidates, *others)
    at = {candidate: row for row, candidate in enumerate(rows)}
    cast = [Vote(at[vote.left], at[vote.right], _SHARES[vote.answer]) for vote in known]
    return Ballot(
        study=study,
        candidates=candidates,
        scores=scores,
        rows=rows,
        liking=fit([features_of(metrics[each]) for each in rows], cast),
        num_votes=len(known),
        left_out=damaged + len(votes) - len(known),
        asked=Counter(_pair_of(vote) for vote in known),
    )


def _pair_of(vote: CastVote) -> tuple[Candidate, Candidate, int, int]:
    one, other = sorted((vote.left, vote.right))
    return one, other, vote.prompt, vote.seed


def next_question(ballot: Ballot, seed: int) -> Question:
    """Return what to ask next: the pair that tells most, its least asked prompt and seed, the sides by chance.

    Raises:
        StudyError: the two have no prompt and seed in common.
    """
    rng = np.random.default_rng(seed)
    one, other = (ballot.candidates[row] for row in ballot.liking.of(len(ballot.candidates)).next_pair(rng))
    lesser, greater = sorted((one, other))
    drawn = sorted(_pictures_of(ballot, one) & _pictures_of(ballot, other))
    if not drawn:
        names = " and ".join(name_of(each.number) for each in (one, other))
        raise StudyError(f"trials {names} have no picture of the same prompt and seed")
    seldom = min(ballot.asked[lesser, greater, *each] for each in drawn)
    least = [each for each in drawn if ballot.asked[lesser, greater, *each] == seldom]
    prompt, of_seed = least[int(rng.integers(len(least)))]
    left, right = (one, other) if rng.random() < 0.5 else (other, one)
    return Question(left=left, right=right, prompt=prompt, seed=of_seed)


def _pictures_of(ballot: Ballot, candidate: Candidate) -> set[tuple[int, int]]:
    folder = pictures_of(trial_of(ballot.study, candidate.number), candidate.step)
    names = (_DRAWN.fullmatch(file.name) for file in folder.iterdir()) if folder.is_dir() else ()
    return {(int(found[1]), int(found[2])) for found in names if found}


def picture_of(study: Path, candidate: Candidate, prompt: int, seed: int) -> Path:
    """Return the file of a candidate's picture."""
    return pictures_of(trial_of(study, candidate.number), candidate.step) / picture_name(PROMPT, prompt, seed)


def _is_there(study: Path, number: int, step: int) -> bool:
    folder = trial_of(study, number)
    has_pictures = any(pictures_of(folder, step).glob(f"{PROMPT}*-seed*.png"))
    return has_pictures and (checkpoint_of(folder, step) / WEIGHTS).is_file()


def words_on(ballot: Ballot) -> list[str]:
    """Return what the votes say, in lines: how sure the order is, whether more are wanted, and what is weighed."""
    if not ballot.num_votes:
        return ["no vote yet: the order is the judge's"]
    liking = ballot.liking.of(len(ballot.candidates))
    leader, sure = ballot.leader, liking.sureness()
    count = f"{ballot.num_votes} {'vote' if ballot.num_votes == 1 else 'votes'}"
    enough = "that is enough" if liking.is_enough() else "more votes make it surer"
    lines = [
        f"after {count} trial {name_of(leader.number)} at step {leader.step} is liked best; that no other is liked "
        f"better by more than 2 % is {100 * sure:.0f} % sure: {enough}"
    ]
    if ballot.left_out:
        lines.append(f"{ballot.left_out} votes are left out: damaged, or about a checkpoint that is judged no more")
    return [*lines, weights_in_words(ballot.liking)]


def weights_in_words(liking: Liking) -> str:
    """Return how a person weighs the score's parts, beside the judge, in a line."""
    names = {"aim": "style or likeness", "prompt": "the prompt", "copies": "copies", "loss": "the loss"}
    taste = liking.taste()
    weights = [
        f"{words} {getattr(taste, part):.1f} times (± {spread:.1f})"
        for (part, words), spread in zip(names.items(), liking.taste_sd(), strict=True)
    ]
    return f"beside the judge the votes weigh {', '.join(weights[:-1])} and {weights[-1]}"


def table_of(ballot: Ballot) -> Sequence[tuple[Candidate, float, float, tuple[float, float, float]]]:
    """Return each candidate with the judge's score, the chance that it is liked best, and its worth beside the leader's

    in percent with the bounds of 95 % (`Liking.worth`), the best liked first."""
    liking = ballot.liking.of(len(ballot.candidates))
    chances, worths = liking.chances(), liking.worth()
    return [(ballot.candidates[row], ballot.scores[row], float(chances[row]), worths[row]) for row in liking.order]
