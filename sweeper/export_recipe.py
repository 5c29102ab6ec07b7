"""What `sweeper export recipe=TRAINER` does: a trial's settings as another trainer's config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foundation.adapters.exports import file_title
from foundation.errors import ConfigError
from foundation.files.documents import read_mapping
from foundation.files.durable import new_folder, write_text
from foundation.json_output import give
from sweeper.export_files import Source, source_of
from sweeper.results.file_names import SCORES
from sweeper.trainers.bases import EMBEDDED
from sweeper.trainers.differences import differences, read_again, trial_of, write
from sweeper.trainers.port import Ours
from sweeper.trainers.registry import TRAINERS


def export_recipe(target: str, keys: Mapping[str, str]) -> list[str]:
    """Write what `sweeper.export_request.parse` has read, whole or not at all; what is said of it.

    Raises:
        UserError: a key or the LoRA is wrong, or no config lies beside it.
    """
    trainer = TRAINERS[keys["recipe"]]
    source = source_of(target, Path(keys.get("folder", "multirun")))
    if not source.config:
        raise ConfigError([f"there is no config beside {source.path}; name a study, or a checkpoint that one trained"])
    default = source.path.with_suffix("") if source.path.is_file() else source.path
    out = Path(keys.get("out") or f"{default}-{trainer.name}")
    if out.exists():
        raise ConfigError([f"out {out} exists already; name a new folder, nothing is overwritten"])
    title = file_title(keys.get("title", source.title))
    trial = trial_of(source.config)
    files = write(trainer, trial, title)
    again = read_again(trainer, files)
    with new_folder(out) as fresh:
        for name, text in files.items():
            write_text(fresh / name, text)
    give(folder=out, files=[out / name for name in files])
    return [
        *(f"{trainer.name}: {out / name}" for name in files),
        *(f"differs: {line}" for line in differences(trial, again)),
        *(f"note: {remark}" for remark in (*_of_the_winner(source, trial), *trainer.remarks, *again.remarks)),
    ]


def _of_the_winner(source: Source, trial: Ours) -> Iterator[str]:
    """What no config says: how far it was trained, how strong it is used, and what it was trained on."""
    folder = source.path.parent if source.path.is_file() else source.path
    scores: dict[str, Any] = read_mapping(folder / SCORES) if (folder / SCORES).is_file() else {}
    if step := scores.get("step"):
        yield f"this is its checkpoint of step {step}; the config trains on to the end"
    if source.strength != 1:
        yield f"the study chose strength {source.strength:g} for it"
    if trial["base.path"] == EMBEDDED:
        yield "the embedded base is for this project alone; the config names what it is built as"
    if trial["data.path"] is None:
        yield "its pictures were drawn; name a folder of yours in the config"
