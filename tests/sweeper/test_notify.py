"""Messages go where the addresses say, and the addresses go nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from foundation import secrets
from foundation.errors import ConfigError
from foundation.secrets import redact
from sweeper import notify as notifying
from sweeper.notify import KEY, VARIABLE, environment, notify, notify_wait, set_urls, take_urls

ROOT = Path(__file__).parents[2]
TOKEN = "abcdefgh12345678"


@pytest.fixture(autouse=True)
def nobody_hears_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(secrets, "_known", set(secrets._known))
    yield
    set_urls([])


@pytest.fixture
def heard() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An address of a service here, and what came there."""
    messages: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/{TOKEN}", messages
    server.shutdown()


def test_a_message_comes_with_no_secret_in_it(heard: tuple[str, list[dict[str, str]]]) -> None:
    pytest.importorskip("apprise")
    address, messages = heard
    assert take_urls(["+experiment=pencil", f"{KEY}=['{address}']", "train.steps=4"]) == [
        "+experiment=pencil",
        "train.steps=4",
    ]
    notify("study pencil is finished", f"score 3; {TOKEN}")
    notify_wait("the database is away")
    assert [(each["title"], each["message"]) for each in messages] == [
        ("study pencil is finished", "score 3; ***"),
        ("sweeper waits", "the database is away"),
    ]
    assert environment() == {VARIABLE: address}


def test_an_address_is_in_no_error_and_in_no_text(heard: tuple[str, list[dict[str, str]]]) -> None:
    pytest.importorskip("apprise")
    with pytest.raises(ConfigError, match="knows no service for address 2 of 2") as caught:
        take_urls([f"{KEY}=[{heard[0]},nothing://{TOKEN}/x]"])
    assert TOKEN not in str(caught.value)
    assert redact(f"at {heard[0]} and {TOKEN}") == "at *** and ***"


def test_a_mistyped_key_does_not_repeat_its_address() -> None:
    with pytest.raises(ConfigError) as caught:
        take_urls([f"+notify.url=tgram://{TOKEN}/1"])
    assert str(caught.value) == "notify.url is unknown; notify takes urls: notify.urls=[…]"


def test_the_environment_is_read_and_no_worker_inherits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "_service", lambda _: None)
    monkeypatch.setenv(VARIABLE, f"tgram://{TOKEN}/1  mailto://a:{TOKEN}@b.c")
    assert take_urls(["a=b"]) == ["a=b"]
    assert VARIABLE not in os.environ
    assert environment()[VARIABLE].split() == [f"tgram://{TOKEN}/1", f"mailto://a:{TOKEN}@b.c"]


def test_without_apprise_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match="pip install 'sweeper\\[notify\\]'"):
        take_urls([f"{KEY}=json://host"])


def test_a_service_that_fails_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Service:
        def notify(self, **_: object) -> bool:
            raise RuntimeError(f"tgram://{TOKEN}")

    monkeypatch.setattr(notifying, "_service", lambda _: Service())
    set_urls([f"tgram://{TOKEN}/1"])
    notify("study pencil is finished")
    said = capsys.readouterr()
    assert "could not be sent" in said.err and TOKEN not in said.out + said.err


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_list_of_processes_does_not_show_it() -> None:
    code = "import foundation.secrets as s; s.hide_arguments(); print(open('/proc/self/cmdline').read())"
    command = [sys.executable, "-c", code, f"{KEY}=[tgram://{TOKEN}/1]", "after"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert TOKEN not in done.stdout and f"{KEY}=***" in done.stdout and "after" in done.stdout
