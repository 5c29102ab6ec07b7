"""How the studies of a batch stand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sweeper.best import Best, read_best

EntryState = Literal["waiting", "running", "finished", "failed", "stopped"]


@dataclass(kw_only=True, slots=True)
class EntryOutcome:
    """One study of a batch, as far as it is."""

    name: str
    folder: Path
    state: EntryState = "waiting"
    note: str = ""
    """Passed over: nothing was done this time."""
    device: str = ""
    """The one that it was dealt; empty for all."""
    exit_code: int | None = None
    errors: Sequence[str] = ()
    seconds: float = 0.0
    began: float = 0.0
    """Seconds since 1970."""
    log: Path | None = None
    """What it said."""

    @property
    def best(self) -> Best | None:
        """What it has chosen; None before."""
        return read_best(self.folder) if self.state == "finished" else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        best = self.best
        return {
            "study": self.name,
            "state": self.state,
            "note": self.note,
            "exit_code": self.exit_code,
            "errors": list(self.errors),
            "seconds": round(self.seconds, 1),
            "device": self.device,
            "folder": str(self.folder),
            "log": str(self.log) if self.log else None,
            "best": best.to_json() if best else None,
        }


@dataclass(kw_only=True, slots=True)
class BatchOutcome:
    """All studies of a batch."""

    name: str
    entries: list[EntryOutcome]
    began: float = field(default_factory=time.time)
    was_stopped: bool = False

    @property
    def num_failed(self) -> int:
        """How many have failed."""
        return self._count("failed")

    @property
    def words(self) -> str:
        """How all of it stands, in a line."""
        kinds = ("finished", "failed", "stopped", "running", "waiting")
        counts = [f"{self._count(kind)} {kind}" for kind in kinds if self._count(kind)]
        failed = [each.name for each in self.entries if each.state == "failed"]
        return f"of {len(self.entries)} studies {', '.join(counts)}" + (f" ({', '.join(failed)})" if failed else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"batch": self.name, "studies": [each.to_json() for each in self.entries]}

    def _count(self, state: str) -> int:
        return sum(each.state == state for each in self.entries)
