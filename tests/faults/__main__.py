"""`python -m tests.faults [kills=150] [seed=0] [keep=FOLDER]`: kill a simulated study at so many writes, and compare.

Half of the faults strike a database. Each struck study is run again until it ends, and held against one that nothing
disturbed. Exit code 1 when any differs.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.injection import Fault, build


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    given = dict(argument.split("=", 1) for argument in arguments)
    if unknown := given.keys() - {"kills", "seed", "keep"}:
        print(__doc__, f"unknown: {', '.join(sorted(unknown))}", sep="\n")
        return 2
    if "LD_PRELOAD" not in os.environ:
        library = build()
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "tests.faults", *arguments], environment)
    return _strikes(int(given.get("kills", "150")), int(given.get("seed", "0")), given.get("keep"))


def _strikes(kills: int, seed: int, keep: str | None) -> int:
    from tests.faults.kills import PARTS, strike, undisturbed

    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    expected, counts = undisturbed(folder)
    print("writes, syncs, renames and deletions of an undisturbed study:", counts, flush=True)
    chance = random.Random(seed)
    table: Counter[tuple[str, str, bool]] = Counter()
    for number in range(kills):
        part = chance.choice(("", *PARTS))
        fault = Fault(at=chance.randrange(1, counts[part] + 1), part=part, mode=chance.choice(("kill", "tear")))
        result = strike(folder, fault, expected)
        table[fault.mode, part or "any file", not result.problems] += 1
        print(f"{number + 1}/{kills} {fault}:", "; ".join(result.problems) or "as undisturbed", flush=True)
        if result.problems and keep:
            shutil.copytree(folder / "struck", Path(keep) / str(number), dirs_exist_ok=True)
            shutil.copy(folder / "struck.log", Path(keep) / f"{number}.log")
    shutil.rmtree(folder)
    for (mode, part, fine), times in sorted(table.items()):
        print(f"{mode:5} {part:12} {'as undisturbed' if fine else 'different':15} {times}")
    return int(any(not fine for _, _, fine in table))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
