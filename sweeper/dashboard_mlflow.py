"""MLflow's own server over the studies of a folder, started and ended by `sweeper dashboard`."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from foundation.errors import StudyError
from foundation.files.documents import as_mapping, parse_json
from foundation.files.sqlite_file import refuse_damaged
from foundation.processes import OF_ITS_OWN, end_group
from sweeper.addresses import host_names, in_url
from sweeper.records.urls import folder_url, sqlite_url
from sweeper.tracking import ARTIFACTS, DATABASE, MLFLOW_SETTINGS
from sweeper.tracking.view import pages_of

LOG: Final = "dashboard.log"
"""What the server says, in the folder of studies."""
MAX_PAGES: Final = 10
"""Studies that are listed, newest first."""
DEFAULT_EXPERIMENT: Final = "0"
"""MLflow's own, which holds no study."""
START_SECONDS: Final = 120.0
"""How long the server may take to answer; some 10 s on two free cores."""
_NOTE: Final = "mlflow.note.content"
"""The tag that MLflow shows as an experiment's description."""
_OURS: Final = "[The page of this study]("
"""How a description begins that may be replaced: it is ours."""


def start_mlflow(folder: Path, host: str, port: int) -> subprocess.Popen[bytes]:
    """Start MLflow's server over a folder of studies; it ends with this process, however that ends."""
    with (folder / LOG).open("w", encoding="utf-8") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "sweeper.guardian", *_command(folder.resolve(), host, port)],
            stdin=subprocess.PIPE,  # closes when this process ends
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**MLFLOW_SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ},
            **OF_ITS_OWN,  # so that it and its workers can be ended together
        )


def _command(folder: Path, host: str, port: int) -> list[str]:
    names = [
        in_url(name) for name in host_names(host)
    ]  # any other in a request's Host header is refused: DNS rebinding
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


def experiments_at(address: str) -> list[Mapping[str, Any]]:
    """The latest experiments of the server at an address, without MLflow's own."""
    query = {"max_results": MAX_PAGES + 1, "order_by": ["last_update_time DESC"]}
    found = _ask(address, "experiments/search", query).get("experiments", [])
    return [each for each in found if each["experiment_id"] != DEFAULT_EXPERIMENT]


def lines_on(address: str) -> list[str]:
    """For each of the latest experiments, the addresses of its trials and of their pictures, a line each."""
    studies = [
        (each["name"], pages_of(each["experiment_id"], {tag["key"]: tag["value"] for tag in each.get("tags", [])}))
        for each in experiments_at(address)
    ]
    width = max((len(name) for name, _ in studies), default=0)
    return [
        f"  {name if number == 0 else '':<{width}}  {address}/{page}"
        for name, pages in studies[:MAX_PAGES]
        for number, page in enumerate(pages)
    ]


def link_back(address: str, pages: Mapping[str, str]) -> None:
    """Have MLflow's page of each experiment link to a study's; `pages` are by experiments' numbers.

    A description that somebody wrote stays.
    """
    for each in experiments_at(address):
        tags = {tag["key"]: tag["value"] for tag in each.get("tags", [])}
        page = pages.get(each["experiment_id"])
        if page and tags.get(_NOTE, _OURS).startswith(_OURS):
            tag = {"experiment_id": each["experiment_id"], "key": _NOTE, "value": f"{_OURS}{page})"}
            _ask(address, "experiments/set-experiment-tag", tag)


def _ask(address: str, what: str, query: Mapping[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{what}",
        data=json.dumps(query).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
        return as_mapping(parse_json(answer.read(), address), address)


def refuse_damaged_runs(database: Path) -> None:
    """Check MLflow's database: its server would end with a link to the words that describe the error.

    Raises:
        StudyError: it is damaged.
    """
    try:
        refuse_damaged(database)
    except sqlite3.Error as error:
        raise StudyError(
            f"{database} cannot be shown: {error}; move it away, and the studies' commands show all anew"
        ) from error


def await_answer(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the server answers.

    Raises:
        StudyError: it ended, or does not answer in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
            raise StudyError(f"the MLflow server ended at once: {lines[-1] if lines else 'no word'}; see {log}")
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{address}/health", timeout=2)
            return
        time.sleep(0.2)
    raise StudyError(f"the MLflow server does not answer at {address} after {START_SECONDS:.0f} s; see {log}")


def end_mlflow(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers; those that do not listen are killed."""
    for at_once in (False, True):
        end_group(server.pid, at_once=at_once)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)
            if server.stdin is not None:
                server.stdin.close()
            return
