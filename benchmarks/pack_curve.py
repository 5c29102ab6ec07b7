"""`python -m benchmarks.pack_curve`: trials · steps per second at growing K, beside solo training, in one run.

All ways take turns, round after round, so that whatever else the machine does meets all of them alike; the fastest
round of each counts. The floor is what a pass's floating-point operations take at the rate of a large matrix product.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from foundation.quiet import quiet_libraries

quiet_libraries()

from benchmarks.baselines import StockTrial, solo  # noqa: E402
from benchmarks.setting import BASES, RANK, Setting, setting, trial  # noqa: E402
from train.pack import Pack  # noqa: E402
from train.spec import Lasting  # noqa: E402


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pack_curve", description=__doc__)
    parser.add_argument("--base", choices=BASES, default="pocket")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compiled", action="store_true", help="also time solo runs and packs under torch.compile")
    parser.add_argument("--graphs", action="store_true", help="also time packs replayed from CUDA graphs")
    parser.add_argument("--processor", action="store_true", help="processor time, for one thread of a busy machine")
    parser.add_argument("--stock-steps", type=int, default=50, help="steps of the stock script's trial, 0 for none")
    arguments = parser.parse_args(given)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{_machine(device)}, torch {torch.__version__}, commit {_commit()}\n")
    with setting(arguments.base, device) as where:
        for batch in arguments.batch:
            _curve(where, arguments, batch)


def _curve(where: Setting, arguments: argparse.Namespace, batch: int) -> None:
    clock = time.process_time if arguments.processor else time.perf_counter
    ways: dict[str, tuple[int, Callable[[], Any]]] = {"solo": (1, solo(where, batch))}
    packs: dict[str, tuple[int, Lasting | None]] = {f"pack of {k}": (k, None) for k in arguments.slots}
    if arguments.compiled:
        ways["solo, compiled"] = (1, solo(where, batch, compiled=True))
        packs |= {f"pack of {k}, compiled": (k, Lasting(rank=RANK, compiled=True)) for k in arguments.slots}
    if arguments.graphs:
        packs |= {f"pack of {k}, recorded": (k, Lasting(rank=RANK, recorded=True)) for k in arguments.slots}
    counts = {name: count for name, (count, _) in [*ways.items(), *packs.items()]}
    seconds = dict.fromkeys(counts, float("inf"))
    flops: dict[str, float] = {}
    for _ in range(arguments.rounds):
        for name, (_, step) in ways.items():
            seconds[name] = min(seconds[name], _seconds(step, where.device, clock))
        # One pack at a time: the adapters of others would lie in the same layers.
        for name, (k, lasting) in packs.items():
            pack = Pack(where.base, where.data, k, where.precision, lasting=lasting)  # type: ignore[arg-type]
            slots = [pack.admit(trial(batch, seed, where.precision)) for seed in range(k)]
            seconds[name] = min(seconds[name], _seconds(pack.step, where.device, clock))
            if pack.at_once < k:
                print(f"{name} does not fit into memory; {pack.at_once} share a pass\n")
            if lasting is None and name not in flops:
                with FlopCounterMode(display=False) as counter:
                    pack.step()
                flops[name] = counter.get_total_flops()
            for slot in slots:
                pack.release(slot)
    rate = _matmul_rate(where, clock)
    print(f"### {arguments.base}, batch {batch}\n")
    if arguments.stock_steps:
        took = StockTrial.over(where, batch, arguments.stock_steps).seconds()
        seconds["stock script"], counts["stock script"] = took / arguments.stock_steps, 1
    print("| way | ms a pass | trials · steps / s | against solo | floor, ms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, took in seconds.items():
        speed = counts[name] / took
        floor = f"{1e3 * flops[name] / rate:.0f}" if name in flops else ""
        print(f"| {name} | {1e3 * took:.0f} | {speed:.1f} | {speed * seconds['solo']:.2f}× | {floor} |")
    print(f"\nA large matrix product runs at {rate / 1e9:.0f} GFLOP/s here.\n", flush=True)


def _seconds(step: Callable[[], Any], device: torch.device, clock: Callable[[], float], passes: int = 5) -> float:
    """The median of a few passes, after one that warms up."""
    step()
    taken = []
    for _ in range(passes):
        _wait(device)
        began = clock()
        step()
        _wait(device)
        taken.append(clock() - began)
    return sorted(taken)[len(taken) // 2]


def _matmul_rate(where: Setting, clock: Callable[[], float]) -> float:
    """FLOP/s of a product of two square matrices, in the numbers that the base computes in."""
    dtype = torch.bfloat16 if where.precision == "bf16" else torch.float32
    side = 8192 if where.device.type == "cuda" else 1536
    a = torch.randn(side, side, device=where.device, dtype=dtype)
    return 2 * side**3 / min(_seconds(lambda: a @ a, where.device, clock) for _ in range(3))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def _commit() -> str:
    command: Sequence[str] = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
