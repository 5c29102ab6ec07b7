"""What `sweeper prepare doctor` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from foundation.command import run_with_usage
from foundation.config.plain import plain
from foundation.console import say
from foundation.data.captions import read_captions
from foundation.data.doctor.findings import Diagnosis, Patient, examine
from foundation.data.doctor.looks import look_at
from foundation.data.doctor.request import USAGE, DoctorRequest, read_request
from foundation.data.doctor.sheet import sheet_of
from foundation.data.images import read_rgb
from foundation.data.sources import locate
from foundation.errors import ConfigError, DataError
from foundation.files.durable import write_json, write_text
from foundation.json_output import give

_CACHE: Final = Path("multirun/cache")


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 after one clear line about bad input."""
    return run_with_usage(USAGE, lambda: _examine(read_request(arguments)), arguments, needs_arguments=True)


def _examine(request: DoctorRequest) -> None:
    for key in ("sheet", "json"):
        if (given := getattr(request, key)) and Path(given).exists():
            raise ConfigError([f"{key} {given} exists already; name a new file, nothing is overwritten"])
    folder = locate(request.data, _CACHE, where="data", caption_column=request.column)
    if not folder.is_dir():
        raise DataError(f"data {request.data} is not a folder; name a folder or an archive of images")
    captions = read_captions(folder, request.column, "data", allow_missing=True)
    entries = captions.entries
    if not entries:
        raise DataError(f"data {request.data} holds no pictures")

    def read(number: int) -> Image.Image:
        return read_rgb(folder / entries[number].name)

    fit = None
    patients = [Patient(each.name, each.caption, look_at(read(number))) for number, each in enumerate(entries)]
    if request.clip:
        from foundation.data.doctor.fit import Clip  # loads transformers: seconds, for who needs it

        fit = Clip(request.clip).fit(read, [each.caption for each in entries])
    diagnosis = examine(patients, request.side, request.trigger, fit)
    if request.sheet:
        write_text(Path(request.sheet), sheet_of(f"Pictures in {folder.name}", diagnosis, read))
    if request.json:
        write_json(Path(request.json), plain(diagnosis.to_json()))
    give(**diagnosis.to_json())
    say(*(f"data: {line}" for line in (*captions.left_out, *captions.notes)), *_lines(diagnosis, request))


def _lines(diagnosis: Diagnosis, request: DoctorRequest) -> list[str]:
    lines = [f"{each.name}: {'; '.join(each.problems)}" for each in diagnosis.patients if each.problems]
    lines.append(f"{len(diagnosis.patients)} pictures; something is amiss with {diagnosis.num_amiss}")
    if diagnosis.variety is not None:
        lines.append(f"variety: as many as {diagnosis.variety:.1f} pictures that have nothing in common")
    else:
        lines.append("whether captions fit, and how varied pictures are, a CLIP tells: name one by clip=")
    lines += [f"advice: {line}" for line in diagnosis.advice]
    lines += [f"the sheet: {request.sheet}"] if request.sheet else []
    return lines
