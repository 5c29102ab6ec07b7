"""A real Slurm of one node on this machine: a study is submitted, requeued in its midst, and found whole at its end.

`python -m tests.cluster.slurm` (as root, with Debian's slurm-wlm and munge). It all lies in a folder that goes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import optuna

from sweeper.records.urls import sqlite_url

ROOT: Final = Path(__file__).parents[2]
NEEDS: Final = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
PATIENCE_S: Final = 900.0
STUDY: Final = (
    "+experiment=pencil",
    "study.name=queued",
    "data.num_train=6",
    "data.num_validation=3",
    "train.batch_size=1",
    "train.steps=24",
    "eval.every=4",
    "eval.prompts=['a red cup on grass, {trigger}']",
    "eval.unrelated_prompts=['a red ball on grass, in photo style']",
    "eval.seeds=[0]",
    "eval.sample_steps=2",
    "eval.timestep_bins=2",
    "eval.noises_per_bin=1",
    "study.num_trials=3",
    "study.slots=1",
    "study.finalists=1",
    "study.strengths=[]",
    "study.pruner.name=none",
    "launcher.gpus_per_worker=0",
)
_CONF: Final = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
JobRequeue=1
MpiDefault=none
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
KillWait=60
SchedulerParameters=requeue_delay=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why it cannot be done here; empty where it can."""
    if os.geteuid() != 0:
        return "slurmd needs root"
    missing = [name for name in NEEDS if shutil.which(name) is None]
    return f"there is no {', '.join(missing)} (Debian: slurm-wlm, munge)" if missing else ""


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """A Slurm of this machine alone; the environment that its commands need."""
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(host=socket.gethostname(), folder=folder, cpus=os.cpu_count()))
    environment = {**os.environ, "SLURM_CONF": str(conf), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    place = folder / "munge"
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={place}/socket"]
    munged += [f"--pid-file={place}/pid", f"--seed-file={place}/seed", f"--log-file={place}/log"]
    commands = [munged, ["slurmctld", "-D", "-f", str(conf)], ["slurmd", "-D", "-f", str(conf)]]
    with ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            time.sleep(2)
        yield environment


def main() -> int:
    """Run it; 0 where the study is whole."""
    if reason := why_not():
        print(f"not run: {reason}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="sweeper-slurm-"))
    try:
        with slurm(folder) as environment:
            return _study(folder, environment)
    finally:
        if "keep" not in sys.argv:
            shutil.rmtree(folder, ignore_errors=True)


def _study(folder: Path, environment: dict[str, str]) -> int:
    def run(*command: str) -> str:
        return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True).stdout

    python = f"python={sys.executable}"
    asked = ("gpus=0", f"cpus={os.cpu_count()}", "time=01:00:00", python, *STUDY, f"study.folder={folder / 'runs'}")
    (folder / "study.sbatch").write_text(run(sys.executable, "-m", "sweeper.cluster", "slurm", *asked))
    job = run("sbatch", "--parsable", "study.sbatch").strip()
    log = folder / f"sweeper-{job}.log"
    print(f"job {job} is submitted")
    _await(lambda: "trial 0 step 8" in _text(log), log, "the first trial is judged twice")
    run("scontrol", "requeue", job)
    print("it is requeued, as a preempted job is")
    _await(lambda: "goes on" in _text(log).partition("SIGTERM")[2] or "resuming" in _text(log), log, "it goes on")
    _await(lambda: "it is in " in _text(log) or not run("squeue", "--noheader", "--jobs", job).strip(), log, "it ends")
    print(_text(log))
    study = optuna.load_study(study_name="queued", storage=sqlite_url(folder / "runs" / "studies.db"))
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    best = (folder / "runs" / "queued" / "best" / "pytorch_lora_weights.safetensors").is_file()
    whole = states == ["COMPLETE"] * 3 and best
    print(f"trials: {', '.join(states)}; best: {'there' if best else 'missing'}: {'whole' if whole else 'NOT WHOLE'}")
    return 0 if whole else 1


def _await(happened: object, log: Path, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(f"not in {PATIENCE_S:g} s: {what}\n{_text(log)}")
        time.sleep(1)
    print(f"seen: {what}", flush=True)


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
