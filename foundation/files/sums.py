"""Checksums beside a folder's files: what the disk has damaged is noticed before it is used, shown or shipped.

`checksums.sha256` is what `sha256sum -c` reads, and is written in the same atomic folder as the files. A file that is
replaced by itself, and is a zip, carries its own inside. What has none, of an earlier version or of another program,
counts as whole.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from foundation.files.durable import write_text

SUMS: Final = "checksums.sha256"
"""The file, beside those it tells of."""
_HEX: Final = 64
"""Characters of a SHA-256."""
_END: Final = 22
"""Bytes of a zip's last record, which ends with the length of the comment behind it."""
_END_BEGINS: Final = b"PK\5\6"
_NO_COMMENT, _SEALED = bytes(2), _HEX.to_bytes(2, "little")
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder and below it, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): digest(file) for file in files}


def write_sums(folder: Path) -> None:
    """Write the checksums of all files in a folder and below it."""
    lines = (f"{each}  {name}\n" for name, each in digests(folder).items() if name != SUMS)
    write_text(folder / SUMS, "".join(lines))


def read_sums(folder: Path) -> dict[str, str] | None:
    """The checksums that were written, by the files' paths; None without any, and no names where they are damaged."""
    try:
        lines = (folder / SUMS).read_bytes().decode(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return {}
    found = [_LINE.fullmatch(line) for line in lines]
    return {each[2]: each[1] for each in found if each} if all(found) else {}


def damage(folder: Path) -> str:
    """What of a folder's files is not as it was written, in words that name the first; empty where all is."""
    known = read_sums(folder)
    if known is None:
        return ""
    if not known:
        return f"{folder / SUMS} is damaged"
    return next((words for name in known if (words := _damage(folder / name, known[name]))), "")


def damage_of(file: Path) -> str:
    """As `damage`, of one file."""
    known = read_sums(file.parent)
    if known is None:
        return ""
    if not known:
        return f"{file.parent / SUMS} is damaged"
    return _damage(file, known[file.name]) if file.name in known else ""


def seal(archive: bytes) -> bytes:
    """A zip, without a comment so far, with the SHA-256 of all of it as its comment, which its readers pass over."""
    assert archive[-_END:-18] == _END_BEGINS and archive.endswith(_NO_COMMENT)
    return b"".join((memoryview(archive)[:-2], _SEALED, hashlib.sha256(archive).hexdigest().encode()))


def is_as_sealed(archive: bytes) -> bool:
    """Whether a zip is as `seal` left it; true of one without a seal."""
    seal = len(_SEALED) + _HEX
    if archive[-_END - _HEX :][:4] != _END_BEGINS or archive[-seal:-_HEX] != _SEALED:
        return True
    hashed = hashlib.sha256(memoryview(archive)[:-seal])
    hashed.update(_NO_COMMENT)
    return hashed.hexdigest().encode() == archive[-_HEX:]


def _damage(file: Path, known: str) -> str:
    try:
        return "" if digest(file) == known else f"{file} is damaged (its checksum differs from {SUMS})"
    except FileNotFoundError:
        return f"{file} is gone"
    except OSError as error:
        return f"{file} cannot be read ({error.strerror})"
