"""The page's own scripts, styles and frame, as they are served and as they are put into the file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from foundation.page.one_file import ICON, STYLE, read_shared

STATIC: Final = Path(__file__).parent / "static"
SHARED: Final = (
    *("dom.js", "store.js", "scales.js", "charts.js", "curves.js", "parallel.js", "slices.js", "timeline.js"),
    *("pictures.js", "table.js", "overview.js", "wall.js", "compare.js", "study.js", "keys.js"),
)
"""The scripts that draw a study, in the order in which they build on one another."""
OF_FILE: Final = (*SHARED, "file.js")
_FRAME: Final = "page.html"


@cache
def read_asset(name: str) -> str:
    """Return the text of one of our own files."""
    return read_shared(name) if name in (STYLE, ICON) else (STATIC / name).read_text("utf-8")


def frame_with(head: str, body: str) -> str:
    """Return the page's frame with what goes into its head and to the end of its body, both HTML of ours."""
    return read_asset(_FRAME).replace("<!--head-->", head).replace("<!--body-->", body)
