"""What `python -m train` does: train one LoRA, without a study and without a judge."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from foundation.adapter_files import WEIGHTS_FILE
from foundation.compose import chosen, compose, options
from foundation.console import complain, say
from foundation.data.dataset import load_dataset, with_folders
from foundation.durable import append_line, write_json
from foundation.errors import SAID, ConfigError
from foundation.home import at_home
from foundation.parse import parse
from foundation.tokens import words_on_cut
from train.attention import set_attention
from train.bases import load_base
from train.caches import encode_dataset
from train.drawn import with_drawn_folder
from train.objective import check_objectives
from train.pack import Pack
from train.regularization import with_regularization
from train.reports import StepReport
from train.spec import BaseSpec, DataSpec, TrialSpec, check_attention, check_installed, check_quantized
from train.spec.adapter_kinds import KINDS

_TRIAL_GROUPS = tuple(field.name for field in dataclasses.fields(TrialSpec))
_READ_EVERY = 10
"""Steps between two readings of the losses."""
USAGE = """\
python -m train [+experiment=NAME] [group=option] [path=value …] [out=FOLDER]   train one LoRA

  python -m train +experiment=pencil adapter.rank=8 out=multirun/one
  python -m train data.path=my/pictures optimizer=lion train.steps=400

out= is a new folder; default multirun/train/<data name>-<number>. It gets the LoRA as diffusers loads it,
the configuration, and the loss of every step. Searching and judging is `python -m sweeper`.

Groups and their options, the default first; every field with its meaning and default is in docs/reference.md:"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """What this command reads of the config."""

    base: BaseSpec
    data: DataSpec
    trial: TrialSpec


def main(arguments: list[str]) -> int:
    """Train as told; 0, or 2 after one clear line about bad input, or 1 when the training failed."""
    if {"-h", "--help"} & set(arguments):
        say(USAGE, *_groups())
        return 0
    try:
        run, out = _parse(arguments)
        return _train(run, out)
    except SAID as error:
        complain(error)
        return 2


def _groups() -> Iterator[str]:
    """A line for each group that this command reads: its options, the default first."""
    names = ("base", "data", *_TRIAL_GROUPS, "experiment")
    for name in names:
        default = chosen(name)
        others = [option for option in options(name) if option != default]
        yield f"  {name:<13}{', '.join([default, *others] if default else others)}"


def _parse(arguments: list[str]) -> tuple[_Run, Path | None]:
    outs = [_unquoted(argument.removeprefix("out=")) for argument in arguments if argument.startswith("out=")]
    config = compose([argument for argument in arguments if not argument.startswith("out=")])
    trial = {group: _without_space(config[group]) for group in _TRIAL_GROUPS}
    run = parse(_Run, {"base": config["base"], "data": config["data"], "trial": trial})
    check_installed(run.trial.optimizer)
    check_attention(run.trial.train)
    check_quantized(run.base, [run.trial.adapter])
    out = Path(at_home(outs[-1])) if outs else None
    if out is not None and out.exists():
        raise ConfigError([f"out {out} exists already; name a new folder, nothing is overwritten"])
    return run, out


def _unquoted(path: str) -> str:
    """A path as it is, or in quotes as Hydra takes the other values."""
    quote = path[:1]
    is_quoted = quote in ("'", '"') and len(path) > 1 and path.endswith(quote)
    return path[1:-1].replace(f"\\{quote}", quote) if is_quoted else path


def _without_space(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "space"}


def _train(run: _Run, out: Path | None) -> int:
    cache = Path("multirun/cache")
    dataset = load_dataset(with_folders(with_drawn_folder(run.data, cache), cache))
    say(*dataset.notes(run.base.resolution))
    counts, asked = dataset.counts(run.base.resolution), run.trial.train
    say(asked.epoch_of(counts))
    run = replace(run, trial=replace(run.trial, train=asked.for_images(counts)))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = load_base(run.base, device, run.trial.train.precision)
    check_objectives([run.trial.objective], base.process.prediction_type)
    dataset = with_regularization(dataset, run.data, base, cache)
    captions, train = dataset.captions, run.trial.train
    say(*words_on_cut(base.num_cut(captions), len(captions), base.caption_tokens))
    set_attention(base, train)
    data = encode_dataset(base, dataset, cache)
    pack = Pack(base, data, 1, train.precision, train.activation_checkpointing, run.trial.lasting, _READ_EVERY)
    slot = pack.admit(run.trial)
    out = out or _next_folder(Path("multirun/train"), run.data.name)
    write_json(out / "config.json", dataclasses.asdict(run))
    say(f"{len(dataset.train)} pictures, {train.num_steps} steps on {device}, into {out}")
    while not pack.finished(slot):
        for report in pack.step():
            if report.failure is not None:
                say(f"failed: {report.failure}")
                return 1
            _log(report, train.num_steps, out)
    pack.save_adapter(slot, out / "lora")
    file, use = out / "lora" / WEIGHTS_FILE, f"pipe.load_lora_weights({str(out / 'lora')!r})"
    if not KINDS[run.trial.adapter.name].as_lora:
        use = f"foundation.adapter_files.put_on(pipe, Path({str(file)!r}), 'mine')"
    say(f"done: {file}", f"use it: {use}")
    return 0


def _log(report: StepReport, num_steps: int, out: Path) -> None:
    values = {"step": report.step, "loss": report.loss, "lr": report.lr, "grad_norm": report.grad_norm}
    append_line(out / "steps.jsonl", json.dumps(values))
    if report.step % 20 == 0 or report.step == num_steps:
        say(f"step {report.step}/{num_steps}  loss {report.loss:.4f}  lr {report.lr:.3g}")


def _next_folder(parent: Path, name: str) -> Path:
    number = 1
    while (folder := parent / f"{name}-{number}").exists():
        number += 1
    return folder
