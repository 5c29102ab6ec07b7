"""Lets some trials that pruning would end run on, so that it is known what pruning costs (`study.audit`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Final

from eval.evaluation import value_of
from foundation.config.plain import number, text, whole
from foundation.errors import DataError
from foundation.files.documents import read_mapping
from foundation.files.durable import write_json
from sweeper.records.study_spec import StudySpec
from sweeper.records.trials import Trial

_FILE: Final = "audit.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spared:
    """The verdict that an audited trial did not end by."""

    step: int
    """Where it would have ended."""
    reason: str
    score: float
    """Its best score until then."""

    @property
    def words(self) -> str:
        """Why it goes on."""
        return f"audited: without study.audit it had stopped at step {self.step}, {self.reason}"


def is_audited(trial: int, spec: StudySpec) -> bool:
    """Whether a trial runs on though it looks hopeless: so large a share of all, by the seed and its number alone."""
    drawn = int.from_bytes(sha256(f"audit {spec.seed} {trial}".encode()).digest()[:8], "big")
    return drawn < spec.audit * 2**64


def spare(trial: Trial, reason: str) -> None:
    """Note the verdict that a trial would have ended by, the first one."""
    assert trial.best is not None
    if verdict_in(trial.folder) is None:
        found = Spared(step=trial.evaluations[-1].step, reason=reason, score=value_of(trial.best))
        write_json(trial.folder / _FILE, asdict(found))


def verdict_in(folder: Path) -> Spared | None:
    """What `spare` noted in a trial's folder; None of one that nothing was to end."""
    try:
        found = read_mapping(folder / _FILE)
        return Spared(step=whole(found["step"]), reason=text(found["reason"]), score=number(found["score"]))
    except (OSError, DataError, ValueError, LookupError, TypeError):
        return None


def as_if_ended(trials: Iterable[Trial], spec: StudySpec) -> Iterator[Trial]:
    """The trials with those that were spared as they would have ended: so pruning is for the others what it was.

    What a spared one would have ended by is read from its folder when it is come to.
    """
    return (_cut(each) if is_audited(each.number, spec) else each for each in trials)


def _cut(trial: Trial) -> Trial:
    found = verdict_in(trial.folder)
    if found is None:
        return trial
    until = [each for each in trial.evaluations if each.step <= found.step]
    return replace(trial, evaluations=until, status="pruned")


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What became of the trials that pruning would have ended."""

    trials: int
    better: int
    """How many became better than the best of those that nothing was to end."""
    regret: float
    """Points by which they did, in the mean over all of them, 0 for one that did not; NaN where there is no other."""
    rise: float
    """Points by which their best scores rose after the verdict, in the mean."""
    steps: int
    """What they trained after it."""

    @property
    def words(self) -> str:
        """In a sentence."""
        became = f"{self.better} became better than the best of the others"
        regret = f"mean regret {self.regret:.1f} points" if math.isfinite(self.regret) else "there were no others"
        return (
            f"Pruning's audit: of {self.trials} trials that pruning would have ended and study.audit let run on, "
            f"{became} ({regret}); their scores rose by {self.rise:.1f} points in the mean, in {self.steps} steps that "
            "pruning would have saved."
        )

    def metrics(self) -> dict[str, float]:
        """By names such as `audit/regret`; a tracker leaves out what is not finite."""
        return {f"audit/{name}": float(value) for name, value in asdict(self).items()}


def audit(trials: Iterable[Trial], sign: int = 1) -> Audit | None:
    """What became of the trials that were spared and have ended; None where there are none. Up is better by `sign`."""
    ended = [each for each in trials if each.best is not None and each.status in ("finished", "pruned")]
    found = {each.number: note for each in ended if (note := verdict_in(each.folder))}
    if not found:
        return None
    others = [_score(each, sign) for each in ended if each.number not in found and each.status == "finished"]
    kept = [(each, found[each.number], _score(each, sign)) for each in ended if each.number in found]
    over = [max(0.0, score - max(others)) for _, _, score in kept] if others else []
    return Audit(
        trials=len(kept),
        better=sum(points > 0 for points in over),
        regret=fmean(over) if over else math.nan,
        rise=fmean(max(0.0, score - sign * note.score) for _, note, score in kept),
        steps=sum(each.evaluations[-1].step - note.step for each, note, _ in kept),
    )


def audit_words(found: Audit | None, spec: StudySpec) -> list[str]:
    """What is said of it at the end, in lines; none where nothing was to be audited."""
    if found is not None:
        return [found.words]
    return ["study.audit: none of its trials looked hopeless, so nothing is known of what pruning costs"] * bool(
        spec.audit
    )


def _score(trial: Trial, sign: int) -> float:
    assert trial.best is not None
    return sign * value_of(trial.best)
