"""Plain data becomes dataclasses, strictly, and every mistake is named at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from foundation.config.parse import parse, unknown_key
from foundation.config.renamed import RENAMED
from foundation.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    size: Annotated[int, Field(ge=1, le=9)] = 1
    name: str | None = None

    def __post_init__(self) -> None:
        if self.name == "square":
            raise ValueError("name must not be square")
        if self.name == "flat":
            raise ConfigError(["car.wheel.name is flat", "car.wheel.size is none"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    power: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fuel: Literal["petrol", "diesel"] = "petrol"
    cylinders: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    loud: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Car:
    engine: Engine
    wheel: Wheel = field(default_factory=Wheel)
    notes: dict[str, Any] = field(default_factory=dict)


def problems(mapping: dict[str, Any], where: str = "", tp: type = Car) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(tp, mapping, where=where)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def test_nested_mappings_lists_and_whole_numbers_fill_dataclasses_tuples_and_floats() -> None:
    car = parse(Car, {"engine": {"power": 3, "cylinders": ["a", "b"]}, "notes": {"any": [1, {"thing": None}]}})
    engine = Engine(power=3.0, cylinders=("a", "b"))
    assert car == Car(engine=engine, notes={"any": [1, {"thing": None}]})
    assert isinstance(car.engine.power, float)


def test_every_mistake_is_reported_at_once_with_path_allowed_got_and_suggestion() -> None:
    found = problems(
        {
            "engine": {"power": 0, "fuel": "desel", "lowd": True, "cylinders": []},
            "wheel": {"size": 12, "power": 3},
            "spoiler": 1,
        },
        where="car",
    )
    assert found == [
        (
            "car.engine.lowd is unknown, got true; car.engine takes cylinders, fuel, loud, power; "
            "did you mean car.engine.loud?"
        ),
        "car.wheel.power is unknown, got 3; car.wheel takes name, size; did you mean car.engine.power?",
        "car.spoiler is unknown, got 1; car takes engine, notes, wheel",
        "car.engine.power must be > 0, got 0",
        "car.engine.fuel must be one of petrol, diesel, got 'desel'; did you mean diesel?",
        "car.engine.cylinders must be auto or at least 1 long, got []",
        "car.wheel.size must be ≤ 9, got 12",
    ]


@pytest.mark.parametrize(
    ("engine", "problem"),
    [
        ({}, "engine.power is missing"),
        ({"power": "3"}, "engine.power must be a number, got '3'"),
        ({"power": True}, "engine.power must be a number, got true"),
        ({"power": float("nan")}, "engine.power must be a finite number, got nan"),
        ({"power": None}, "engine.power must be a number, got null"),
        ({"power": 1, "loud": 1}, "engine.loud must be true or false, got 1"),
        ({"power": 1, "cylinders": "aut"}, "engine.cylinders must be auto or a list, got 'aut'; did you mean auto?"),
        ({"power": 1, "cylinders": ["a", 2]}, "engine.cylinders.1 must be text, got 2"),
        (7, "engine must be a group of settings, got 7"),
    ],
)
def test_a_value_of_another_kind_is_refused_not_converted(engine: object, problem: str) -> None:
    assert problems({"engine": engine}) == [problem]


def test_a_whole_number_takes_no_fraction() -> None:
    assert problems({"size": 1.5}, tp=Wheel) == ["size must be a whole number, got 1.5"]


def test_checks_between_fields_are_named_by_where_they_live() -> None:
    engine = {"power": 1}
    assert problems({"engine": engine, "wheel": {"name": "square"}}, where="car") == [
        "car.wheel: name must not be square"
    ]
    assert problems({"engine": engine, "wheel": {"name": "flat"}}) == [
        "car.wheel.name is flat",
        "car.wheel.size is none",
    ]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_of_an_earlier_version_is_refused_with_the_new_one(old: str, new: str) -> None:
    assert unknown_key(old, 3, ["eval.seeds"]) == f"{old} is called {new} now; write that, got 3"
