"""What `sweeper prepare` does: shows what would become of each picture, and does it with `apply=true`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from foundation.command import run_with_usage
from foundation.config.keyed import as_override
from foundation.console import say
from foundation.data.captions import Captions, read_captions
from foundation.data.images import read_rgb
from foundation.data.phrases import add_trigger
from foundation.data.prepare.request import USAGE, PrepareRequest, read_request
from foundation.data.prepare.tagger import Tagger, is_tagger
from foundation.data.sources import locate
from foundation.errors import ConfigError, DataError
from foundation.files.durable import new_folder
from foundation.json_output import give

DOCTOR: Final = "doctor"
"""The first word of the other command: what is amiss with a set."""
_CACHE: Final = Path("multirun/cache")
_SHOWN: Final = 8
"""Pictures that a preview shows, and captions for it."""
_QUALITY: Final = 95

if TYPE_CHECKING:
    from foundation.data.prepare.captioner import Captioner


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture and what becomes of it."""

    source: Path
    name: str
    before: str
    caption: str
    size: tuple[int, int]
    new_size: tuple[int, int]


def main(arguments: list[str]) -> int:
    """Run the command; 0, or 2 after one clear line about bad input."""
    if arguments[:1] == [DOCTOR]:
        from foundation.data.doctor.command import main as examine

        return examine(arguments[1:])
    return run_with_usage(USAGE, lambda: prepare(read_request(arguments)), arguments)


def prepare(request: PrepareRequest) -> None:
    """Show what becomes of the pictures; with `apply`, write all of them to `request.out`.

    Raises:
        UserError: for pictures or a model that cannot be read, or an `out` that is there or among the originals.
    """
    folder = locate(request.data, _CACHE, where="data", caption_column=request.column)
    out = Path(request.out)
    if out.exists():
        raise ConfigError([f"out {out} exists already; name a new folder, nothing is overwritten"])
    if folder.resolve() in out.resolve().parents:
        raise ConfigError([f"out {out} is inside {folder}; name a folder elsewhere, originals are not touched"])
    captions = _captions(folder, request)
    found = list(_find_pictures(folder, captions, request))
    say(*(f"data: {line}" for line in (*captions.left_out, *captions.notes)))
    shown = found if request.apply else found[:_SHOWN]
    prepared = [_tag(picture, request) for picture in _write_captions(shown, request)]
    for each in prepared[:_SHOWN]:
        say(_line(each))
    if len(found) > _SHOWN:
        say(f"… and {len(found) - _SHOWN} more")
    if not request.apply:
        say(f"{len(found)} pictures would go to {out}; nothing was written, add apply=true to do it")
        return
    _write(prepared, out)
    give(folder=out, pictures=len(prepared))
    say(f"{len(prepared)} pictures with captions are in {out}; train with {as_override('data.path', out)}")


def _captions(folder: Path, request: PrepareRequest) -> Captions:
    if not folder.is_dir():
        raise DataError(f"data {request.data} is not a folder; name a folder or an archive of images")
    return read_captions(folder, request.column, "data", allow_missing=True)


def _find_pictures(folder: Path, captions: Captions, request: PrepareRequest) -> Iterator[Prepared]:
    stems: dict[Path, str] = {}
    for entry in captions.entries:
        stem = Path(entry.name).with_suffix("")
        if stem in stems:
            raise DataError(f"data {folder}: {stems[stem]} and {entry.name} would share {stem}.txt; rename one of them")
        stems[stem] = entry.name
        size = read_rgb(folder / entry.name).size
        yield Prepared(folder / entry.name, entry.name, entry.caption, entry.caption, size, shrunk(size, request.side))


def shrunk(size: tuple[int, int], side: int | None) -> tuple[int, int]:
    """The size with its short side at most `side`, its aspect kept to the pixel."""
    short = min(size)
    if side is None or short <= side:
        return size
    return round(size[0] * side / short), round(size[1] * side / short)


def _write_captions(pictures: Sequence[Prepared], request: PrepareRequest) -> list[Prepared]:
    wanting = [each for each in pictures if request.model and (request.recaption or not each.before)]
    if not wanting:
        return list(pictures)
    captioner = _open(request)
    said: dict[str, str] = {}
    for begin in range(0, len(wanting), captioner.batch):
        batch = wanting[begin : begin + captioner.batch]
        captions = captioner.captions([read_rgb(each.source) for each in batch], request.prefix)
        said |= zip((each.name for each in batch), captions, strict=True)
    return [replace(each, caption=said.get(each.name, each.caption)) for each in pictures]


def _open(request: PrepareRequest) -> Captioner | Tagger:
    folder = Path(request.model)
    if is_tagger(folder):
        if request.prompt:
            raise ConfigError([f"prompt is for a model that answers; {folder} is a tagger"])
        return Tagger(folder, request.threshold, request.character_threshold)
    from foundation.data.prepare.captioner import Captioner  # loads transformers: seconds, for who needs it

    return Captioner(request.model, request.prompt, request.max_tokens)


def _tag(picture: Prepared, request: PrepareRequest) -> Prepared:
    """Tags are what stands between commas; which case they are in does not matter."""
    away = {tag.lower() for tag in request.strip}
    tags = [tag for tag in (part.strip() for part in picture.caption.split(",")) if tag and tag.lower() not in away]
    there = {tag.lower() for tag in tags}
    caption = ", ".join([*tags, *(tag for tag in request.add if tag.lower() not in there)])
    return replace(picture, caption=add_trigger(caption, request.trigger))


def _line(picture: Prepared) -> str:
    old, new = ("×".join(map(str, size)) for size in (picture.size, picture.new_size))
    sizes = old if old == new else f"{old} → {new}"
    words = picture.caption if picture.before == picture.caption else f"{picture.before!r} → {picture.caption!r}"
    return f"{picture.name}  {sizes}  {words or 'no caption'}"


def _write(pictures: Sequence[Prepared], out: Path) -> None:
    with new_folder(out) as fresh:
        for each in pictures:
            target = fresh / each.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if each.size == each.new_size:
                shutil.copyfile(each.source, target)
            else:
                small = read_rgb(each.source).resize(each.new_size, Image.Resampling.LANCZOS)
                small.save(target, quality=_QUALITY)
            target.with_suffix(".txt").write_text(f"{each.caption}\n", encoding="utf-8")
