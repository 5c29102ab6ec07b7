"""`sweeper dashboard`: the page of every study in a folder, and MLflow beside it; on this machine only by default."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from foundation.command import run_main, run_with_usage
from foundation.config.home import at_home
from foundation.config.keyed import read_keyed
from foundation.config.presets import search_presets
from foundation.console import say
from foundation.errors import ConfigError, StudyError, UserError
from foundation.processes import TERMINAL_CLOSED
from sweeper.addresses import host_names, in_url, refuse_taken
from sweeper.dashboard_mlflow import (
    LOG,
    await_answer,
    end_mlflow,
    lines_on,
    link_back,
    refuse_damaged_runs,
    start_mlflow,
)
from sweeper.holdings import studies_in
from sweeper.page.access import VISIT, Secrets
from sweeper.records.paths import STUDIES
from sweeper.tracking import DATABASE
from sweeper.tracking.runs_of import experiment_of

USAGE: Final = """\
sweeper dashboard [folder=multirun] [port=5000] [host=127.0.0.1] [mlflow=5001] [data=FOLDER]   every study and picture

  folder=    where studies are, as study.folder (default: multirun)
  port=      default: 5000
  host=      address to listen on (default: 127.0.0.1, so that no other machine can reach it)
  mlflow=    MLflow's port (default: the next after port), or false: without MLflow
  data=      a folder below which a study that is started from the page may find its pictures; may be given more than
             once (default: the folder that one is in)

The link that is printed holds a token, new each time; without it nobody is answered.

  sweeper dashboard
  sweeper dashboard folder=/data/studies port=5010 data=~/pictures"""
KEYS: Final = ("data", "folder", "host", "mlflow", "port")
_LAST_S: Final = 2
"""How long requests may still take once the server is to end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DashboardRequest:
    """What is wanted."""

    folder: Path
    host: str
    port: int
    mlflow: int | None
    """MLflow's port; None: without it."""
    data: tuple[Path, ...] = (Path(),)
    """Where pictures for a study that is started from the page may lie."""


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit code."""
    return run_with_usage(USAGE, lambda: serve(parse(arguments)), arguments)


def serve(request: DashboardRequest) -> int:
    """Serve the page of the studies in a folder, and MLflow, until a signal ends it; the exit code.

    Raises:
        StudyError: the folder is not there, MLflow's database is damaged, a port is taken, or a server does not
            start.
    """
    from sweeper.page.live import Studies  # Optuna takes seconds to import, which help need not wait for
    from sweeper.page.server import Site, make_app

    folder, host, port = request.folder, request.host, request.port
    database = folder / DATABASE
    if not folder.is_dir():
        raise StudyError(f"there is no folder {folder}/; run `make sweep`, or name the studies' folder by folder=")
    search_presets([])  # a study that is started from the page may have what its own command finds here
    mlflow_port = request.mlflow if database.is_file() else None
    refuse_taken(host, port)
    if mlflow_port is not None:
        refuse_damaged_runs(database)
        refuse_taken(host, mlflow_port, "mlflow")
    name = in_url(host_names(host)[0])
    mlflow = f"http://{name}:{mlflow_port}" if mlflow_port is not None else ""
    own = Secrets()
    hosts = [f"{in_url(each)}:{port}" for each in host_names(host)]
    site = Site(
        studies=Studies(folder, folder / STUDIES), own=own, hosts=hosts, port=port, mlflow=mlflow, data=request.data
    )
    settings = uvicorn.Config(
        make_app(site), host=host, port=port, log_level="warning", timeout_graceful_shutdown=_LAST_S, lifespan="off"
    )
    page = f"http://{name}:{port}/"
    server = uvicorn.Server(settings)
    serving = threading.Thread(target=server.run, daemon=True)
    beside = start_mlflow(folder, host, mlflow_port) if mlflow_port is not None else None
    try:
        with _ending_on(signal.SIGTERM, TERMINAL_CLOSED):
            serving.start()
            while not server.started and serving.is_alive():
                time.sleep(0.02)
            say(f"the studies in {folder}/ are at {page}?{VISIT}={own.token} (Ctrl-C ends it)")
            threading.Thread(target=site.studies.summaries, daemon=True).start()  # read, before the first visit asks
            if beside is not None:
                _show_mlflow(beside, mlflow, folder, page)
            serving.join()
    except KeyboardInterrupt:
        pass
    finally:
        server.should_exit = True
        if beside is not None:
            end_mlflow(beside)
        if serving.is_alive():
            serving.join(2 * _LAST_S)
    return 0


def parse(arguments: Sequence[str]) -> DashboardRequest:
    """Read what is wanted.

    Raises:
        ConfigError: with every mistake at once.
    """
    keys, problems = read_keyed([*_without_dashes(arguments)], KEYS, ("data",), ("folder",))
    port = keys.get("port", "5000")
    if not port.isdecimal():
        problems.append(f"port must be a number, got {port!r}")
    mlflow = keys.get("mlflow", str(int(port) + 1) if port.isdecimal() else "false")
    if not mlflow.isdecimal() and mlflow != "false":
        problems.append(f"mlflow must be a number, a port, or false, got {mlflow!r}")
    data = [Path(at_home(each)) for each in keys.get("data", ["."])]
    problems += [f"data must be a folder, got {str(each)!r}" for each in data if not each.is_dir()]
    if problems:
        raise ConfigError(problems)
    return DashboardRequest(
        folder=Path(keys.get("folder", "multirun")),
        host=keys.get("host", "127.0.0.1"),
        port=int(port),
        mlflow=None if mlflow == "false" else int(mlflow),
        data=tuple(data),
    )


def _show_mlflow(server: subprocess.Popen[bytes], address: str, folder: Path, page: str) -> None:
    """Say where MLflow is once it answers, and link its pages to ours."""
    await_answer(server, address, folder / LOG)
    experiments = {experiment_of(folder, study.name): f"{page}#/{study.name}" for study in studies_in(folder)}
    with suppress(OSError, UserError):  # a link the less
        link_back(address, experiments)
    say(f"MLflow shows them at {address}", *lines_on(address))


def _without_dashes(arguments: Sequence[str]) -> Iterator[str]:
    """`--port 5001` and `--port=5001`, as this command took them first, as `port=5001`."""
    rest = iter(arguments)
    for argument in rest:
        flag = argument.removeprefix("--")
        yield f"{flag}={next(rest, '')}" if argument != flag and flag in KEYS else flag


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


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
