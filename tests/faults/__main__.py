"""`python -m tests.faults [kills=150] [full=30] [seed=0] [keep=FOLDER]`: disturb simulated studies, and compare.

So many kills at a write, two of three in a database; one of five studies is killed again when it is resumed, one of
eight loses its worker. Then studies whose disk is full from some write on. Each is run again until it ends, and held
against one that nothing disturbed. Exit code 1 when any differs.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.faults.injection import FOREVER, Fault, Process, build


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    given = dict(argument.split("=", 1) for argument in arguments)
    if unknown := given.keys() - {"kills", "full", "seed", "keep"}:
        print(__doc__, f"unknown: {', '.join(sorted(unknown))}", sep="\n")
        return 2
    if "LD_PRELOAD" not in os.environ:
        library = build()
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "tests.faults", *arguments], environment)
    kills, full, seed = (int(given.get(name, usual)) for name, usual in (("kills", 150), ("full", 30), ("seed", 0)))
    return _strikes(kills, full, seed, given.get("keep"))


def _strikes(kills: int, full: int, seed: int, keep: str | None) -> int:
    from tests.faults.kills import STUDIES, strike, undisturbed

    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    calm = {kind: undisturbed(folder, kind) for kind in STUDIES}
    for kind, each in calm.items():
        print(f"writes, syncs, renames and deletions of an undisturbed study, trials {kind}:", each.changes, flush=True)
    chance = random.Random(seed)
    table: Counter[tuple[str, str, bool]] = Counter()
    number = struck = 0
    while struck < kills + full:
        kind, what = chance.choice(list(STUDIES)), "kills" if struck < kills else "full disk"
        faults = (_kills if struck < kills else _full_disk)(chance, calm[kind].changes)
        result = strike(folder, kind, faults, calm[kind].outcome)
        number, struck = number + 1, struck + len(result.struck)
        for file in result.struck:
            table[what, _place(file), not result.problems] += 1
        told = "; ".join(map(str, faults)) + f" ({', '.join(result.struck) or 'never came so far'})"
        print(f"{struck}/{kills + full} {kind}, {told}:", "; ".join(result.problems) or "as undisturbed", flush=True)
        if result.problems and keep:
            shutil.copytree(folder / "studies", Path(keep) / str(number), dirs_exist_ok=True)
            shutil.copy(folder / "studies.log", Path(keep) / f"{number}.log")
    shutil.rmtree(folder)
    print(f"{struck} faults in {number} studies")
    for (what, place, fine), times in sorted(table.items()):
        print(f"{what:10} {place:26} {'as undisturbed' if fine else 'different':15} {times}")
    return int(any(not fine for _, _, fine in table))


def _kills(chance: random.Random, changes: Mapping[str, int]) -> list[Fault]:
    from tests.faults.kills import WEIGHTS, WORKER

    def fault(part: str, until: int) -> Fault:
        return Fault(
            at=chance.randrange(1, until + 1),
            part="" if part == WORKER else part,
            process="worker" if part == WORKER else "supervisor",
            mode=chance.choice(("kill", "tear")),
        )

    first, again = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=2)
    faults = [fault(first, changes[first])]
    if chance.random() < 0.2 and first != WORKER:  # a worker's death does not end the run
        faults.append(fault(again, max(1, changes[again] // 2)))  # the rest of a study writes less
    return faults


def _full_disk(chance: random.Random, changes: Mapping[str, int]) -> list[Fault]:
    from tests.faults.kills import IN_THE_MAKING, WORKER

    of_worker = chance.random() < 0.3
    parts = {WORKER} if of_worker else changes.keys() - {WORKER, IN_THE_MAKING}  # its databases are there
    until = sum(changes[part] for part in parts)
    process: Process = "worker" if of_worker else "supervisor"
    return [Fault(at=chance.randrange(1, until + 1), process=process, mode="fail", times=FOREVER)]


def _place(file: str) -> str:
    """What a file that was struck belongs to."""
    top, _, rest = file.partition("/")
    database = next((name for name in ("studies.db", "mlflow.db") if name in top), None)
    if database is None:
        return rest and f"{top}/"
    return f"{database}, in the making" if top.startswith(".") else f"{database}{'-journal' if '-' in top else ''}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
