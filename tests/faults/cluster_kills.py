"""`python -m tests.faults.cluster_kills [kills=60] [seed=0] [keep=FOLDER]`: end parts of a cluster, and compare.

A simulated study runs on two nodes of a Ray cluster of this machine that do not see its folder, in a PostgreSQL
database, and is shown on an MLflow server whose files are in an S3 store. In each study five things are ended by force
at moments of chance, one of each kind: the supervisor, a worker's process, a node with all that it runs, the database,
the MLflow server. What was ended is started again. Then its trials, its runs and its winner are held against those of
the study that nothing disturbed. Exit code 1 when any differs. Needs root, for mount namespaces.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ray
from mlflow import MlflowClient

from foundation.secrets import hide
from sweeper.search.port import EndedTrial
from sweeper.search.server import Server
from sweeper.search.study import stored_trials
from sweeper.study.run import BEHIND
from tests.faults.kills import NAME, STUDY
from tests.faults.outcome import winner_of
from tests.sweeper.launchers import far_nodes
from tests.sweeper.launchers.clusters import start_cluster
from tests.sweeper.mlflow_server import MlflowServer
from tests.sweeper.postgres import PASSWORD, PostgresServer
from tests.sweeper.tracking.test_tracking_server import found

ROOT: Final = Path(__file__).parents[2]
KINDS: Final = ("supervisor", "worker", "node", "database", "tracking server")
_NODES: Final = 2
_TRIALS: Final = 6
_MOST_DELAY_S: Final = 0.6
"""Of a strike, after the line that it follows: a simulated trial's steps take as long."""
_MAX_RUNS: Final = 4
_PATIENCE_S: Final = 1800.0
"""After which a study is taken for hung."""
_SCHEDULE: Final = ("study.num_trials=", "eval.prompts=", "study.pruner.name=", "study.strengths=")
_ASKED: Final = (
    *(each for each in STUDY if not each.startswith(_SCHEDULE)),
    f"study.num_trials={_TRIALS}",
    "study.sampler=random",  # the others learn of trials in the order in which these end
    "study.strengths=[]",
    "study.pruner.name=none",
    "study.slots=1",
    "eval.prompts=['a red cup on grass, {trigger}']",
    "eval.training_captions=['a blue star at night']",
    *("launcher=ray", "launcher.gpus_per_worker=0", "launcher.cpus_per_worker=1", f"launcher.max_workers={_NODES}"),
    *("+launcher.resources.far=1", "launcher.save_every_s=0.3", "launcher.lease_s=30"),
    "tracking.register=always",
)
_QUICK: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
"""Nobody waits long for a server that was killed: what it misses is caught up."""


@dataclass
class Place:
    """The cluster and the servers of all studies, with what can be ended of them."""

    folder: Path
    """Of studies: the nodes see another disk there."""
    address: str
    postgres: PostgresServer
    mlflow: MlflowServer
    start_node: Callable[[], Any]
    nodes: list[Any] = field(default_factory=list)

    def strike(self, kind: str, supervisor: subprocess.Popen[str], chance: random.Random) -> bool:
        """End something by force, and start it again, but for the supervisor; whether there was such a thing."""
        match kind:
            case "supervisor":
                supervisor.kill()
            case "worker":
                workers = [each for node in self.nodes for each in far_nodes.workers_below(node.pid)]
                if not workers:
                    return False
                far_nodes.with_id(chance.choice(workers), signal.SIGKILL)
            case "node":
                node = self.nodes.pop(chance.randrange(len(self.nodes)))
                far_nodes.end(node)
                self.nodes.append(self.start_node())
            case "database":
                self.postgres.crash()
                self.postgres.start()
            case _:
                self.mlflow.kill()
                self.mlflow.start()
        return True

    @property
    def uri(self) -> str:
        """Of the MLflow server."""
        return f"http://127.0.0.1:{self.mlflow.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a study came to."""

    trials: Sequence[EndedTrial]
    open_runs: int
    shown: Mapping[str, Any]
    winner: Mapping[str, Any]
    num_lines: int
    """That it said from its first trial's start on."""
    struck: Sequence[str] = ()
    output: str = ""


def run_study(place: Place, name: str, strikes: Sequence[tuple[int, str]], chance: random.Random) -> Seen:
    """Run a study to its end, however often it must be begun; each strike comes after so many lines.

    Raises:
        RuntimeError: it does not come to its end.
    """
    for entry in place.folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    place.postgres.create_database(name)
    own = (
        f"study.folder={place.folder}",
        f"study.storage='{place.postgres.address(name, '')}'",
        *(f"tracking.uri={place.uri}", f"tracking.experiment={name}", f"tracking.model={name}"),
        *(f"launcher.address={place.address}", f"launcher.node_folder={place.folder / 'node'}"),
    )
    left, struck, said, num_lines = sorted(strikes), list[str](), list[str](), 0
    for _ in range(_MAX_RUNS):
        process = _begin("tests.faults.cluster_study", *_ASKED, *own)
        assert process.stdout is not None
        watch = threading.Timer(_PATIENCE_S, process.kill)
        watch.start()
        for line in process.stdout:
            said.append(line)
            num_lines += bool(num_lines) or "trial 0 starts" in line
            while left and num_lines >= left[0][0]:
                time.sleep(chance.uniform(0, _MOST_DELAY_S))
                kind = left.pop(0)[1]
                said.append(f"--- {kind}\n")
                if place.strike(kind, process, chance):
                    struck.append(kind)
        watch.cancel()
        if process.wait() in (0, BEHIND):
            break
    if process.returncode == BEHIND:
        process = _begin("sweeper", "track", f"study={NAME}", f"folder={place.folder}")
        said.append(process.communicate()[0])
    output = "".join(said)
    if process.returncode:
        raise RuntimeError(f"the study {name} ends with exit code {process.returncode}:\n{output}")
    client = MlflowClient(place.uri, place.uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    return Seen(
        trials=stored_trials(NAME, Server(hide(place.postgres.address(name)), print))[0],
        open_runs=sum(each.info.status == "RUNNING" for each in runs),
        shown=found(place.uri, name),
        winner=winner_of(place.folder, NAME),
        num_lines=num_lines,
        struck=struck,
        output=output,
    )


def _begin(*command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PGPASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def problems(calm: Seen, other: Seen) -> list[str]:
    """What the second does not have as the first, in words."""
    said = []
    if lost := [each.number for each in calm.trials if each not in other.trials]:
        said.append(f"trials {lost} are lost, or others")
    if more := [each.number for each in other.trials if each not in calm.trials]:
        said.append(f"trials {more} are more than there were")
    if other.open_runs:
        said.append(f"{other.open_runs} runs are left open")
    if calm.winner != other.winner:
        said.append(f"the winner was {calm.winner}, is {other.winner}")
    said += [f"MLflow shows {name} otherwise" for name in calm.shown if calm.shown[name] != other.shown.get(name)]
    if "Traceback" in other.output:
        said.append("a trace was printed")
    return said


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    given = dict(argument.split("=", 1) for argument in arguments)
    if unknown := given.keys() - {"kills", "seed", "keep"}:
        print(__doc__, f"unknown: {', '.join(sorted(unknown))}", sep="\n")
        return 2
    if reason := far_nodes.why_not():
        print(f"not run: {reason}")
        return 2
    os.environ.update({**_QUICK, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # the S3 store's, of each request
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-kills-")))
        (folder / "studies").mkdir()
        (folder / "mlflow").mkdir()
        cluster = start_cluster()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing of it is left
        stack.callback(cluster.shutdown)
        stack.callback(ray.shutdown)
        postgres = PostgresServer.create(may_crash=True)
        stack.callback(postgres.delete)
        mlflow = MlflowServer.create(folder / "mlflow")
        stack.callback(mlflow.delete)
        start_node = lambda: stack.enter_context(far_nodes.far_node(cluster, folder / "studies"))  # noqa: E731
        place = Place(folder / "studies", cluster.address, postgres, mlflow, start_node)
        place.nodes += [start_node() for _ in range(_NODES)]
        return _strike_studies(place, int(given.get("kills", 60)), random.Random(int(given.get("seed", 0))), given)


def _strike_studies(place: Place, kills: int, chance: random.Random, given: Mapping[str, str]) -> int:
    calm = run_study(place, "calm", (), chance)
    print(f"undisturbed: {len(calm.trials)} trials, {calm.num_lines} lines, winner {calm.winner['trial']}", flush=True)
    struck, wrong = Counter[str](), Counter[str]()
    number = 0
    while struck.total() < kills:
        number += 1
        kinds = chance.sample(KINDS, k=len(KINDS))
        moments = sorted(chance.sample(range(1, round(0.9 * calm.num_lines)), k=len(kinds)))
        plan = list(zip(moments, kinds, strict=True))
        try:
            seen = run_study(place, f"struck {number}", plan, chance)
        except RuntimeError as error:
            wrong["studies that do not end"] += 1
            print(error, flush=True)
            continue
        found_wrong = problems(calm, seen)
        struck.update(seen.struck)
        wrong["trials lost"] += sum(each not in seen.trials for each in calm.trials)
        wrong["runs left open"] += seen.open_runs
        wrong["other winners"] += calm.winner != seen.winner
        wrong["studies with any difference"] += bool(found_wrong)
        told = ", ".join(f"{kind} after line {at}" for at, kind in plan)
        print(f"{struck.total()}/{kills} {told}: {'; '.join(found_wrong) or 'as undisturbed'}", flush=True)
        if found_wrong and "keep" in given:
            Path(given["keep"]).mkdir(parents=True, exist_ok=True)
            (Path(given["keep"]) / f"{number}.log").write_text(seen.output)
    print(f"{struck.total()} kills in {number} studies of {len(calm.trials)} trials: {_told(struck)}; {_told(wrong)}")
    return int(bool(wrong.total()))


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
