"""The study: composes, searches, trains, judges, tracks, and leaves one best checkpoint.

From Python: `run_study` runs one, `open_study` reads one (docs/python.md). Both are imported when they are first used,
so that `import sweeper` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.2.0"

if TYPE_CHECKING:
    from foundation.errors import UserError
    from sweeper.api.events import (
        BestChosen,
        LineSaid,
        StudyEnded,
        StudyEvent,
        StudyStarted,
        TrialEnded,
        TrialEvaluated,
        TrialStarted,
        TrialStepped,
    )
    from sweeper.api.run import run_study
    from sweeper.api.settings import Sweep, choice, interval
    from sweeper.api.study import Picture, Study, open_study
    from sweeper.best import Best

__all__ = [
    "Best",
    "BestChosen",
    "LineSaid",
    "Picture",
    "Study",
    "StudyEnded",
    "StudyEvent",
    "StudyStarted",
    "Sweep",
    "TrialEnded",
    "TrialEvaluated",
    "TrialStarted",
    "TrialStepped",
    "UserError",
    "choice",
    "interval",
    "open_study",
    "run_study",
]
_PLACES: Final = {
    "run_study": "sweeper.api.run",
    **dict.fromkeys(("Picture", "Study", "open_study"), "sweeper.api.study"),
    **dict.fromkeys(("Sweep", "choice", "interval"), "sweeper.api.settings"),
    "Best": "sweeper.best",
    "UserError": "foundation.errors",
}


def __getattr__(name: str) -> Any:
    """Import one of the names above when it is wanted."""
    if name not in __all__:
        raise AttributeError(f"module 'sweeper' has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, "sweeper.api.events")), name)
