"""Having saved checkpoints judged again: with fresh seeds, at any strength."""

from __future__ import annotations

from collections.abc import Sequence

from eval.strength import AS_TRAINED
from sweeper.records.messages import Rescore, Rescored
from sweeper.records.trials import Trial
from sweeper.study.supervisor import Supervisor


def rescore(supervisor: Supervisor, questions: Sequence[Rescore]) -> list[Rescored]:
    """Return a judgement for each question, in order."""
    return [answer for answer in supervisor.answers(questions) if isinstance(answer, Rescored)]


def question(
    trial: Trial,
    step: int,
    seeds: Sequence[int],
    all_seeds: Sequence[int],
    strength: float = AS_TRAINED,
    *,
    against_all: bool = False,
    place: int = 0,
) -> Rescore:
    """What to ask a worker to have a checkpoint judged with fresh seeds, the first of all that the study uses.

    The checkpoint is that of `trial` at `step`, drawn at `strength`; `seeds` are the first of `all_seeds`;
    `against_all` is as in `Rescore`; `place` numbers rounds of other seeds.
    """
    suffix = "" if strength == AS_TRAINED else f"-strength-{strength:g}"
    suffix += "-against-all" if against_all else ""
    suffix += f"-round-{place + 1}" if place else ""
    out = trial.folder / "samples" / f"final-step-{step:06}{suffix}"
    return Rescore(
        trial=trial.number,
        step=step,
        checkpoint=trial.checkpoint(step),
        seeds=tuple(seeds),
        all_seeds=tuple(all_seeds),
        out=out,
        strength=strength,
        against_all=against_all,
    )
