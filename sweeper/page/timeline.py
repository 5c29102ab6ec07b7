"""What each slot did when: loading, training, judging, waiting, nothing. So that wasted time is seen.

A file of each trial tells when it had a slot of which worker; a step tells its slot; the pictures of an evaluation were
written when it was judged; and the costs say how long training and judging took of each trial, in equal parts for all
that a worker has together. What follows from these is right to a second or two; where a study was copied its pictures'
times are not its own, and a trial is one span of training then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Final

from sweeper.page.view import Lane, Span, Timeline

TOGETHER_S: Final = 3.0
"""Evaluations that end so near to one another were one: their pictures are written one after the other."""
_LOOK_BACK: Final = 16
"""Judgings that began before and may end later than one that has ended: those of the same evaluation."""
_LEAST_S: Final = 0.5
"""A gap of less is no idling: the supervisor has an answer by then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """The times of one training in a slot, in seconds since 1970."""

    name: str
    device: int | None
    """The number of its worker; None where an older program ran it."""
    slot: int
    """The last one that it had."""
    began: float
    ended: float
    judged: Sequence[tuple[float, float]] = ()
    """When each evaluation was done, and what judging took of it: its share of the seconds."""


def timeline_of(courses: Iterable[Course], started: float | None) -> Timeline:
    """Return what all slots did; `started` is when the study's process did, as far as is known."""
    ordered = sorted(courses, key=lambda each: (each.began, each.name))
    if not ordered:
        return Timeline(lanes=(), seconds=0.0, shares={})
    first = ordered[0].began
    zero = started if started is not None and 0 <= first - started < 6 * 3600 else first
    judged = _wall_times(ordered)
    places = _lanes(ordered)
    several = len({device for device, _ in places}) > 1
    end = max(each.ended for each in ordered) - zero
    spans = {place: _spans(own, judged, zero) for place, own in places.items()}
    lanes = []
    judging: dict[int, list[Span]] = defaultdict(list)
    for (device, _), own in spans.items():
        judging[device] += [each for each in own if each.kind == "judging"]
    for device in judging:
        judging[device].sort(key=lambda each: each.began)
    for (device, slot), own in spans.items():
        name = f"slot {slot}" + (f" of device {device}" if several else "")
        lanes.append(Lane(name=name, spans=_with_idling(_with_waiting(own, judging[device]), end)))
    totals: dict[str, float] = defaultdict(float)
    for lane in lanes:
        for span in lane.spans:
            totals[span.kind] += span.ended - span.began
    whole = sum(totals.values())
    return Timeline(lanes=lanes, seconds=end, shares={kind: each / whole for kind, each in totals.items() if whole})


def _lanes(courses: Sequence[Course]) -> dict[tuple[int, int], list[Course]]:
    """Trials by device and slot, in the order in which they began: each in its own slot, else in another that is free.

    Where the device is not told, two at once in the same slot are on two devices.
    """
    places: dict[tuple[int, int], list[Course]] = defaultdict(list)
    for course in courses:
        if course.device is None:
            wanted: Iterable[tuple[int, int]] = ((device, course.slot) for device in count())
        else:
            wanted = chain([(course.device, course.slot)], ((course.device, slot) for slot in count()))
        free = next(at for at in wanted if not places[at] or places[at][-1].ended <= course.began + _LEAST_S)
        places[free].append(course)
    return {at: own for at, own in sorted(places.items()) if own}


def _wall_times(courses: Sequence[Course]) -> Mapping[tuple[str, float], float]:
    """How long each evaluation took by the clock: the shares of all that were judged with it together."""
    ends = sorted((moment, share) for course in courses for moment, share in course.judged)
    groups: list[list[tuple[float, float]]] = []
    for moment, share in ends:
        if groups and moment - groups[-1][-1][0] <= TOGETHER_S:
            groups[-1].append((moment, share))
        else:
            groups.append([(moment, share)])
    took: dict[float, float] = {}
    for group in groups:
        whole = sum(share for _, share in group)
        took |= {moment: whole for moment, _ in group}
    return {(course.name, moment): took[moment] for course in courses for moment, _ in course.judged}


def _spans(courses: Sequence[Course], judged: Mapping[tuple[str, float], float], zero: float) -> list[Span]:
    """What a slot's trials did one after the other: training up to each judging."""
    spans: list[Span] = []
    for course in courses:
        at = course.began
        for moment, _ in sorted(course.judged):
            if not course.began <= moment <= course.ended + TOGETHER_S:
                continue  # a copy's time
            end = min(moment, course.ended)
            begin = max(at, end - judged[course.name, moment])
            spans += _span("training", course.name, at - zero, begin - zero)
            spans += _span("judging", course.name, begin - zero, end - zero)
            at = end
        if not course.judged or course.ended - at >= 2 * TOGETHER_S:
            spans += _span("training", course.name, at - zero, course.ended - zero)
        elif spans:
            spans[-1] = replace(spans[-1], ended=course.ended - zero)
    return spans


def _with_waiting(spans: Sequence[Span], judging: Sequence[Span]) -> list[Span]:
    """The same with what of its training was waiting: a device does one thing at a time, and was `judging` then.

    Both are in order of time.
    """
    found: list[Span] = []
    ends = [each.ended for each in judging]
    for span in spans:
        at = span.began
        first = max(0, bisect_right(ends, at) - _LOOK_BACK) if span.kind == "training" else len(judging)
        for other in judging[first:]:
            if other.began >= span.ended:
                break
            begin, end = max(at, other.began), min(span.ended, other.ended)
            if other.trial != span.trial and end - begin >= _LEAST_S:
                found += _span("training", span.trial, at, begin)
                found += _span("waiting", span.trial, begin, end)
                at = end
        found += [replace(span, began=at)] if span.ended > at else []
    return found


def _span(kind: str, trial: str, began: float, ended: float) -> list[Span]:
    return [Span(kind=kind, trial=trial, began=began, ended=ended)] if ended > began else []  # type: ignore[arg-type]


def _with_idling(spans: Sequence[Span], end: float) -> list[Span]:
    """The same with loading before the first, and what is between and after them."""
    found: list[Span] = []
    at = 0.0
    for number, span in enumerate(spans):
        if span.began - at >= _LEAST_S:
            found.append(Span(kind="idle" if number else "loading", trial="", began=at, ended=span.began))
        found.append(span)
        at = span.ended
    if end - at >= _LEAST_S:
        found.append(Span(kind="idle", trial="", began=at, ended=end))
    return found
