"""`sweeper dashboard`: MLflow's pages over the studies of a folder, on this machine only by default."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from foundation.command import run_main, run_with_usage
from foundation.config.keyed import read_keyed
from foundation.console import say
from foundation.errors import ConfigError, StudyError
from foundation.files.documents import as_mapping, parse_json
from foundation.files.sqlite_file import refuse_damaged
from sweeper.records.urls import folder_url, sqlite_url
from sweeper.tracking import ARTIFACTS, DATABASE, MLFLOW_SETTINGS
from sweeper.tracking.view import pages_of

USAGE: Final = """\
sweeper dashboard [folder=multirun] [port=5000] [host=127.0.0.1]     MLflow's pages over the studies of a folder

  folder=    where studies are, as study.folder (default: multirun)
  port=      default: 5000
  host=      address to listen on (default: 127.0.0.1, so that no other machine can reach it)

  sweeper dashboard
  sweeper dashboard folder=/data/studies port=5001"""
KEYS: Final = ("folder", "host", "port")
LOG: Final = "dashboard.log"
"""What the server says, in the folder of studies."""
MAX_PAGES: Final = 10
"""Studies that are listed, newest first."""
DEFAULT_EXPERIMENT: Final = "0"
"""MLflow's own, which holds no study."""
START_SECONDS: Final = 120.0
"""How long the server may take to answer; some 10 s on two free cores."""


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit code."""
    return run_with_usage(USAGE, lambda: serve(*_parse(arguments)), arguments)


def serve(folder: Path, host: str, port: int) -> int:
    """Serve the studies in `folder` at `host`:`port` until a signal ends it; the exit code.

    Raises:
        StudyError: there is no study in the folder, its database is damaged, the port is taken, or the server does not
            start.
    """
    database = folder / DATABASE
    if not database.is_file():
        raise StudyError(f"no study in {folder}/ yet ({database} is missing); run `make sweep` or name it by folder=")
    _must_be_whole(database)
    _must_be_free(host, port)
    log = folder / LOG
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "sweeper.guardian", *_command(folder.resolve(), host, port)],
            stdin=subprocess.PIPE,  # closes when this process ends, however it does
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**MLFLOW_SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ},
            start_new_session=True,  # so that it and its workers can be ended together
        )
    try:
        with _ending_on(signal.SIGTERM, signal.SIGHUP):
            address = f"http://{_in_url(_names(host)[0])}:{port}"
            _wait(server, address, log)
            say(f"MLflow shows {folder}/ at {address} (Ctrl-C ends it)", *_pages(address))
            return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)


def _parse(arguments: Sequence[str]) -> tuple[Path, str, int]:
    keys, problems = read_keyed([*_without_dashes(arguments)], KEYS, (), ("folder",))
    port = keys.get("port", "5000")
    if not port.isdecimal():
        problems.append(f"port must be a number, got {port!r}")
    if problems:
        raise ConfigError(problems)
    return Path(keys.get("folder", "multirun")), keys.get("host", "127.0.0.1"), int(port)


def _without_dashes(arguments: Sequence[str]) -> Iterator[str]:
    """`--port 5001` and `--port=5001`, as this command took them first, as `port=5001`."""
    rest = iter(arguments)
    for argument in rest:
        flag = argument.removeprefix("--")
        yield f"{flag}={next(rest, '')}" if argument != flag and flag in KEYS else flag


def _command(folder: Path, host: str, port: int) -> list[str]:
    names = [_in_url(name) for name in _names(host)]  # any other in a request's Host header is refused: DNS rebinding
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", sqlite_url(folder / DATABASE)),
        *("--default-artifact-root", folder_url(folder / ARTIFACTS)),
        *("--artifacts-destination", folder_url(folder / ARTIFACTS)),
        *("--host", host, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", ",".join(f"{name}{end}" for name in names for end in ("", f":{port}"))),
        *("--cors-allowed-origins", ",".join(f"http://{name}:{port}" for name in names)),  # its own pages, by any name
        *("--uvicorn-opts", "--log-level warning"),
    ]


def _pages(address: str) -> list[str]:
    """For each of the latest experiments, the addresses of its trials and of their pictures, a line each."""
    query = {"max_results": MAX_PAGES + 1, "order_by": ["last_update_time DESC"]}
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search",
        data=json.dumps(query).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
        found = as_mapping(parse_json(answer.read(), address), address).get("experiments", [])
    studies = [
        (each["name"], pages_of(each["experiment_id"], {tag["key"]: tag["value"] for tag in each.get("tags", [])}))
        for each in found
        if each["experiment_id"] != DEFAULT_EXPERIMENT
    ]
    width = max((len(name) for name, _ in studies), default=0)
    return [
        f"  {name if number == 0 else '':<{width}}  {address}/{page}"
        for name, pages in studies[:MAX_PAGES]
        for number, page in enumerate(pages)
    ]


def _names(host: str) -> list[str]:
    """What a browser may call the server that listens at `host`; first the one to give away."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        everywhere = False
    names = [*_own_addresses(), socket.gethostname(), socket.getfqdn()] if everywhere else [host]
    return list(dict.fromkeys([*names, "127.0.0.1", "localhost", "::1"]))


def _own_addresses() -> list[str]:
    """This machine's addresses that others may reach it by."""
    found = [address.address for each in psutil.net_if_addrs().values() for address in each if _is_ip(address.family)]
    return [address for address in found if not ipaddress.ip_address(address.partition("%")[0]).is_loopback]


def _is_ip(family: int) -> bool:
    return family in (socket.AF_INET, socket.AF_INET6)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _must_be_free(host: str, port: int) -> None:
    try:
        if not 0 < port < 65536:  # what is above would come round to another port
            raise OverflowError("ports go from 1 to 65535")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
    except (OSError, OverflowError) as error:
        raise StudyError(
            f"cannot listen on {host}:{port} ({error}); choose another port=, or end what is there"
        ) from error


def _must_be_whole(database: Path) -> None:
    """MLflow's server would end with a link to the words that describe the error."""
    try:
        refuse_damaged(database)
    except sqlite3.Error as error:
        raise StudyError(
            f"{database} cannot be shown: {error}; move it away, and the studies' commands show all anew"
        ) from error


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            raise StudyError(f"the MLflow server ended at once: {lines[-1] if lines else 'no word'}; see {log}")
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{address}/health", timeout=2)
            return
        time.sleep(0.2)
    raise StudyError(f"the MLflow server does not answer at {address} after {START_SECONDS:.0f} s; see {log}")


@contextmanager
def _ending_on(*numbers: signal.Signals) -> Iterator[None]:
    """Within the block the signals end the program the way Ctrl-C does, unless it was started to survive them."""
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers; those that do not listen are killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)
            return


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
