"""A batch file that starts Ray on a Slurm allocation and the study on it, saves before the limit, and queues again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from foundation.errors import ConfigError
from sweeper.cluster.values import number_of, word_of

_AS_IN_SBATCH: Final = ("partition", "account", "qos", "constraint", "mem")
KEYS: Final = ("nodes", "gpus", "cpus", "time", "warn", "python", "name", *_AS_IN_SBATCH)
_TIME: Final = re.compile(r"(\d+-)?\d{1,2}(:\d{2}){0,2}|\d+")
_BODY: Final = """\
set -u
python=@PYTHON@
nodes=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
head=${nodes[0]}
export RAY_ADDRESS=$head:$((20000 + SLURM_JOB_ID % 20000))
# Who reaches Ray's port may run anything: only this job's processes know the word.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$("$python" -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
export RAY_USAGE_STATS_ENABLED=0
export RAY_worker_niceness=0 # workers are what this machine is for
ray=("$python" -m ray.scripts.scripts)
common=(--block --disable-usage-stats @RESOURCES@)

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \\
  "${ray[@]}" start --head --port="${RAY_ADDRESS##*:}" --include-dashboard=false "${common[@]}" &
for _ in $(seq 120); do
  "${ray[@]}" status > /dev/null 2>&1 && break
  sleep 1
done
if [ ${#nodes[@]} -gt 1 ]; then
  srun --overlap --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --exclude="$head" \\
    "${ray[@]}" start --address="$RAY_ADDRESS" "${common[@]}" &
fi

# Before the limit, and when the job is preempted, every trial saves its state; the same job goes on from there.
again=
"$python" -m sweeper @STUDY@ &
study=$!
trap 'again=yes; kill -TERM "$study" 2> /dev/null' USR1 TERM
wait "$study"
code=$?
while kill -0 "$study" 2> /dev/null; do
  wait "$study"
  code=$?
done
"${ray[@]}" stop > /dev/null 2>&1
if [ -n "$again" ] && [ "$code" -eq 130 ]; then
  echo "sweeper: the study has saved its trials; the job is queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def batch_file(values: Mapping[str, str], study: Sequence[str]) -> str:
    """The file, for a `study` of these overrides.

    Raises:
        ConfigError: a value is none that Slurm takes.
    """
    gpus, cpus = number_of(values, "gpus", 1, 0), number_of(values, "cpus", 0, 0)
    name, limit = word_of(values, "name", "sweeper"), values.get("time", "04:00:00")
    if not _TIME.fullmatch(limit):
        raise ConfigError([f"time must be minutes, hours:minutes:seconds or days-hours:…, got {limit}"])
    options = {
        "job-name": name,
        "nodes": str(number_of(values, "nodes", 1)),
        "ntasks-per-node": "1",
        **({"gpus-per-node": str(gpus)} if gpus else {}),
        **({"cpus-per-task": str(cpus)} if cpus else {}),
        "time": limit,
        **{each: word for each in _AS_IN_SBATCH if (word := word_of(values, each))},
        "signal": f"B:USR1@{number_of(values, 'warn', 300)}",
        "open-mode": "append",
        "output": f"{name}-%j.log",
    }
    lines = [f"#SBATCH --{option}={value}" for option, value in options.items()]
    resources = " ".join([f"--num-gpus={gpus}", *([f"--num-cpus={cpus}"] if cpus else [])])
    body = _BODY.replace("@PYTHON@", word_of(values, "python", "python3")).replace("@RESOURCES@", resources)
    body = body.replace("@STUDY@", " ".join(map(shlex.quote, study)))
    return "\n".join(["#!/bin/bash", *lines, "#SBATCH --requeue", "", body])
