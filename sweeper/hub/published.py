"""What is published of a study's best, as plain data: read from `best/`, and from what its trial drew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from eval.evaluation import Evaluation
from eval.prompts import with_trigger
from foundation.bases.folder import EMBEDDED
from foundation.config.parse import parse as parse_as
from foundation.data.dataset import Dataset, load_dataset
from foundation.data.spec import DataSpec
from foundation.errors import ConfigError, UserError
from foundation.files.documents import read_mapping
from foundation.hub import is_hub_id
from sweeper.export_files import Source
from sweeper.records.history import read_base_names
from sweeper.records.paths import trial_of
from sweeper.records.pictures import PROMPT, picture_name
from sweeper.records.trainings import Training, number_of
from sweeper.results.file_names import SCORES

SHOWN: Final = 6
"""Pictures in the gallery, one a prompt."""
_GROUPS: Final = ("adapter", "optimizer", "lr_scheduler", "objective", "train")
"""Of the config what tells how it was trained, and nothing of this machine."""
_SAMPLES: Final = "samples/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A study's best, and what its card tells."""

    study: str
    base: str
    """The base's name, without the folders of this machine."""
    base_id: str
    """Its hub id; empty where it has none."""
    family: str
    trigger: str
    kind: str
    """What was learned: style, subject, face."""
    resolution: int
    sample_steps: int
    guidance: float
    strength: float
    step: int
    evaluation: Evaluation
    """The judgement that decided."""
    training: Mapping[str, Any]
    """The settings, by group."""
    counts: Sequence[str]
    """The data set in numbers, a line each."""
    pictures: Sequence[tuple[str, Path]]
    """Prompts with a picture of each by the LoRA at its strength."""


def read_published(source: Source) -> Published:
    """Read what is published of a LoRA.

    Raises:
        UserError: it is no study's best, or its files are damaged.
    """
    best = source.path if source.path.is_dir() else source.path.parent
    if not (best / SCORES).is_file() or not source.config:
        raise ConfigError([f"hub publishes a study's best, with its scores and config; {best} has none"])
    scores, config = read_mapping(best / SCORES), source.config
    try:
        evaluation = Evaluation.from_json(scores["evaluation"])
        training, step = str(scores["training"]), int(scores["step"])
    except (KeyError, TypeError, ValueError, LookupError) as error:
        raise ConfigError([f"{best / SCORES} is not as a study writes it ({error}); run the study again"]) from error
    base, data = _group(config, "base"), _group(config, "data")
    path, trigger = str(base.get("path") or ""), str(data.get("trigger") or "")
    return Published(
        study=source.title,
        base=Path(path).name if Path(path).is_absolute() else str(base.get("name") or path),
        base_id=path if is_hub_id(path) and path not in EMBEDDED and not Path(path).exists() else "",
        family=str(base.get("family") or ""),
        trigger=trigger,
        kind=str(data.get("kind") or "style"),
        resolution=int(base.get("resolution") or 512),
        sample_steps=int(base.get("sample_steps") or 25),
        guidance=float(base.get("guidance_scale") or 5.0),
        strength=source.strength,
        step=step,
        evaluation=evaluation,
        training={name: _group(config, name) for name in _GROUPS},
        counts=list(_counts(data)),
        pictures=_pictures(best.resolve().parent, training, step, source.strength, _prompts(config, best, trigger)),
    )


def _group(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _prompts(config: Mapping[str, Any], best: Path, trigger: str) -> list[str]:
    """What finalists were drawn by; captions of the study's own where the config names no prompts."""
    judge = _group(config, "eval")
    named = judge.get("final_prompts") or judge.get("prompts") or ()
    if named:
        return [with_trigger(str(prompt), trigger) for prompt in named]
    names = [
        each.removeprefix(_SAMPLES) for each in read_base_names(best.resolve().parent) if each.startswith(_SAMPLES)
    ]
    return [name.partition(" ")[2] for name in sorted(names)]


def _pictures(study: Path, training: str, step: int, strength: float, prompts: Sequence[str]) -> list[tuple[str, Path]]:
    """Prompts with their pictures in a study's folder, of the training named so (of a refit, what it is a refit of)."""
    source = Training.of(number_of(training)).source.number
    suffix = "" if strength == 1 else f"-strength-{strength:g}"
    folder = trial_of(study, source) / "samples" / f"final-step-{step:06}{suffix}"
    files = [(prompt, folder / picture_name(PROMPT, number, 0)) for number, prompt in enumerate(prompts[:SHOWN])]
    return [(prompt, file) for prompt, file in files if file.is_file()]


def _counts(data: Mapping[str, Any]) -> Iterator[str]:
    """The data set in numbers: no picture, no caption and no name of a file."""
    if data.get("path") is None and data.get("drawn"):
        yield f"{data.get('num_train')} drawn pictures to train on, {data.get('num_validation')} held out"
        return
    try:
        dataset = load_dataset(parse_as(DataSpec, dict(data), where="data"), to_train=False)
    except (UserError, OSError):
        return  # moved or deleted since; the card says nothing of it
    yield f"{len(dataset.train)} pictures to train on, {len(dataset.validation)} held out"
    yield from _of_captions(dataset)


def _of_captions(dataset: Dataset) -> Iterator[str]:
    words = sorted(len(caption.split()) for caption in dataset.captions)
    if words:
        yield f"captions of {words[0]} to {words[-1]} words, {words[len(words) // 2]} in the middle"
