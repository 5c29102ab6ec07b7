"""Has saved checkpoints judged and drawn by all workers at once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from foundation.errors import StudyError
from sweeper.records.messages import DeviceFailed, Died, Draw, Drew, Rescore, Rescored
from sweeper.study.fleet import Fleet, WorkerState
from sweeper.study.suspects import MAX_ATTEMPTS

JudgementRequest = Rescore | Draw
Answer = Rescored | Drew


class Judgements:
    """Deals questions to workers, one at a time each. The answers do not depend on who gives them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._drawn_by: dict[tuple[Path, float], int] = {}
        """Which worker has drawn with a checkpoint at a strength: it need not do so again for some of the seeds."""

    def answers(
        self, questions: Sequence[JudgementRequest], progress: Callable[[int], None] = lambda answered: None
    ) -> list[Answer]:
        """Return what workers say, in the order of the questions; what a dead worker left open is put again.

        `progress` hears how many are answered.

        Raises:
            StudyError: when workers die of one question again and again.
            DeviceError: no device is left.
        """
        answers: dict[int, Answer] = {}
        waiting, open_questions, deaths = deque(range(len(questions))), dict[int, int](), Counter[int]()
        if waiting:
            self._fleet.start(len(questions), trains=False)
        while len(answers) < len(questions):
            for worker in self._fleet.ready:
                if not worker.has_question and (index := self._next(worker, waiting, questions)) is not None:
                    waiting.remove(index)
                    open_questions[worker.number] = index
                    self._fleet.send(worker, questions[index])
            for worker, event in self._fleet.events():
                if isinstance(event, Rescored | Drew):
                    index = open_questions.pop(worker.number)
                    worker.has_question = False
                    answers[index] = event
                    self._remember(worker, questions[index])
                    progress(len(answers))
                elif isinstance(event, Died | DeviceFailed):
                    self._forget(worker)
                    if worker.number in open_questions:
                        index = open_questions.pop(worker.number)
                        waiting.appendleft(index)
                        deaths[index] += 1
                        if deaths[index] >= MAX_ATTEMPTS:
                            checkpoint = questions[index].checkpoint
                            reason = f"{event.reason}, in {MAX_ATTEMPTS} attempts"
                            raise StudyError(f"{checkpoint} cannot be judged: {reason}")
                    self._fleet.start(len(questions), trains=False)
        return [answers[index] for index in range(len(questions))]

    def _next(self, worker: WorkerState, waiting: Sequence[int], questions: Sequence[JudgementRequest]) -> int | None:
        """The first question that the worker has drawn for, or that nobody has."""
        mine = (index for index in waiting if self._drawn_by.get(_place(questions[index])) in (worker.number, None))
        return next(mine, None)

    def _remember(self, worker: WorkerState, question: JudgementRequest) -> None:
        if isinstance(question, Rescore):
            self._drawn_by[_place(question)] = worker.number

    def _forget(self, worker: WorkerState) -> None:
        self._drawn_by = {place: number for place, number in self._drawn_by.items() if number != worker.number}


def _place(question: JudgementRequest) -> tuple[Path, float]:
    return question.checkpoint, question.strength
