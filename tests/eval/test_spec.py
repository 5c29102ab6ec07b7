"""The eval group's constraints, and prompts with and without trigger."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from eval.prompts import with_trigger, without_trigger
from eval.spec import EvalSpec, Limits, Thresholds


def parse(**values: Any) -> EvalSpec:
    return TypeAdapter(EvalSpec).validate_python({"prompts": ["a cup {trigger}"], **values})


def test_lists_and_nested_thresholds_parse() -> None:
    spec = parse(seeds=[3, 4], thresholds={"copy": {"warn": 0.1, "alarm": 0.2}})
    assert spec.seeds == (3, 4)
    assert spec.thresholds.copy == Limits(warn=0.1, alarm=0.2)
    assert spec.thresholds.drift == Thresholds().drift


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"every": 0}, "every"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"final_prompts": ["a hat", "a hat"]}, "final_prompts must differ"),
        ({"final_prompts": ["a hat", "a cup {trigger}"]}, "final_prompts must hold none of prompts"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"unrelated_prompts": ["a dog {trigger}"]}, "unrelated_prompts must not hold {trigger}"),
        ({"thresholds": {"copy": {"warn": 0.2, "alarm": 0.1}}}, "copy.warn must be < copy.alarm"),
        ({"thresholds": {"diversity": {"warn": 0.5, "alarm": 0.9}}}, "diversity.warn must be > diversity.alarm"),
        ({"thresholds": {"clean": 0.9}}, "clean must be ≤ overfit"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match="(?s)" + words.replace("{", r"\{").replace("}", r"\}")):
        parse(**values)


def test_finalists_have_seeds_and_where_there_are_any_prompts_of_their_own() -> None:
    own = parse(final_prompts=["a hat"]).for_finalists((9, 10))
    assert (own.prompts, own.seeds, own.final_prompts) == (("a hat",), (9, 10), ())
    assert parse().for_finalists((9,)).prompts == ("a cup {trigger}",)


def test_trigger_comes_and_goes() -> None:
    assert with_trigger("a red cup, {trigger}", "in pencil style") == "a red cup, in pencil style"
    assert with_trigger("a red cup, {trigger}", "") == "a red cup"
    assert without_trigger("a red cup, {trigger}", "in pencil style") == "a red cup"
    assert without_trigger("a red cup In Pencil Style on grass", "in pencil style") == "a red cup on grass"
    assert without_trigger("a photo of {trigger} on sand", "sks dog", "a dog") == "a photo of a dog on sand"
    assert without_trigger("masks of sks", "sks") == "masks of"
    assert without_trigger("{trigger}, a cup, {trigger}", "x") == "a cup"
