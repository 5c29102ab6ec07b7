"""The registry of metrics: every entry names its function, and needs what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from eval import thumbnails
from eval.judge import judge
from eval.metrics.registry import DATA, METRICS, SEEDS, TWO_HELD_OUT, TWO_UNRELATED, Metric, function_of, measured_of
from tests.eval.test_judge import GOOD, REFERENCE, SPEC, WIDTH

NOTHING = torch.zeros(0, WIDTH)


@pytest.mark.parametrize("name", METRICS.built_in)
def test_every_entry_names_its_function_and_says_how_to_read_it(name: str) -> None:
    assert function_of(name).__name__ == f"{name}_of"
    assert METRICS[name].description


@pytest.mark.parametrize("need", [DATA, SEEDS, TWO_HELD_OUT, TWO_UNRELATED])
def test_what_an_entry_needs_is_what_it_cannot_be_taken_without(need: str) -> None:
    reference, evidence = REFERENCE, GOOD
    if need == DATA:
        none = {"train": NOTHING, "held_out": NOTHING, "base_validation": torch.zeros(0, 4)}
        view = replace(reference.style, train=NOTHING, held_out=NOTHING)
        nothing = {
            "train_compositions": torch.zeros(0, thumbnails.MASKED_WIDTH),
            "held_out_compositions": torch.zeros(0, thumbnails.WIDTH),
        }
        reference = replace(reference, style=view, **nothing, **none)
        evidence = replace(evidence, validation_losses=torch.zeros(0, 4))
    elif need == TWO_HELD_OUT:
        one = {name: getattr(reference, name)[:1] for name in ("held_out", "held_out_compositions", "base_validation")}
        reference = replace(reference, **one)
        evidence = replace(evidence, validation_losses=evidence.validation_losses[:1])
    else:
        prompts, seeds, unrelated = (8, 1, 3) if need == SEEDS else (8, 4, 1)
        budget = SPEC.whole._replace(prompts=prompts, seeds=seeds, unrelated=unrelated)
        reference, evidence = reference.within(budget), evidence.within(budget)
    found = judge(reference, evidence, [], SPEC).metrics
    missing = {name for name in measured_of("style") if math.isnan(found[name])}
    lacking = {name for name in measured_of("style") if need in METRICS[name].needs}
    assert missing == lacking - ({"leak"} if need == TWO_UNRELATED else set())  # of one it can be taken


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"direction": "higher", "compute": max}, "direction must be maximize, minimize or None, got 'higher'"),
        ({"compute": 3}, "compute must be a function or module:function, got 3"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Metric(description="", **values)
    assert str(caught.value) == words
