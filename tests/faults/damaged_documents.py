"""Archives, tables and records that are no such thing: each is read, or refused in one line.

    python -m tests.faults.damaged_documents 5000      so many of each kind, and how they ended

Anything else is an escape; the file is kept to look at.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from foundation.config.own_code import refuse_models_code
from foundation.data.captions import read_captions
from foundation.errors import UserError
from foundation.files.archives import ArchiveLimits, unpack
from foundation.files.documents import parse_json, parse_yaml
from sweeper.records.history import costs_in_all, read_evaluations, read_validations
from sweeper.results.report import read_chosen
from tests.faults.mutated_images import mutants

PICTURE = b"\x89PNG no picture is decoded here"
LIMITS = ArchiveLimits(files=50, total_bytes=1 << 20, file_bytes=1 << 19, ratio=50, free_bytes=1 << 18)
EVALUATION = {
    "step": 8,
    "score": 1.5,
    "score_se": None,
    "overfit_index": 0.1,
    "overfit": False,
    "words": "well",
    "severities": {"copies": 0.0},
    "metrics": {"style": 0.5},
    "validation_losses": [0.1, None],
}
COST = {"seconds": 1.0, "gigabytes": 0.1}
VALUES = (
    *("null", "[]", "{}", "true", '""', '"a"', "-1", "0.5", "1e999", "NaN", "-Infinity", r'"\ud800"', r'"\u0000"'),
    *("9" * 400, "9" * 5000, "[" * 500 + "]" * 500, "[" * 2_000, '{"a":' * 300 + "1" + "}" * 300, "[null]", '{"": 1}'),
)
"""What stands where something else should."""


def _tar(form: int, mode: str = "w", content: bytes = PICTURE) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as tar:  # type: ignore[call-overload]
        for name in ("a.png", "below/" + "long" * 30 + ".png", "ünï.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.pax_headers = {"comment": "x", "GNU.sparse.major": "0"} if form == tarfile.PAX_FORMAT else {}
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _sparse(**fields: str) -> bytes:
    """A tar whose PAX header says such things of its one file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.png")
        info.size = len(PICTURE)
        info.pax_headers = {name.replace("__", "."): text for name, text in fields.items()}
        tar.addfile(info, io.BytesIO(PICTURE))
    return file.getvalue()


def _zip(how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name in ("a.png", "below/b.png", "ünï.txt"):
            archive.writestr(name, PICTURE * 20)
    return file.getvalue()


def _changed_zip(offset_of_local: int, offset_of_central: int, value: bytes) -> bytes:
    """The zip with the same field changed in the first file's two headers."""
    data = bytearray(_zip())
    central = data.index(b"PK\1\2")
    data[offset_of_local : offset_of_local + len(value)] = value
    data[central + offset_of_central : central + offset_of_central + len(value)] = value
    return bytes(data)


def _zip64_that_lies() -> bytes:
    """A size of all ones, to be found in an extra field that is not there."""
    data = bytearray(_zip())
    central = data.index(b"PK\1\2")
    data[central + 20 : central + 28] = b"\xff" * 8
    return bytes(data)


def _many_disks() -> bytes:
    data = bytearray(_zip())
    end = data.rindex(b"PK\5\6")
    data[end + 4 : end + 8] = b"\1\0\1\0"
    return bytes(data)


ARCHIVES: Mapping[str, bytes] = {
    "a.tar": _tar(tarfile.PAX_FORMAT),
    "gnu.tar": _tar(tarfile.GNU_FORMAT),
    "a.tar.gz": gzip.compress(_tar(tarfile.GNU_FORMAT), mtime=0),
    "a.tar.xz": _tar(tarfile.PAX_FORMAT, "w:xz"),
    "a.tar.bz2": _tar(tarfile.PAX_FORMAT, "w:bz2"),
    "a.zip": _zip(),
    "lzma.zip": _zip(zipfile.ZIP_LZMA),
    "bzip2.zip": _zip(zipfile.ZIP_BZIP2),
    "many disks.zip": _many_disks(),
}
"""Whole ones, to be damaged."""
REFUSED: Mapping[str, bytes] = {
    "name that is no UTF-8.zip": _changed_zip(6, 8, b"\0\x08").replace(b"a.png", b"a\xff\xfeng"),
    "encrypted.zip": _changed_zip(6, 8, b"\1\0"),
    "method that is none.zip": _changed_zip(8, 10, b"\x63\0"),
    "version of tomorrow.zip": _changed_zip(4, 6, b"\xff\0"),
    "zip64 that lies.zip": _zip64_that_lies(),
    "sparse size.tar": _sparse(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize="x"),
    "sparse map.tar": _sparse(GNU__sparse__map="1,x", GNU__sparse__size="9"),
    "sparse numbers.tar": _sparse(GNU__sparse__size="1" * 5000, GNU__sparse__map="0,1"),
    "size below 0.tar": _sparse(size="-5"),
    "size of many digits.tar": _sparse(size="9" * 30),
    "bomb.tar.gz": gzip.compress(_tar(tarfile.GNU_FORMAT, content=bytes(1 << 24)), mtime=0),
}
"""Made to be refused: file to bytes."""


def outcome(act: Callable[[], object]) -> str:
    """`read` or `refused`; else what is wrong with how it ended."""
    try:
        act()
    except UserError as error:
        lines = str(error).splitlines()
        return "refused" if len(lines) == 1 and len(lines[0]) < 700 else f"said badly: {str(error)[:200]}"
    except BaseException as error:
        return f"escaped: {type(error).__name__}: {str(error)[:200]}"
    return "read"


def unpacked(name: str, data: bytes, folder: Path) -> str:
    """How an archive of this name ends; what it leaves where it is refused counts as an escape."""
    file, cache = folder / name, folder / "cache"
    file.write_bytes(data)
    before = set(folder.rglob("*")) | {cache}
    how = outcome(lambda: unpack([file], cache, "data.path", LIMITS))
    left = sorted(set(folder.rglob("*")) - before)
    if how == "refused" and left:
        return f"escaped: left {left[0].relative_to(folder)}"
    return how


def readers(folder: Path) -> dict[str, Callable[[bytes], object]]:
    """Whatever reads a document, by what it reads; each takes the bytes that stand in its file."""

    def file(name: str, data: bytes) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def captions(name: str) -> Callable[[bytes], object]:
        def read(data: bytes) -> object:
            place = folder / f"captions-{name}"
            place.mkdir(exist_ok=True)
            (place / "a.png").write_bytes(PICTURE)
            (place / name).write_bytes(data)
            return read_captions(place, "text", "data.path", "data")

        return read

    def lines(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        return lambda data: (file(f"trial/{name}", data), read(folder / "trial"))

    def model(data: bytes) -> None:
        file("model/model_index.json", data)
        refuse_models_code(str(folder / "model"), "base.path")

    return {
        "json": lambda data: parse_json(data, "it"),
        "yaml": lambda data: parse_yaml(data, "it"),
        "metadata.jsonl": captions("metadata.jsonl"),
        "metadata.csv": captions("metadata.csv"),
        "a.json": captions("a.json"),
        "model_index.json": model,
        "evaluations.jsonl": lines(
            "evaluations.jsonl", lambda at: [each.score + each.step for each in read_evaluations(at)]
        ),
        "validations.jsonl": lines("validations.jsonl", lambda at: [sum(each.losses) for each in read_validations(at)]),
        "costs.jsonl": lines("costs.jsonl", lambda at: str(costs_in_all(at))),
        "scores.json": lambda data: (
            (file("best/pytorch_lora_weights.safetensors", b""), file("best/scores.json", data))
            and read_chosen(folder / "best", "x")
        ),
    }


DOCUMENTS: Mapping[str, bytes] = {
    "json": b'{"a": [1, 2.5, null, "x"], "b": {"c": true}}',
    "yaml": b"a: [1, 2.5, null, x]\nb: {c: true, d: 2001-01-01, e: 0x1f}\n",
    "metadata.jsonl": b'{"file_name": "a.png", "text": "a cup"}\n',
    "metadata.csv": b'file_name,text\na.png,"a cup, red"\n',
    "a.json": b'{"text": "a cup"}',
    "model_index.json": b'{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}',
    "evaluations.jsonl": json.dumps(EVALUATION).encode() + b"\n",
    "validations.jsonl": b'{"step": 4, "ratio": 1.01, "losses": [0.1, null, "inf"]}\n',
    "costs.jsonl": json.dumps({"step": 4, "training": COST, "judging": COST}).encode() + b"\n",
    "scores.json": json.dumps(
        {
            "chosen_from": "x",
            "trial": 1,
            "strength": 1.0,
            "evaluation": EVALUATION,
            "finalists": {"1": 2.0},
            "within_noise": "",
        }
    ).encode(),
}
"""Whole ones, by the name that `readers` has them under."""


def of_other_kinds(document: bytes) -> list[bytes]:
    """The document with each of its values in turn, and itself, in place of which stands each of `VALUES`."""
    places = [found.span(1) for found in re.finditer(rb'[:\[,]\s*("[^"]*"|[\d.]+|null|true|false)', document)]
    inside = [document[:a] + value.encode() + document[b:] for a, b in places for value in VALUES]
    return [*inside, *(value.encode() for value in VALUES)]


def damaged(document: bytes, count: int) -> list[bytes]:
    """The document in so many damaged versions, bytes turned and lengths changed among them."""
    return [*mutants(document, count)]


def main(arguments: list[str]) -> int:
    """Damage so many of each; 1 when any escaped."""
    count = int(arguments[0]) if arguments else 1000
    ended: Counter[str] = Counter()

    def add(name: str, number: int, data: bytes, how: str) -> None:
        own[how] += 1
        if how not in ("read", "refused"):
            Path(f"escaped-{number}-{name}".replace(" ", "-")).write_bytes(data)

    for name, whole in {**ARCHIVES, **REFUSED}.items():
        own: Counter[str] = Counter()
        for number, data in enumerate(damaged(whole, count if len(whole) < 100_000 else count // 20)):
            with tempfile.TemporaryDirectory() as folder:
                add(name, number, data, unpacked(name, data, Path(folder)))
        ended += own
        print(f"{name:26} {dict(own)}", flush=True)
    for name, whole in DOCUMENTS.items():
        own = Counter()
        with tempfile.TemporaryDirectory() as folder:
            read = readers(Path(folder))[name]
            for number, data in enumerate([*of_other_kinds(whole), *damaged(whole, count)]):
                add(name, number, data, outcome(partial(read, data)))
        ended += own
        print(f"{name:26} {dict(own)}", flush=True)
    print(f"{ended.total()} files: {dict(ended)}")
    return int(bool(set(ended) - {"read", "refused"}))


if __name__ == "__main__":
    np.seterr(all="raise")
    sys.exit(main(sys.argv[1:]))
