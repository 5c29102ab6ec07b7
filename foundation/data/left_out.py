"""What a reading of files leaves out: each file of a folder is used, or counted under the reason why it is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.files.documents import as_mapping, read_json
from foundation.files.durable import write_json

LEFT_OUT_FILE: Final = ".left_out.json"
"""What of a source did not go into a folder that was made of it (`save_left_out`)."""
_NAMED: Final = 3
"""Names that a line shows."""
_LONGEST: Final = 120
"""Characters of a name that it shows."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files that are not used, all for one reason; never none."""

    reason: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """`6 files left out, hidden or a system's own (…): @eaDir/0.jpg, @eaDir/1.jpg, @eaDir/2.jpg …`."""
        files = "file" if len(self.names) == 1 else "files"
        return f"{len(self.names)} {files} left out, {self.reason}: {first_names(self.names)}"


def first_names(names: Sequence[str], most: int = _NAMED) -> str:
    """The first few of them, and `…` where there are more; so are long ones cut."""
    return ", ".join(map(cut, names[:most])) + (" …" if len(names) > most else "")


def cut(name: str) -> str:
    """A name as a line has room for it, with `…` at the end where it is longer."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def by_reason(reasons: Iterable[tuple[str, str]], used: Collection[str] = ()) -> tuple[LeftOut, ...]:
    """A `LeftOut` for each reason in the order of their first names, of (reason, name); without the names in `used`."""
    groups: dict[str, list[str]] = {}
    for reason, name in reasons:
        if name not in used:
            groups.setdefault(reason, []).append(name)
    return tuple(LeftOut(reason, tuple(names)) for reason, names in groups.items())


def save_left_out(folder: Path, left_out: Sequence[LeftOut]) -> None:
    """Note in a folder what of its source is not there, for whoever reads it later."""
    if left_out:
        write_json(folder / LEFT_OUT_FILE, {each.reason: list(each.names) for each in left_out})


def load_left_out(folder: Path) -> tuple[LeftOut, ...]:
    """What `save_left_out` noted; none where it noted nothing."""
    file = folder / LEFT_OUT_FILE
    if not file.is_file():
        return ()
    said = as_mapping(read_json(file), str(file))
    return tuple(
        LeftOut(reason, tuple(map(str, names))) for reason, names in said.items() if isinstance(names, list) and names
    )
