"""What is a secret in the environment is refused as a value, whichever field has it and however it came there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from foundation.config.compose import compose
from foundation.config.kept_out import secret_fields
from foundation.config.keyed import read_keyed
from foundation.errors import ConfigError

SECRET = "hf_abcdefgh12345"
ADDRESS = "postgresql://ann:hunter-two@db/x"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HF_TOKEN": SECRET, "BACKEND": ADDRESS, "A_TOKEN": "pencil", "USE_TOKEN": "true"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("base.path=${oc.env:HF_TOKEN}", "base.path holds the secret of HF_TOKEN"),
        (f"study.folder=x/{SECRET}/y", "study.folder holds the secret of HF_TOKEN"),
        ("eval.prompts=['a cat','a ${oc.env:HF_TOKEN}']", "eval.prompts holds the secret of HF_TOKEN"),
        ("+optimizer.settings={key:'${oc.env:HF_TOKEN}'}", "optimizer.settings.key holds the secret of HF_TOKEN"),
        ("data.trigger=${oc.env:BACKEND}", "data.trigger holds the secret of BACKEND"),
        ("base.path=hunter-two", "base.path holds the secret of BACKEND"),
        ("data.path='https://bob:of-a-proxy@host/x'", "data.path holds the password of an address"),
        ("tracking.uri='http://host/${oc.env:HF_TOKEN}/x'", "tracking.uri holds the secret of HF_TOKEN"),
    ],
    ids=lambda text: text.partition("=")[0].split()[0],  # pytest tells the environment which test it runs
)
def test_a_config_that_holds_a_secret_is_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(["+experiment=pencil", override])
    assert said in refused.value.problems[0]
    assert not any(secret in str(refused.value) for secret in (SECRET, "hunter-two", "of-a-proxy"))


@pytest.mark.parametrize(
    "override", ["tracking.uri=${oc.env:BACKEND}", "tracking.uri='http://ann:${oc.env:HF_TOKEN}@host'"]
)
def test_an_address_that_hides_its_own_is_none(override: str) -> None:
    assert compose([override])["tracking"]["uri"]


@pytest.mark.parametrize("values", [{"a": "a pencil drawing"}, {"a": {"b": ["true", 1.5, None, True]}}, {}])
def test_a_short_secret_is_a_word_like_others(values: Mapping[str, Any]) -> None:
    assert not secret_fields(values)


def test_commands_that_compose_no_config_refuse_it_too() -> None:
    values, problems = read_keyed([f"title={SECRET}", "out=x"], ("title", "out"), ())
    assert values["out"] == "x"
    assert len(problems) == 1 and problems[0].startswith("title holds the secret of HF_TOKEN")
