"""What `sweeper export` does once it is understood: a LoRA of a study as the files that other programs take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from eval.strength import AS_TRAINED
from foundation.adapters.exports import (
    FILE_FORMATS,
    About,
    SavedAdapter,
    about_of,
    file_title,
    read_adapter,
    readers_of,
    takes_base,
    write_format,
    write_full,
)
from foundation.adapters.files import adapter_files
from foundation.errors import AdapterError, ConfigError, UserError
from foundation.files.documents import read_mapping
from foundation.files.durable import new_folder
from foundation.files.sums import SUMS, damage_of
from foundation.json_output import give
from sweeper.export_request import FULL, MERGED
from sweeper.results.bases import layers_of_base, open_base, open_parts_of_base
from sweeper.results.file_names import CONFIG_FILE, SCORES

_TRIAL_CONFIGS: Final = (CONFIG_FILE, "config.json")
"""A trial's config as a study writes it, and as `sweeper train` does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A LoRA, and what lies beside it."""

    path: Path
    """The file, or its folder."""
    config: Mapping[str, Any]
    """The trial's; empty where it is not to be found."""
    strength: float
    """The study's choice; as trained where it made none."""

    @property
    def title(self) -> str:
        """What it is called."""
        study = (self.config.get("study") or {}).get("name")
        return str(study or (self.path.stem if self.path.is_file() else self.path.resolve().name))


def export(target: str, formats: Sequence[str], keys: Mapping[str, str]) -> list[str]:
    """Write what `sweeper.export_request.parse` has read, whole or not at all; a line for each thing written.

    Raises:
        UserError: a key, the LoRA or the base are wrong.
    """
    source = source_of(target, Path(keys.get("folder", "multirun")))
    default = source.path.with_suffix("") if source.path.is_file() else source.path
    out = Path(keys.get("out") or f"{default}-export")
    if out.exists():
        raise ConfigError([f"out {out} exists already; name a new folder, nothing is overwritten"])
    title = file_title(keys.get("title", source.title))
    strength = _strength(keys["strength"]) if "strength" in keys else source.strength
    adapter = read_adapter(source.path)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = about_of(source.config, title=title, date=now)
    lines, files = [], {}
    wanted = formats or list(FILE_FORMATS)
    with new_folder(out) as fresh:
        for name in wanted:
            try:
                place = fresh / MERGED if name == MERGED and len(wanted) > 1 else fresh
                written, words = _write(name, source, adapter, place, about, keys.get("base"), strength)
            except UserError as error:
                if formats:
                    raise
                lines.append(f"{name}: not written: {error}")  # nobody named this one
            else:
                files[name] = out / written.relative_to(fresh)
                lines.append(f"{name}: {files[name]} {words}")
    give(folder=out, files=files, strength=strength)
    return lines


def _write(
    name: str, source: Source, adapter: SavedAdapter, folder: Path, about: About, base: str | None, strength: float
) -> tuple[Path, str]:
    """Write one format into a folder: what was written, and what to say of it."""
    if name == MERGED:
        _write_merged(source, base, strength, folder)
        return folder, f"at strength {strength:g}, for DiffusionPipeline.from_pretrained"
    if name == FULL:
        written = _write_full(source, adapter, base, folder, about)
        size = f"{written.stat().st_size / 2**20:.0f} MiB, "
    else:
        layers = layers_of_base(adapter, source.config, base) if takes_base(name, adapter) else None
        written = write_format(name, adapter, folder, about, layers)
        size = ""
    return written, f"{size}{readers_of(name, adapter, about)}"


def _strength(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError([f"strength must be a number, got {text!r}"]) from error


def source_of(target: str, studies: Path) -> Source:
    """Where a LoRA is: a file, its folder, a study's folder, or a study by its name.

    Raises:
        UserError: there is none, or what lies beside it is damaged.
    """
    given = Path(target)
    places = [given, given / "best", studies / target / "best"]
    path = next((each for each in places if _holds_adapter(each)), None)
    if path is None:
        raise AdapterError(
            f"there is no LoRA in {given} and no study {target} with a best one in {studies}/; name a study, a LoRA's "
            "folder, or a file"
        )
    folder = path.parent if path.is_file() else path
    scores = _read(folder / SCORES) if (folder / SCORES).is_file() else {}
    return Source(path=path, config=_config(folder.resolve()), strength=float(scores.get("strength", AS_TRAINED)))


def _holds_adapter(path: Path) -> bool:
    try:
        return path.is_file() or bool(adapter_files(path))
    except AdapterError:
        return False


def _config(folder: Path) -> dict[str, Any]:
    """The config beside a LoRA, or of the trial whose checkpoint it is."""
    for place in (folder, folder.parent, folder.parent.parent):
        for name in _TRIAL_CONFIGS:
            if (place / name).is_file():
                return _read(place / name)
    return {}


def _read(file: Path) -> dict[str, Any]:
    if words := damage_of(file):
        raise ConfigError([f"{words}; run its study again, or, if you changed it yourself, delete {SUMS}"])
    return read_mapping(file)


def _write_merged(source: Source, base: str | None, strength: float, folder: Path) -> None:
    pipe = open_base(source.config, base)
    from foundation.adapters.merge.pipeline import merge_all
    from foundation.bases.saving import save_pipeline  # these load diffusers, which takes seconds

    merge_all(pipe, [(read_adapter(source.path), strength)])
    save_pipeline(pipe, folder)


def _write_full(source: Source, adapter: SavedAdapter, base: str | None, folder: Path, about: About) -> Path:
    pipe = open_parts_of_base(adapter, source.config, base)
    from foundation.adapters.merge.difference import weight_differences  # loads diffusers, which takes seconds

    return write_full(adapter, weight_differences(pipe, adapter), folder, about)
