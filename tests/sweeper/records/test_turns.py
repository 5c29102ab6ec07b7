"""A trial's turns in slots, as its file tells them."""

from __future__ import annotations

from pathlib import Path

from sweeper.records.turns import TURNS, Turn, begin_turn, end_turn, read_turns


def test_turns_are_read_as_they_were_noted_whatever_a_crash_left(tmp_path: Path) -> None:
    assert read_turns(tmp_path) == []
    begin_turn(tmp_path, 1, lambda: 10.0)
    end_turn(tmp_path, lambda: 20.0)
    begin_turn(tmp_path, 0, lambda: 30.0)  # whose supervisor is killed
    begin_turn(tmp_path, 2, lambda: 40.0)
    with (tmp_path / TURNS).open("a") as file:
        file.write('[1]\n{"began": "x", "worker": 1}\n{"ended')
    assert read_turns(tmp_path) == [
        Turn(worker=1, began=10.0, ended=20.0),
        Turn(worker=0, began=30.0, ended=None),
        Turn(worker=2, began=40.0, ended=None),
    ]
