"""What `sweeper train` does once its config is understood: one LoRA, without a study and without a judge."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

from foundation.adapters.files import WEIGHTS_FILE
from foundation.bases.registry import load_base
from foundation.console import say
from foundation.data.dataset import load_dataset, with_folders
from foundation.data.tokens import words_on_cut
from foundation.devices import best_device
from foundation.files.durable import append_line, write_json
from foundation.json_output import give
from train.attention import set_attention
from train.caches import encode_dataset
from train.drawn import with_drawn_folder
from train.objective import check_objectives
from train.pack import Pack
from train.regularization import with_regularization
from train.reports import StepReport
from train.spec import TrainingRun
from train.spec.adapter_kinds import ADAPTER_KINDS

_READ_EVERY = 10
"""Steps between two readings of the losses."""


def train(run: TrainingRun, out: Path | None) -> int:
    """Train into `out`, or into the next free folder of `multirun/train`; 0, or 1 when the training failed.

    Raises:
        UserError: the base or the pictures cannot be used.
    """
    cache = Path("multirun/cache")
    dataset = load_dataset(with_folders(with_drawn_folder(run.data, cache), cache))
    say(*dataset.notes(run.base.resolution))
    counts, settings = dataset.counts(run.base.resolution), run.trial.train
    say(settings.epoch_of(counts))
    run = replace(run, trial=replace(run.trial, train=settings.for_images(counts)))
    device = best_device()
    base = load_base(run.base, device, run.trial.train.precision)
    check_objectives([run.trial.objective], base.process.prediction_type)
    dataset = with_regularization(dataset, run.data, base, cache)
    captions, train = dataset.captions, run.trial.train
    say(*words_on_cut(base.num_cut(captions), len(captions), base.caption_tokens))
    set_attention(base, train)
    data = encode_dataset(base, dataset, cache, [run.trial.objective])
    pack = Pack(base, data, 1, train.precision, train.activation_checkpointing, run.trial.lasting, _READ_EVERY)
    slot = pack.admit(run.trial)
    out = out or _next_folder(Path("multirun/train"), run.data.name)
    write_json(out / "config.json", dataclasses.asdict(run))
    say(f"{len(dataset.train)} pictures, {train.last_step} steps on {device}, into {out}")
    while not pack.is_finished(slot):
        for report in pack.step():
            if report.failure is not None:
                say(f"failed: {report.failure}")
                return 1
            _log(report, train.last_step, out)
    pack.save_adapter(slot, out / "lora")
    file, use = out / "lora" / WEIGHTS_FILE, f"pipe.load_lora_weights({str(out / 'lora')!r})"
    if not ADAPTER_KINDS[run.trial.adapter.name].as_lora:
        use = f"foundation.adapters.files.put_on(pipe, Path({str(file)!r}), 'mine')"
    give(folder=out, file=file, step=train.last_step)
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
