"""How well `forecast=true` foretells memory, and what fits which card: the tables of docs/memory.md.

    python -m benchmarks.memory errors [base=pocket] [resolution=64] [batch=4] [rows=32] [precision=fp32] [slots=1,4]
    python -m benchmarks.memory cards [bases=sd15,sdxl,…]

`errors` trains, draws and encodes on the CPU with a base, by its folder, in a process of its own for each number of
slots, and holds the most memory that was resident (VmHWM, Linux) against what was foretold. `cards` computes what each
base takes by its architecture, and which settings and how many trials at once fit cards of several sizes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

import torch

from foundation.quiet import quiet_libraries

quiet_libraries()

from benchmarks.architectures import ARCHITECTURES  # noqa: E402
from foundation.bases.loading import family_of  # noqa: E402
from foundation.bases.memory import latent_shape  # noqa: E402
from foundation.bases.port import Base  # noqa: E402
from foundation.bases.registry import load_base  # noqa: E402
from foundation.bases.unloaded import architecture_of  # noqa: E402
from foundation.config.keyed import quote  # noqa: E402
from foundation.console import say  # noqa: E402
from sweeper.forecast.memory import Memory, memories_of, memory_of  # noqa: E402
from sweeper.records.config import Config  # noqa: E402
from sweeper.search.space import plan  # noqa: E402
from sweeper.worker.meter import Meter  # noqa: E402
from train.caches import Encoded, EncodedDataset  # noqa: E402
from train.capacity import MEMORY_LIMIT  # noqa: E402
from train.memory import state_per_number  # noqa: E402
from train.pack import Pack  # noqa: E402

CARDS: Final = (8, 12, 16, 24, 48, 80)
"""GiB."""
_MOST: Final = 8
_PASSES: Final = 2
_ADAPTER: Final = ("optimizer=adamw", "adapter.rank=16", "adapter.targets=attention+ff")


SETTINGS: Final[Sequence[Mapping[str, str]]] = (
    {},
    {"offload": "model"},
    {"offload": "model", "quantization": "int8"},
    {"offload": "model", "quantization": "nf4"},
    {"offload": "blocks"},
    {"offload": "blocks", "quantization": "int8"},
)
"""Of `base`, from the fastest to what takes the least memory."""


def main(arguments: Sequence[str]) -> None:
    """Print a table in Markdown."""
    what, given = arguments[0], dict(each.split("=", 1) for each in arguments[1:])
    if what == "errors":
        for line in errors(given):
            say(line)
    elif what == "cards":
        for line in cards(given.get("bases", ",".join(ARCHITECTURES)).split(",")):
            say(line)
    else:
        measure(given)


def errors(given: Mapping[str, str]) -> Iterator[str]:
    """A row for each number of slots, and each of what is done with them."""
    config = _config(given)
    memory = _memory(config)
    name = given.get("base", "pocket").rpartition("/")[2]
    where = f"{name} at {config.base.resolution}², {config.train.precision}, batch {config.train.batch_size}"
    for slots in map(int, given.get("slots", "1,4").split(",")):
        foretold = {"training": memory.training_peak(slots), "judging": memory.judging_peak(slots)}
        for work, size in {**foretold, "encoding": memory.encoding_peak}.items():
            arguments = [f"{key}={value}" for key, value in {**given, "slots": slots, "work": work}.items()]
            command = [sys.executable, "-m", "benchmarks.memory", "measure", *arguments]
            seen = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            error = f"{100 * (size / seen - 1):+.0f} %"
            yield f"| {where} | {work} | {slots} | {size / 1e9:.2f} | {seen / 1e9:.2f} | {error} |"


def measure(given: Mapping[str, str]) -> None:
    """In a process of its own: print what was resident at the most, in bytes, while this `work` was done."""
    config, slots, work = _config(given), int(given["slots"]), given["work"]
    base = load_base(config.base, torch.device("cpu"), config.train.precision)
    with Meter(torch.device("cpu")).measure() as costs:
        if work == "encoding":
            base.encode_images(torch.zeros(16, 3, config.base.resolution, config.base.resolution))
        else:
            _train_or_judge(config, base, slots, work)
    say(f"{1e9 * costs[0].gigabytes:.0f}")


def _train_or_judge(config: Config, base: Base, slots: int, work: str) -> None:
    shape, text = latent_shape(base), base.text_shape
    means = torch.randn(8, *shape)
    tokens = torch.zeros(8, text[0], dtype=torch.int64)
    part = Encoded(means, torch.ones_like(means), torch.randn(8, *text), tokens, ("a",) * 8)
    data = EncodedDataset(part, part, part.embeddings[:1], tokens[:1])
    pack = Pack(base, data, slots, config.train.precision, config.train.activation_checkpointing)
    for _ in range(slots):
        pack.admit(config.trial)
    for _ in range(_PASSES if work == "training" else 0):
        pack.step()
    pictures = slots * max(1, config.eval.batch_rows // (2 * slots))
    with pack.acting(range(slots)) if work == "judging" else nullcontext() as acting:
        if acting is not None:
            rows = 2 * pictures
            acting.predict(torch.randn(rows, *shape), torch.zeros(rows), torch.randn(rows, *text))
            acting.decode_images(torch.randn(pictures, *shape))


def cards(names: Sequence[str]) -> Iterator[str]:
    """A row for each base: for each card the first setting with which a trial fits, and how many do."""
    yield f"| base | {' | '.join(f'{size} GB' for size in CARDS)} |"
    yield f"| --- |{' --- |' * len(CARDS)}"
    for name in names:
        overrides = [
            f"base={name}",
            "train.precision=bf16",
            "train.batch_size=1",
            "train.activation_checkpointing=true",
            "eval.sampler=own",
        ]
        config = plan(["+experiment=pencil", *overrides, *_ADAPTER]).config
        family = "stable_diffusion" if config.base.family == "auto" else config.base.family
        bases = [replace(config.base, **setting) for setting in SETTINGS]  # type: ignore[arg-type]
        kept = state_per_number(config.optimizer)
        known = memories_of(config, config.trial, kept, family, ARCHITECTURES[name], "cuda", bases)
        cells = [_cell(known, size * 2**30) for size in CARDS]
        yield f"| {name}, {config.base.resolution}² | {' | '.join(cells)} |"


def _cell(known: Sequence[Memory], total: int) -> str:
    for setting, memory in zip(SETTINGS, known, strict=True):
        slots = memory.slots_in(total, _MOST)
        rows = memory.rows_in(total, slots) if slots else 0
        if rows and memory.encoding_peak <= MEMORY_LIMIT * total:
            words = " ".join(setting.values()) or "all there"
            return f"{words}: **{slots}**, {memory.training_peak(slots) / 2**30:.1f} GB; rows {rows}"
    return "–"


def _config(given: Mapping[str, str]) -> Config:
    overrides = {
        "base.path": quote(given.get("base", "pocket")),
        "base.resolution": given.get("resolution", "64"),
        "train.batch_size": given.get("batch", "4"),
        "eval.batch_rows": given.get("rows", "32"),
        "train.precision": given.get("precision", "fp32"),
    }
    return plan(["+experiment=pencil", *_ADAPTER, *(f"{key}={value}" for key, value in overrides.items())]).config


def _memory(config: Config) -> Memory:
    """Of a base that is here, on the CPU."""
    kept = state_per_number(config.optimizer)
    return memory_of(config, config.trial, kept, family_of(config.base), architecture_of(config.base), "cpu")


if __name__ == "__main__":
    main(sys.argv[1:])
