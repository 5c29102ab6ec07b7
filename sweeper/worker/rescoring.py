"""Questions about saved checkpoints: judged again, or drawn with, as a user would load them."""

from __future__ import annotations

from eval.spec import EvalSpec
from sweeper.records.messages import Draw, Drew, Rescore, Rescored
from sweeper.worker.judging import Judging


def reply(judging: Judging, question: Rescore | Draw, spec: EvalSpec) -> Rescored | Drew:
    """Judge a checkpoint, or draw with it, by the study's `spec`; nothing of a running trial is touched."""
    if isinstance(question, Draw):
        judging.draw_file(question)
        return Drew(pictures=question.out)
    judging.reference(spec.for_finalists(question.all_seeds))
    evaluation = judging.judge_file(question.checkpoint, question.step, question.out, question.seeds, question.strength)
    own = spec.for_finalists(question.seeds)
    return Rescored(
        trial=question.trial,
        evaluation=evaluation,
        base=judging.judge_base(own),
        pictures=question.out,
        base_pictures=judging.base_pictures(own),
    )
