"""How long a running study still takes, from what its files say: its own process knows better, and shows it there."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.page.view import Timeline, TrialView


def time_left_s(trials: Sequence[TrialView], timeline: Timeline, wanted: int) -> float | None:
    """Return about how many seconds the trials still take; None before an evaluation.

    The slots go on as they went: steps that are left, at the pace of those that are done, by the time that slots were
    at work. An ended trial's steps are all behind it. The finalists' judging, which follows, is not in it.
    """
    pace = seconds_a_step(trials, timeline)
    if pace is None:
        return None
    own = _of_search(trials)
    steps = max(each.step for each in own)
    is_open = [each.status in ("running", "waiting", "paused") for each in own]
    left = sum(steps - each.step for each, still in zip(own, is_open, strict=True) if still)
    return pace * (left + steps * max(0, wanted - len(own)))


def seconds_a_step(trials: Sequence[TrialView], timeline: Timeline) -> float | None:
    """Return how long a trial's step took by the clock, with its judging, all slots at work; None before one."""
    own = _of_search(trials)
    made = sum(each.step for each in own)
    if not made or not any(each.evaluations for each in own) or not timeline.lanes:
        return None
    busy = sum(
        span.ended - span.began
        for lane in timeline.lanes
        for span in lane.spans
        if span.kind in ("training", "judging")
    )
    return busy / made / len(timeline.lanes)


def _of_search(trials: Sequence[TrialView]) -> list[TrialView]:
    return [each for each in trials if not each.is_rerun]
