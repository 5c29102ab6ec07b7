"""`python -m sweeper.reference`: write docs/reference.md; with `--check`, exit 1 when it is stale and write nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foundation.config.presets import CONF
from foundation.console import complain, say
from foundation.errors import UserError
from foundation.files.durable import write_text
from sweeper.reference.page import COMMAND, page

PAGE: Final = CONF.parent / "docs" / "reference.md"
"""Where the page lives."""
USAGE: Final = f"""\
{COMMAND}            write {PAGE.relative_to(CONF.parent)} from the dataclasses and the YAML
{COMMAND} --check    write nothing; exit 1 when the page is not what the command would write"""


def main(arguments: Sequence[str], path: Path = PAGE) -> int:
    """Write the page, or check it; 0, or 1 when it is stale, or 2 for arguments or fields that it cannot take."""
    if list(arguments) not in ([], ["--check"]):
        wants_help = {"-h", "--help"} & set(arguments)
        say(USAGE, to=sys.stdout if wants_help else sys.stderr)
        return 0 if wants_help else 2
    try:
        text = page()
    except UserError as error:
        complain(error)
        return 2
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    if arguments:
        complain(f"{path} is stale; run {COMMAND}")
        return 1
    write_text(path, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
