"""What guards a study's run: signals, a database that was lost, a machine that gives out."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper import run


def test_the_first_signal_interrupts_and_later_ones_do_not_cut_the_saving_short() -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    with run._stoppable(said.append):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert said == []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
    assert said == ["already stopping; everything is being saved"] * 3
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"^the study cannot go on: \[Errno 20\] Not a directory: .*file.*$"):
        run.run_study(["+experiment=pencil", f"study.folder={tmp_path / 'file'}"])
