"""The study's page, which its own process writes last."""

from __future__ import annotations

from pathlib import Path

from foundation.console import say
from foundation.errors import UserError, first_line
from sweeper.page.file import write_report
from sweeper.search.database import Database


def leave_page(folder: Path, database: Database) -> None:
    """Write the page of the study in a folder, which Optuna knows in `database`, and say where it is.

    What fails here, as on a full disk, costs no study: `sweeper report` writes it at any time.
    """
    try:
        say(f"the whole study on one page: {write_report(folder, database, 'finished')}")
    except (OSError, UserError) as error:
        say(f"the study's page could not be written ({first_line(error)}); sweeper report {folder.name} does so")
