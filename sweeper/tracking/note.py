"""A card as MLflow shows it: the description of a run or of a model's version, pictures and all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from sweeper.results.file_names import CARD

MAX_NOTE: Final = 5000
"""Characters of a description: what a registry's database takes of a model version's, and less than a tag may have."""
_PICTURE: Final = re.compile(r"!\[([^\]]*)\]\((?!\w+:)([^)\s]+)\)")
_LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:)([^)\s]+)\)")


def note(best_folder: Path, run_id: str, place: str) -> str:
    """Return the card in `best_folder` with its pictures and links taken from the run's artifacts at `place`.

    MLflow's page takes addresses relative to its server's, and no data of pictures. A card that is too long is cut
    before a heading, and says so; empty without a card.
    """
    file = best_folder / CARD
    if not file.is_file():
        return ""

    def address(name: str) -> str:
        return f"get-artifact?{urlencode({'path': f'{place}/{name}', 'run_uuid': run_id})}"

    text = _LINK.sub(lambda found: f"[{found[1]}]({address(found[2])})", file.read_text(encoding="utf-8"))
    text = _PICTURE.sub(lambda found: f"![{found[1]}]({address(found[2])})", text)
    if len(text) <= MAX_NOTE:
        return text
    more = f"\n\nThe rest of the card is in the artifacts of the study's run: [{CARD}]({address(CARD)})."
    room = MAX_NOTE - len(more)
    cut = text.rfind("\n## ", 0, room)
    return text[: cut if cut > 0 else room].rstrip() + more
