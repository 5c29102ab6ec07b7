"""`python -m sweeper.trainers`: write docs/import.md; with `--check`, exit 1 when it is stale and write nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from foundation.command import EXIT_BAD_INPUT, run_main
from foundation.config.presets import CONF
from foundation.console import complain, say
from foundation.errors import UserError
from foundation.files.documents import parse_json, read_json
from foundation.files.durable import write_text
from sweeper.trainers.documents import read_documents
from sweeper.trainers.page import COMMAND, STATES, page
from sweeper.trainers.reading import read
from sweeper.trainers.registry import trainer_of

DOCS: Final = CONF.parent / "docs"
PAGE: Final = DOCS / "import.md"
READ: Final = DOCS / "import_read.jsonl"
"""A row for each public config that was read: where it is, and how many of its fields became what."""
USAGE: Final = f"""\
{COMMAND}                 write docs/import.md from the tables
{COMMAND} --check         write nothing; exit 1 when the page is not what the command would write
{COMMAND} count LIST      write docs/import_read.jsonl: LIST is a JSON list, each with repository, paths, commits of
                          public configs, and files, where these lie here"""


def main(arguments: Sequence[str], path: Path = PAGE) -> int:
    """Write the page, check it, or count; 0, or 1 when the page is stale, or 2 for wrong arguments."""
    try:
        if len(arguments) == 2 and arguments[0] == "count":
            rows = [json.dumps(row, ensure_ascii=False) for row in _counts_of(Path(arguments[1]))]
            write_text(READ, "\n".join(rows) + "\n")
            return 0
        if arguments not in ([], ["--check"]):
            say(USAGE)
            return EXIT_BAD_INPUT
        text = page(rows_of(READ))
    except (UserError, OSError) as error:
        complain(error)
        return EXIT_BAD_INPUT
    if not arguments:
        write_text(path, text)
        return 0
    if path.read_text(encoding="utf-8") == text:
        return 0
    complain(f"{path} is stale; run {COMMAND}")
    return 1


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [parse_json(line, str(file)) for line in file.read_text(encoding="utf-8").splitlines()]


def _counts_of(file: Path) -> Iterator[Mapping[str, Any]]:
    """What became of the fields of each config in the list; a refused one has the reason."""
    for each in read_json(file):
        row = {name: each[name] for name in ("repository", "paths", "commits")}
        try:
            documents = read_documents([str(file.parent / name) for name in each["files"]])
            trainer, _ = trainer_of(documents)
            reading = read(trainer, trainer.flatten(documents))
        except UserError as error:
            yield {**row, "refused": str(error)}
            continue
        counts = {state: reading.count(state) for state in STATES}  # type: ignore[arg-type]
        yield {**row, "trainer": trainer.name, "fields": len(reading.fates), "counts": counts}


if __name__ == "__main__":
    sys.exit(run_main(lambda arguments: main(arguments), sys.argv[1:]))
