"""What guards a study's run: a machine that gives out."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper.study import run


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"^the study cannot go on: \[Errno 20\] Not a directory: .*file.*$"):
        run.run_study(["+experiment=pencil", f"study.folder={tmp_path / 'file'}"])
