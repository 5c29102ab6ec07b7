"""Looks at a filled form as its command would: everything is composed and parsed, nothing is started or written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from foundation.config.compose import compose
from foundation.errors import ConfigError, DataError, UserError
from sweeper.kinds import find_kind
from sweeper.page.start.fields import VALUES, paths
from sweeper.page.start.folders import Folders
from sweeper.page.start.forecast import Pace, captions_of, forecast
from sweeper.page.start.overrides import Form, by_field, command_of, overrides_of, read_form, wants_folder
from sweeper.page.start.process import words_on_namesake
from sweeper.page.study_file import STUDY_FILE
from sweeper.records.config import TRIAL_GROUPS
from sweeper.search.space import Plan, plan

_NO_FOLDER: Final = "there is no folder; set data.path"
"""How a plan says what has been said already where the folder is a wrong one."""
_PLANS: Final = threading.Lock()
"""Plans fill caches of what they composed, and a form asks anew with every key: one at a time is soon enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What a form comes to."""

    command: str
    """The line that does the same; empty where the form is none."""
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By field; none where the study may start."""
    name: str = ""
    """The study's."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What fields that were left empty come to, by path; and the names of base and data."""
    space: Sequence[Mapping[str, str]] = ()
    """What is searched: the `key`, and in `words` how, with which options it counts."""
    forecast: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What the captions said of themselves."""
    overrides: Sequence[str] = ()


class FormChecker:
    """Checks forms for the studies in a folder, over the pictures in `folders`.

    `pace_on` says of a base what the latest study on it took.
    """

    def __init__(self, studies: Path, folders: Folders, pace_on: Callable[[str], Pace | None]) -> None:
        self._studies = studies
        self._folders = folders
        self._pace_on = pace_on

    def check(self, mapping: Mapping[str, Any]) -> Checked:
        """Return what a page's form comes to. Mistakes are in it; nothing is raised for them."""
        try:
            form = read_form(mapping)
        except ConfigError as error:
            return Checked(command="", problems=by_field(error.problems, paths()))
        problems: list[str] = []
        counted = 0
        folder = self._folder(form, problems)
        if folder is not None:
            shown = self._folders.preview(folder)
            counted = shown.count
            problems += [shown.problem] if shown.problem else []
        try:
            overrides = overrides_of(form, folder, self._studies)
        except ConfigError as error:
            return Checked(command="", problems=by_field([*problems, *error.problems], paths()))
        command = command_of(overrides)
        with _PLANS:
            try:
                found, notes = find_kind(overrides)
                planned = plan(found)
            except UserError as error:
                said = error.problems if isinstance(error, ConfigError) else [str(error)]
                missing = [] if not problems else [line for line in said if line.startswith(_NO_FOLDER)]
                lines = [line for line in dict.fromkeys([*problems, *said]) if line not in missing]
                return Checked(command=command, problems=by_field(lines, paths()), defaults=_defaults(overrides))
        name = planned.config.study.name
        if (self._studies / name / STUDY_FILE).exists():
            problems.append(words_on_namesake(name))
        return Checked(
            command=command,
            problems=by_field(problems, paths()),
            name=name,
            defaults=_defaults(found),
            space=_words(planned),
            forecast=self._forecast(planned, counted),
            notes=notes,
            overrides=overrides,
        )

    def _folder(self, form: Form, problems: list[str]) -> Path | None:
        """The folder of pictures; None where none is wanted, or it is none, which is noted in `problems`."""
        if not wants_folder(form):
            return None
        if not form.folder.strip():
            return None  # which the command has words for
        try:
            return self._folders.find(form.folder.strip())
        except DataError as error:
            problems.append(str(error))
            return None

    def _forecast(self, planned: Plan, counted: int) -> list[str]:
        config = planned.config
        captions = captions_of(config, [counted])
        return forecast(planned, captions, self._pace_on(config.base.name), self._studies)


def _words(planned: Plan) -> list[dict[str, str]]:
    words = planned.space.fingerprint()
    return [
        {
            "key": each.key.lstrip("+"),
            "words": f"{words[each.name]}{f' (with {each.condition[1]})' if each.condition else ''}",
        }
        for each in planned.space.dimensions
    ]


def _defaults(overrides: Sequence[str]) -> dict[str, str]:
    """What the fields of the form come to with these overrides, as far as they compose without their sweeps."""
    try:
        config = compose(
            [each for each in overrides if each.partition("=")[0] not in TRIAL_GROUPS and _is_single(each)]
        )
    except ConfigError:
        return {}
    found = {path: _at(config, path) for path in VALUES}
    found |= {group: config[group]["name"] for group in ("base", "data")}
    return {path: str(value) for path, value in found.items() if value is not None}


def _is_single(override: str) -> bool:
    value = override.partition("=")[2]
    return not value.startswith(("choice(", "interval(", "tag("))


def _at(config: Mapping[str, Any], path: str) -> object:
    group, _, name = path.partition(".")
    return config[group].get(name)
