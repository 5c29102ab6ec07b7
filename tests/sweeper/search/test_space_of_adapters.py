"""Kinds of adapter as a choice: what each kind has is searched for it, and what it has not is left out."""

from __future__ import annotations

import pytest

from foundation.config.compose import compose, options
from foundation.errors import ConfigError
from sweeper.records.config import parse_part
from sweeper.search.space import Plan, plan
from train.spec import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS


@pytest.mark.parametrize("option", options("adapter"))
def test_an_options_keys_are_the_fields_of_its_kind(option: str) -> None:
    values = compose([f"adapter={option}"])["adapter"]
    spec = parse_part("adapter", values)
    assert isinstance(spec, AdapterSpec)
    assert values.keys() - {"space"} == ADAPTER_KINDS[spec.name].fields


def test_a_glob_is_of_the_kinds_and_their_starts_and_a_preset_is_named() -> None:
    starts = {"dora", "olora", "pissa", "rslora"}
    every = plan(["adapter=glob(*)", "optimizer=adamw", "lr_scheduler=constant"]).space.dimensions[0]
    assert set(every.domain.values() or ()) == set(options("adapter")) == {*ADAPTER_KINDS, *starts}
    with pytest.raises(ConfigError, match="adapter must be one of adalora, .*, got ranks/r5"):
        plan(["adapter=choice(ranks/r4,ranks/r5)"])
    with pytest.raises(ConfigError, match="adapter must be one of adalora, .*, got 'ranks/r5'"):
        compose(["adapter=ranks/r5"])
    assert compose(["adapter=ranks/r8_text"])["adapter"]["text_encoder"] is True


def adapters(*overrides: str) -> dict[str, str]:
    found = plan(["optimizer=adamw", "lr_scheduler=constant", *overrides]).space.fingerprint()
    return {name: domain for name, domain in found.items() if name.startswith("adapter")}


def test_the_default_study_searches_kinds_with_what_they_share() -> None:
    assert adapters("adapter=choice(lora,locon,dora,loha,lokr)") == {
        "adapter": "choice(lora, locon, dora, loha, lokr)",
        "adapter.rank": "choice(4, 8, 16, 32)",
        "adapter.alpha_ratio": "choice(0.25, 0.5, 1, 2)",
        "adapter.targets": "choice(attention, attention+ff)",
        "adapter=locon:conv_rank": "choice(4, 8, 16)",
    }


def test_a_kind_without_rank_has_none_searched() -> None:
    found = adapters("adapter=lora,ia3,oft")
    assert found["adapter=lora:rank"] == "choice(4, 8, 16, 32)"
    assert "adapter.rank" not in found
    assert found["adapter=oft:block_size"] == "choice(8, 16, 32, 64)"
    assert adapters("adapter=ia3") == {"adapter.targets": "choice(attention, attention+ff)"}


def test_asking_for_the_rank_of_a_kind_that_has_none_is_a_mistake() -> None:
    for overrides in (["adapter=ia3", "adapter.rank=4,8"], ["adapter=ia3", "adapter.rank=4"]):
        with pytest.raises(ConfigError, match="adapter.rank is unknown"):
            plan(overrides)


def test_a_trial_of_each_kind_is_made_of_its_own_fields() -> None:
    asked: Plan = plan(["optimizer=adamw", "lr_scheduler=constant", "adapter=glob(*)", "adapter.targets=attention"])
    for option in options("adapter"):
        point = {each.name: each.domain.corners()[0] for each in asked.space.dimensions} | {"adapter": option}
        spec = asked.trial(point).trial.adapter
        assert "rank" not in ADAPTER_KINDS[spec.name].fields or spec.rank == 4


@pytest.mark.parametrize("asked", ["adapter=loha", "adapter=choice(lora,dora,loha)"])
def test_a_kind_that_needs_whole_weights_is_refused_with_a_quantised_base(asked: str) -> None:
    fixed = ["optimizer=adamw", "lr_scheduler=constant", "base.quantization=nf4"]
    plan([*fixed, "adapter=choice(lora,dora,locon)"])
    with pytest.raises(ConfigError) as caught:
        plan([*fixed, asked])
    assert list(caught.value.problems) == [
        "base.quantization=nf4 is for adapters of the kinds lora, locon, got loha; leave these out, "
        "or take base.quantization=int8 or fp8"
    ]
