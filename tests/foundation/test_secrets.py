"""A password is known to memory alone: not to what is printed, not to a trace, in none of its forms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import pytest
from sqlalchemy import make_url

from foundation.secrets import hide, in_full, redact

PASSWORDS = ["s3cret/ü %41", "p@ss:word", "a b?c#d", "pass'word\"", "longer-than-most-0123456789"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg2://ann:{}@db.host:5432/x",
        "http://ann:{}@host:5000/p?q=1",
        "sqlite:////a b/c.db?sslpassword={}",
    ],
)
def test_an_address_is_shown_without_its_password_and_given_back_in_full(password: str, address: str) -> None:
    whole = address.format(quote(password, safe=""))
    shown = hide(whole)
    assert shown == address.format("***")
    assert in_full(shown) == whole
    for form in (password, quote(password), quote_plus(password), quote(password, safe="")):
        assert form not in redact(f"cannot open {whole}: {form} was refused")


def test_what_libraries_read_as_a_password_is_hidden() -> None:
    url = "mysql://root:top secret@db/x"
    assert make_url(url).password == "top secret"
    assert urlsplit(url).password == "top secret"
    assert hide(url) == "mysql://root:***@db/x"


@pytest.mark.parametrize(
    "address", ["sqlite:////a/b.db", "http://127.0.0.1:5000", "databricks://profile", "postgresql://mlflow@db/x"]
)
def test_an_address_without_a_password_stays_as_it_is(address: str) -> None:
    assert hide(address) == address == in_full(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://dapi0123456789@host/x", "https://***@host/x"),
        ("https://sk_live_0123456789:@host/x", "https://***:@host/x"),
        ("https://ghp_0123456789:x-oauth-basic@host/x", "https://***:***@host/x"),
        (
            "https://host/x?auth=abc&jwt=def;sas=ghi#access_token=jkl",
            "https://host/x?auth=***&jwt=***;sas=***#access_token=***",
        ),
        ("mssql+pyodbc:///?odbc_connect=UID%3Dann%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
    ],
)
def test_a_token_is_a_password(address: str, shown: str) -> None:
    assert hide(address) == shown == redact(address)
    assert in_full(shown) == address


@pytest.mark.parametrize("user", ["ann@mail.org", "ann lee", "ann%40mail.org"])
def test_a_user_may_be_called_as_people_are(user: str) -> None:
    assert hide(f"postgresql://{user}:secret@db/x") == f"postgresql://{user}:***@db/x"


def test_what_a_driver_says_of_the_inside_of_an_address_is_hidden_too() -> None:
    hide("mssql+pyodbc:///?odbc_connect=UID%3Dann%3BPWD%3Dtop-secret%3BX%3D1")
    assert redact("login failed: UID=ann;PWD=top-secret") == "login failed: UID=ann;PWD=***"


def test_a_path_makes_one_slash_of_two() -> None:
    assert redact(f"no LoRA at {Path('https://ann:pw@host/x')}") == "no LoRA at https:/ann:***@host/x"


def test_traces_logs_and_prints_of_a_guarded_process_tell_nothing() -> None:
    code = """
import logging, sys, warnings
from foundation.secrets import guard_output, remember
remember(sys.argv)
guard_output()
print("print", sys.argv[1])
print("told", "of the hub", "true")
warnings.warn(sys.argv[1])
logging.getLogger("x").error("log %s", sys.argv[1])
raise ValueError("trace hunter-two of " + sys.argv[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "u=http://a:hunter-two@h"],
        capture_output=True,
        text=True,
        env={**os.environ, "HUB_TOKEN": "of the hub", "NO_TOKEN": "true"},
    )
    said = done.stdout + done.stderr
    assert "hunter" not in said and "told *** true" in said
    assert said.count("http://a:***@h") == 4 and "trace *** of" in said


def test_a_link_to_a_saved_view_is_whole() -> None:
    link = "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=0123456789abcdef"
    assert redact(link) == link
