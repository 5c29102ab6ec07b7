"""`study.taste_from`: another study's votes as the weights of this one's score, taken once, when the study begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from eval.taste import Taste
from foundation.config.parse import parse
from foundation.errors import ConfigError, StudyError, UserError
from foundation.files.documents import read_json
from foundation.files.durable import write_json
from sweeper.search.space import Plan, plan

SETTING: Final = "study.taste_from"
_FILE: Final = "taste.json"


def plan_by_taste(overrides: Sequence[str]) -> Plan:
    """Return the study that `overrides` ask for, `eval.taste` being what the votes of `study.taste_from` weigh.

    A study that has begun keeps what it began with, whatever is voted on since.

    Raises:
        ConfigError: one problem per mistake, all of them.
        StudyError: there is no such study, or nobody has voted on it.
    """
    request = plan(overrides)
    source = request.config.study.taste_from
    if source is None:
        return request
    if request.config.eval.taste != Taste():
        raise ConfigError([f"{SETTING}={source} sets eval.taste, which is given, too; leave one out"])
    folder = _folder(request)
    taste = _read_kept(folder, source) or _from_votes(request, source)
    return plan([*overrides, *(f"eval.taste.{name}={value}" for name, value in asdict(taste).items())])


def keep_taste(request: Plan) -> None:
    """Write down by what the study in its folder was begun, where votes say so."""
    study = request.config.study
    if study.taste_from is not None and _read_kept(_folder(request), study.taste_from) is None:
        write_json(_folder(request) / _FILE, {"from": study.taste_from, "taste": asdict(request.config.eval.taste)})


def words_on_taste(request: Plan) -> list[str]:
    """Return what a person should know of it, in a line; none where votes say nothing."""
    study, taste = request.config.study, request.config.eval.taste
    if study.taste_from is None:
        return []
    aim, prompt, copies, loss = (f"{value:g}" for value in asdict(taste).values())
    return [
        f"{SETTING}={study.taste_from}: its votes weigh what is learned {aim} times as the judge does, the prompt "
        f"{prompt}, copies {copies}, the loss {loss} times"
    ]


def _folder(request: Plan) -> Path:
    return Path(request.config.study.folder) / request.config.study.name


def _read_kept(folder: Path, source: str) -> Taste | None:
    try:
        kept = read_json(folder / _FILE)
        return parse(Taste, kept["taste"], where="eval.taste") if kept["from"] == source else None
    except (OSError, UserError, ValueError, LookupError, TypeError):
        return None


def _from_votes(request: Plan, source: str) -> Taste:
    from sweeper.holdings import find_studies  # for those few who ask for it
    from sweeper.results.ballot import read_ballot

    if Path(source).resolve() == _folder(request).resolve() or source == request.config.study.name:
        raise StudyError(f"{SETTING} names the study itself; give this one another study.name than {source}")
    place = Path(source) if len(Path(source).parts) > 1 else Path(request.config.study.folder) / source
    (study,) = find_studies(place.parent, [place.name])
    ballot = read_ballot(study)
    if not ballot.num_votes:
        raise StudyError(f"{SETTING}={source}: nobody has voted on it; `sweeper dashboard` shows pairs of its pictures")
    return ballot.liking.taste()
