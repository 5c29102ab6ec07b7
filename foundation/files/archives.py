"""Archives of pictures, unpacked once into the cache under what they hold; a hostile one is refused and leaves nothing.

An archive comes from anywhere: its names, sizes and kinds are claims. Nothing is written but images, captions and
tables, at names inside the folder, and no more of it than the limits allow, counted as the bytes come out.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

from foundation.data.images import SUFFIXES
from foundation.data.left_out import by_reason, save_left_out
from foundation.data.survey import TEXTS, kind_of_file
from foundation.errors import DataError
from foundation.files.cache_use import mark_used
from foundation.files.durable import new_folder

ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_LAYOUT: Final = 2
"""Changes when the same archive is laid out in another way."""
_AGAIN: Final = "earlier ones of a name that comes again"
_CHUNK: Final = 1 << 20
_BROKEN: Final = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError, OverflowError, LookupError, TypeError, AttributeError, MemoryError),
)
"""What the readers raise on damaged, encrypted or contradictory archives: RuntimeError for a password that is missing,
ValueError for names that are no UTF-8 and for numbers that are none, OverflowError and MemoryError for sizes that no
file has."""
_DEEPEST: Final = 64
"""Folders within one another; making, walking and deleting them takes a call within a call for each."""
_LONGEST: Final = 240
"""Characters that are said of why an archive is not unpacked; names in it may be long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveLimits:
    """How much an archive may hold."""

    files: int = 200_000
    """Entries of any kind."""
    total_bytes: int = 64 << 30
    """All of it, unpacked."""
    file_bytes: int = 1 << 30
    """One file, unpacked."""
    ratio: int = 200
    """Unpacked against packed size, beyond `free_bytes`: pictures are packed already, a bomb is not."""
    free_bytes: int = 16 << 20
    """Unpacked size up to which the ratio does not matter."""


LIMITS: Final = ArchiveLimits()


class _RefusedError(Exception):
    """Why an archive is not unpacked."""


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive."""
    return path.name.lower().endswith(ARCHIVES)


def unpack(archives: Sequence[Path], cache: Path, where: str, limits: ArchiveLimits = LIMITS) -> Path:
    """The folder in `cache` with what the archives hold, unpacked when it is not there; of several, a folder each.

    Raises:
        DataError: one line for an archive that is damaged, holds a name outside itself, a link, a device, or too much.
    """
    kinds = hashlib.sha256(json.dumps([_LAYOUT, *sorted(SUFFIXES | TEXTS)]).encode()).hexdigest()  # what is unpacked
    names = [kinds, *(_digest(archive, where) for archive in archives)]
    folder = mark_used(cache / f"unpacked-{hashlib.sha256(''.join(names).encode()).hexdigest()[:24]}")
    if folder.exists():
        return folder
    with new_folder(folder, replace=False) as fresh:
        left: list[tuple[str, str]] = []
        for number, archive in enumerate(archives):
            place = f"{number:05}-{_stem(archive)}" if len(archives) > 1 else ""
            (fresh / place).mkdir(exist_ok=True)
            try:
                unread = _unpack(archive, fresh / place, limits)
            except _RefusedError as error:
                raise DataError(
                    f"{where}: {archive} is refused, nothing of it was unpacked: {_reason(error)}"
                ) from error
            except _BROKEN as error:
                raise DataError(f"{where}: {archive} cannot be unpacked: {_reason(error)}") from error
            left += [(reason, str(PurePosixPath(place, name))) for reason, name in unread]
        save_left_out(fresh, by_reason(left))
    return folder


def _reason(error: Exception) -> str:
    """Why, in one line that is not too long, whatever the names in it hold."""
    if isinstance(error, UnicodeDecodeError):
        return "it holds a name that is not UTF-8, though it says so; pack it again"
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"


def _digest(archive: Path, where: str) -> str:
    try:
        with archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{where}: {archive} cannot be read: {error.strerror}") from error


def _stem(archive: Path) -> str:
    name = archive.name.lower()
    ending = next(each for each in sorted(ARCHIVES, key=len, reverse=True) if name.endswith(each))
    return archive.name[: -len(ending)]


def _unpack(archive: Path, out: Path, limits: ArchiveLimits) -> list[tuple[str, str]]:
    """Write what is kept; return why the rest is not, and its names."""
    left: list[tuple[str, str]] = []
    meter = _Meter(limits, archive.stat().st_size)
    members = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    for name, open_member in members(archive, meter):
        meter.entry()
        path = _place(name)
        if open_member is None:
            continue
        if reason := kind_of_file(str(path)):
            left.append((reason, str(path)))
            continue
        target = out / path
        if target.exists():
            left.append((_AGAIN, str(path)))  # the last of a name counts, as wherever archives are unpacked
        target.parent.mkdir(parents=True, exist_ok=True)
        meter.begin()
        with open_member() as source, target.open("wb") as file:
            while chunk := source.read(_CHUNK):
                meter.count_written(len(chunk), name)
                file.write(chunk)
    return left


_Member = tuple[str, Callable[[], IO[bytes]] | None]
"""A name with what opens it; None for a folder."""


def _tar_members(archive: Path, meter: _Meter) -> Iterator[_Member]:
    # As a stream: what is skipped, and the headers themselves, pass the meter as well.
    with _decompress(archive) as plain, tarfile.open(fileobj=_Metered(plain, meter), mode="r|") as tar:
        for member in tar:
            if member.issym() or member.islnk():
                raise _RefusedError(f"{member.name} is a link")
            if member.size < 0:
                raise _RefusedError(f"{member.name} has a size below 0")
            if not (member.isreg() or member.isdir()):
                raise _RefusedError(f"{member.name} is no plain file")
            yield member.name, None if member.isdir() else lambda each=member: _open_member(tar, each)  # type: ignore[misc]


def _open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None  # it is a plain file
    return file


def _zip_members(archive: Path, meter: _Meter) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind == stat.S_IFLNK:
                raise _RefusedError(f"{member.filename} is a link")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _RefusedError(f"{member.filename} is no plain file")
            meter.read(member.file_size if not member.is_dir() else 0)  # a claim; what comes out is counted as well
            yield member.filename, None if member.is_dir() else lambda each=member: file.open(each)  # type: ignore[misc]


def _decompress(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(archive, "rb"))
    if head.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(archive, "rb"))
    return cast(IO[bytes], lzma.open(archive, "rb")) if head.startswith(b"\xfd7zXZ\0") else archive.open("rb")


def _place(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or (path.parts and path.parts[0].endswith(":")):
        raise _RefusedError(f"{name} is an absolute path")
    if ".." in path.parts:
        raise _RefusedError(f"{name} leads out of the archive")
    if "\0" in name:
        raise _RefusedError(f"{name!r} is no name")
    if len(path.parts) > _DEEPEST:
        raise _RefusedError(f"it holds folders more than {_DEEPEST} deep in one another: {name}")
    return path


class _Meter:
    """Counts what comes out of an archive, and refuses when it is too much."""

    def __init__(self, limits: ArchiveLimits, packed: int) -> None:
        self._limits = limits
        self._most = min(limits.total_bytes, max(limits.free_bytes, limits.ratio * packed))
        self._entries = self._read = self._written = self._of_file = 0

    def entry(self) -> None:
        self._entries += 1
        if self._entries > self._limits.files:
            raise _RefusedError(f"it holds more than {self._limits.files} files")

    def read(self, count: int) -> None:
        self._read += count
        self._check(self._read)

    def begin(self) -> None:
        self._of_file = 0

    def count_written(self, count: int, name: str) -> None:
        self._written += count
        self._of_file += count
        self._check(self._written)
        if self._of_file > self._limits.file_bytes:
            raise _RefusedError(f"{name} is larger than {self._limits.file_bytes >> 20} MiB")

    def _check(self, count: int) -> None:
        if count > self._most:
            raise _RefusedError(f"it unpacks to more than {self._most >> 20} MiB, which is no set of pictures")


class _Metered(io.RawIOBase):
    """A stream whose every byte is counted."""

    def __init__(self, stream: IO[bytes], meter: _Meter) -> None:
        self._stream, self._meter = stream, meter

    def read(self, size: int = -1) -> Any:
        data = self._stream.read(size)
        self._meter.read(len(data))
        return data
