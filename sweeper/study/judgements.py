"""Has saved checkpoints judged and drawn, and settings probed, by all workers at once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from foundation.errors import StudyError
from sweeper.records.messages import DeviceFailed, Died, Draw, Drew, Event, Probe, Probed, Rescore, Rescored
from sweeper.study.fleet import Fleet, WorkerState
from sweeper.study.suspects import MAX_ATTEMPTS

Question = Rescore | Draw | Probe
Answer = Rescored | Drew | Probed


class Judgements:
    """Deals questions to workers, one at a time each. The answers do not depend on who gives them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._drawn_by: dict[tuple[Path, float] | None, int] = {}
        """Which worker has drawn with a checkpoint at a strength: it need not do so again for some of the seeds."""

    def answers(
        self,
        questions: Sequence[Question],
        progress: Callable[[int], None] = lambda answered: None,
        hear: Callable[[Event], None] = lambda event: None,
        *,
        trains: bool = False,
    ) -> list[Answer]:
        """Return what workers say, in the order of the questions; what a dead worker left open is put again.

        `progress` hears how many are answered, `hear` what else workers say. With `trains` workers that are not up yet
        come up to train afterwards.

        Raises:
            StudyError: when workers die of one question again and again.
            DeviceError: no device is left.
        """
        answers: dict[int, Answer] = {}
        waiting, open_questions, deaths = deque(range(len(questions))), dict[int, int](), Counter[int]()
        if waiting:
            self._fleet.start(None if trains else len(questions), trains=trains)
        while len(answers) < len(questions):
            for worker in self._fleet.ready:
                if not worker.has_question and (index := self._next(worker, waiting, questions)) is not None:
                    waiting.remove(index)
                    open_questions[worker.number] = index
                    self._fleet.send(worker, questions[index])
            for worker, event in self._fleet.events():
                if isinstance(event, Rescored | Drew | Probed):
                    index = open_questions.pop(worker.number)
                    worker.has_question = False
                    answers[index] = event
                    self._remember(worker, questions[index])
                    progress(len(answers))
                else:
                    hear(event)
                if isinstance(event, Died | DeviceFailed):
                    self._forget(worker)
                    if worker.number in open_questions:
                        index = open_questions.pop(worker.number)
                        waiting.appendleft(index)
                        deaths[index] += 1
                        if deaths[index] >= MAX_ATTEMPTS:
                            reason = f"{event.reason}, in {MAX_ATTEMPTS} attempts"
                            raise StudyError(f"{_words_on(questions[index])}: {reason}")
                    self._fleet.start(None if trains else len(questions), trains=trains)
        return [answers[index] for index in range(len(questions))]

    def _next(self, worker: WorkerState, waiting: Sequence[int], questions: Sequence[Question]) -> int | None:
        """The first question that the worker has drawn for, or that nobody has."""
        mine = (index for index in waiting if self._drawn_by.get(_place(questions[index])) in (worker.number, None))
        return next(mine, None)

    def _remember(self, worker: WorkerState, question: Question) -> None:
        if isinstance(question, Rescore):
            self._drawn_by[_place(question)] = worker.number

    def _forget(self, worker: WorkerState) -> None:
        self._drawn_by = {place: number for place, number in self._drawn_by.items() if number != worker.number}


def _place(question: Question) -> tuple[Path, float] | None:
    """What it is about, where it matters who has seen that before."""
    return None if isinstance(question, Probe) else (question.checkpoint, question.strength)


def _words_on(question: Question) -> str:
    """What cannot be done where workers die of it."""
    if isinstance(question, Probe):
        return "learning rates cannot be probed (study.probe=never does without)"
    return f"{question.checkpoint} cannot be judged"
