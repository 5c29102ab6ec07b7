"""`sweeper cluster slurm …` and `sweeper cluster kubernetes …`: a batch file or a manifest for a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from foundation.command import run_with_usage
from foundation.config.keyed import quoted_home, read_keyed
from foundation.console import say
from foundation.errors import ConfigError
from sweeper.cluster import kubernetes, slurm
from sweeper.search.space import plan

USAGE: Final = """\
sweeper cluster slurm [nodes=1] [gpus=1] [time=04:00:00] [KEY=VALUE …] STUDY…        a batch file for sbatch
sweeper cluster kubernetes image=NAME [nodes=1] [gpus=1] [KEY=VALUE …] STUDY…        a RayJob manifest (KubeRay)
sweeper cluster container                                                            a Containerfile for the image

  STUDY        what the study is told, as after `sweeper`: +experiment=pencil study.name=… data.path=…
  nodes=       machines (default: 1)
  gpus=        of each machine (default: 1); 0 trains on its cores
  cpus=        cores of each machine (default: what the cluster gives)

slurm:
  time=        limit of the allocation; the study saves before it, is queued again and goes on (default: 04:00:00)
  partition=, account=, qos=, constraint=, mem=    as sbatch has them
  warn=        seconds before the limit at which the study saves (default: 300)
  python=      what has sweeper and Ray on every machine (default: python3, of the shell that submits)

kubernetes:
  image=       with sweeper and Ray in it (`sweeper cluster container`)
  most=        machines at most, where the cluster grows (default: nodes)
  memory=      of each machine (default: 32Gi)
  claim=       a PersistentVolumeClaim for study.folder; without it the study ends with its pod

  sweeper cluster slurm nodes=4 gpus=8 partition=gpu +experiment=pencil > study.sbatch && sbatch study.sbatch
  sweeper cluster kubernetes image=registry/me/sweeper nodes=2 claim=studies +experiment=pencil | kubectl apply -f -"""
_WRITERS: Final[Mapping[str, tuple[Sequence[str], Callable[[Mapping[str, str], Sequence[str]], str]]]] = {
    "slurm": (slurm.KEYS, slurm.batch_file),
    "kubernetes": (kubernetes.KEYS, kubernetes.manifest),
}
KEYS: Final = (*dict.fromkeys((*slurm.KEYS, *kubernetes.KEYS)),)


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: say(text_for(arguments).rstrip("\n")), arguments, needs_arguments=True)


def text_for(arguments: Sequence[str]) -> str:
    """The file that is wanted.

    Raises:
        ConfigError: one line for each mistake, also of the study's.
    """
    kind, *rest = arguments
    if kind == "container" and not rest:
        return kubernetes.CONTAINERFILE
    if kind not in _WRITERS:
        raise ConfigError([f"sweeper cluster writes for {', '.join(_WRITERS)} or container, got {' '.join(arguments)}"])
    keys, write = _WRITERS[kind]
    own = [each for each in rest if each.partition("=")[0] in keys]
    study = [quoted_home(each) for each in rest if each not in own]
    values, problems = read_keyed(own, keys, ())
    if problems:
        raise ConfigError(problems)
    if not study:
        raise ConfigError(["there is no study to run; name one as after `sweeper`, such as +experiment=pencil"])
    if not any(each.partition("=")[0] == "launcher" for each in study):
        study = [*study, "launcher=ray", "launcher.address=auto"]
    plan(study)  # its mistakes are said now, not after hours in a queue
    return write(values, study)
