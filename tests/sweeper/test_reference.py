"""The reference page is what its command makes, says something of every field, and says what the parser does."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pytest
import yaml
from pydantic import Field, TypeAdapter, ValidationError

from foundation.config.compose import compose, dotted_paths, groups, options
from foundation.config.presets import CONF
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS, Config
from sweeper.reference.__main__ import PAGE, main
from sweeper.reference.fields import ConfigField, fields_of
from sweeper.reference.page import GRAMMAR
from sweeper.reference.tables import tables_of
from sweeper.reference.words import type_words, value_words
from sweeper.search.space import plan, searchable


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A wheel."""

    size: Annotated[int, Field(ge=1, le=9)] = 4
    """Inches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vehicle:
    """A vehicle."""

    name: str
    """What it is called,
    in two lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Car(Vehicle):
    """A car."""

    front: Wheel = field(default_factory=Wheel)
    """The front wheel."""
    spare: Wheel | None = None
    """One more."""
    others: tuple[Wheel, ...] = ()
    """Even more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Silent:
    """Fields without a word."""

    said: int = 0
    """Something."""
    unsaid: int = 0
    wheel: Wheel = field(default_factory=Wheel)


ENTRIES: Final[Mapping[str, Wheel]] = {"small": Wheel(size=1), "large": Wheel(size=9)}
"""Wheels by name."""
SETTINGS: Final[Mapping[str, Mapping[str, type]]] = {"small": {"eps": float, "fast": bool}}
"""Types by name."""
CODE: Final[Mapping[str, Any]] = {"small": print}
"""No data."""


def rows() -> dict[str, list[str]]:
    """The cells of each field's row in the page, by path."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [
        re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |")) for line in lines if line[:3] == "| `"
    ]
    return {row[0].strip("`"): row[1:] for row in cells if "." in row[0] and len(row) >= 4}


def test_the_page_is_what_the_command_makes() -> None:
    assert main(["--check"]) == 0, "run python -m sweeper.reference"


def test_a_stale_page_is_said_and_left_alone_and_a_missing_one_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "reference.md"
    assert main(["--check"], path) == 1
    assert main([], path) == 0
    assert path.read_bytes() == PAGE.read_bytes()
    path.write_text("old", encoding="utf-8")
    assert main(["--check"], path) == 1
    assert path.read_text(encoding="utf-8") == "old"
    assert "is stale; run python -m sweeper.reference" in capsys.readouterr().err
    assert main(["--chekc"], path) == 2


def test_every_field_that_is_composed_and_every_option_is_in_the_page() -> None:
    found, text = rows(), PAGE.read_text(encoding="utf-8")
    for group in groups():
        assert f"\n## {group}\n" in text
        for option in options(group):
            assert f"\n| `{option}`" in text.partition(f"\n## {group}\n")[2].partition("\n## ")[0]
    inside_mappings = ("study.space.", "study.recipes.", "optimizer.settings.")
    for path in dotted_paths(compose(["optimizer=prodigy"])):
        if "." in path and not path.startswith(inside_mappings) and not re.fullmatch(r"\w+\.space(\..*)?", path):
            assert found[path][0], path


def test_every_option_says_what_it_is() -> None:
    silent = [
        f"{group}/{option}.yaml"
        for group in groups()
        for option in options(group)
        if not re.match(r"(# @package.*\n)?# \S", (CONF / group / f"{option}.yaml").read_text(encoding="utf-8"))
    ]
    assert silent == []


def test_a_field_without_a_docstring_is_refused_by_name() -> None:
    with pytest.raises(ConfigError) as caught:
        fields_of(Silent, "group")
    assert [line.partition(" has no docstring")[0] for line in caught.value.problems] == ["group.unsaid", "group.wheel"]
    assert len(fields_of(Config, "config")) > 100


def test_fields_of_parents_and_of_dataclasses_within_are_found() -> None:
    found = {each.path: each for each in fields_of(Car, "car")}
    assert list(found) == [
        "car.name",
        "car.front",
        "car.front.size",
        "car.spare",
        "car.spare.size",
        "car.others",
        "car.others.<n>.size",
    ]
    assert found["car.name"].meaning == "What it is called, in two lines."
    assert found["car.front.size"].meaning == "Inches."
    assert found["car.front"].default == Wheel()


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "whole number"),
        (Annotated[int, Field(ge=1, le=9)], "whole number, 1 to 9"),
        (Annotated[int, Field(ge=0, lt=2**31)], "whole number, ≥ 0, < 2^31"),
        (Annotated[float, Field(gt=0, le=0.5)], "number, > 0, ≤ 0.5"),
        (Annotated[int, Field(ge=16, multiple_of=8)], "whole number, ≥ 16, a multiple of 8"),
        (bool, "true or false"),
        (str | None, "text or null"),
        (Annotated[str, Field(min_length=1)], "text, not empty"),
        (Literal[True, "gaussian"], "`true`, `gaussian`"),
        (Literal["a"] | Literal["b", "c"] | None, "`a`, `b`, `c` or null"),
        (Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)], "`auto` or list of 1 or more, each: text"),
        (tuple[int, float], "list: whole number; number"),
        (dict[str, bool], "mapping of names, each to: true or false"),
        (dict[str, Any], "mapping of names, each to: any value"),
        (Wheel | None, "settings: `size` or null"),
    ],
)
def test_types_are_said_in_words(hint: Any, words: str) -> None:
    assert type_words(hint) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "`null`"),
        (True, "`true`"),
        (1e-6, "`1e-06`"),
        (2.0, "`2`"),
        ("", '`""`'),
        ((0, 1), "`[0, 1]`"),
        ({}, "`{}`"),
        ({"a": 0.5}, "`{a: 0.5}`"),
        (["x" * 40, "y" * 40], f"2, the first `{'x' * 40}`"),
        ({"a" * 40: 1, "b" * 40: 2}, f"2, the first `{'a' * 40}: 1`"),
    ],
)
def test_values_are_said_as_yaml_has_them(value: Any, words: str) -> None:
    assert value_words(value) == words
    if "first" not in words:
        assert yaml.safe_load(words.strip("`")) == json.loads(json.dumps(value)) or isinstance(value, float)


def test_tables_in_code_are_shown_by_their_entries_fields() -> None:
    entries, settings = tables_of(Car)
    assert (entries.name, entries.meaning, entries.columns) == ("ENTRIES", "Wheels by name.", {"size": "Inches."})
    assert entries.rows == [["`small`", "`1`"], ["`large`", "`9`"]]
    assert settings.rows == [["`small`", "`eps`: number, `fast`: true or false"]]


def test_a_table_that_the_spec_imports_is_shown_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "kinds_of_car.py").write_text('KINDS: dict[str, int] = {"van": 4}\n"""Doors."""\n')
    (tmp_path / "spec_of_car.py").write_text(
        "from dataclasses import dataclass\nfrom kinds_of_car import KINDS\n"
        '@dataclass\nclass Spec:\n    name: str = "van"\n    """Which."""\n'
    )
    (table,) = tables_of(importlib.import_module("spec_of_car").Spec)
    assert (table.name, table.meaning, table.rows) == ("KINDS", "Doors.", [["`van`", "`4`"]])


@pytest.mark.parametrize("written", [written for written, _ in GRAMMAR])
def test_each_form_of_an_override_is_taken(written: str) -> None:
    plan([written])


def number_fields() -> list[ConfigField]:
    plain = {int, float}
    return [
        each
        for each in fields_of(Config, "config")
        if each.hint in plain or getattr(each.hint, "__origin__", None) in plain
    ]


@pytest.mark.parametrize("each", number_fields(), ids=lambda each: each.path)
def test_the_ends_of_a_range_are_those_that_parsing_holds_a_field_to(each: ConfigField) -> None:
    """Read back from the page's words: an end that counts is taken, a step beyond it is not."""
    words = rows()[each.path.removeprefix("config.")][1]
    step = 1 if words.startswith("whole") else 1e-6
    step = int(found[1]) if (found := re.search(r"a multiple of (\d+)", words)) else step
    number = r"(2\^\d+|-?[\d.]+(?:e-?\d+)?)"
    both = re.search(f"{number} to {number}", words)
    ends = [("≥", both[1]), ("≤", both[2])] if both else re.findall(f"([≥>≤<]) {number}", words)
    for sign, text in ends:
        power = text.removeprefix("2^")
        end = 2 ** int(power) if power != text else type(step)(text)
        inward = step if sign in "≥>" else -step
        assert takes(each.hint, end) == (sign in "≥≤"), (words, sign)
        assert takes(each.hint, end + inward) and not takes(each.hint, end - inward), (words, sign)


def takes(hint: Any, value: float) -> bool:
    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError:
        return False
    return True


def test_defaults_and_what_is_searched_are_those_of_the_plan() -> None:
    found, planned = rows(), plan([])
    composed = compose()
    assert found["adapter.rank"][2] == f"`{composed['adapter']['rank']}`"
    assert found["optimizer.lr"][2].startswith(f"`{composed['optimizer']['lr']:g}`, from ")
    assert found["optimizer.beta3"][2] == "`null`"  # not in the default option's YAML
    assert found["study.pruner.name"][2] == f"`{planned.config.study.pruner.name}`"
    for dimension in planned.space.dimensions:
        cell = found[dimension.key if "." in dimension.key else f"{dimension.key}.name"][3]
        assert cell not in ("can be", ""), dimension.key
        if dimension.condition is not None and dimension.condition[0] in TRIAL_GROUPS:
            assert dimension.condition[1] in re.findall(r"\w+", cell)
    assert all(searchable(path) == (row[3] != "no") for path, row in found.items() if len(row) == 4)
    assert not searchable("eval.every") and not searchable("study.num_trials") and searchable("optimizer.beta3")
    fixed = {path for path, row in found.items() if row[-1] == "can be"}
    assert not fixed & {dimension.key for dimension in planned.space.dimensions}
    assert {path.partition(".")[0] for path, row in found.items() if len(row) == 4} == set(TRIAL_GROUPS)
