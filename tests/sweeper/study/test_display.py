"""The live table at the widths that terminals have, the time left against a played clock, lines that hang."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from sweeper.forecast.at_most import pictures_of_finals
from sweeper.records.messages import BaseLoaded, Ready
from sweeper.records.trials import Trial
from sweeper.results.best_files import dashboard_command, files_of
from sweeper.search.space import plan
from sweeper.study.display import Display
from sweeper.study.extending import as_long_as
from sweeper.study.time_left import TimeLeft
from tests.hostile_path import HOSTILE
from tests.sweeper.fake_worker import OVERRIDES, evaluation

PARAMS = {
    "optimizer": "adamw8bit",
    "optimizer.lr@adamw8bit": 0.00123,
    "lr_scheduler": "cosine_with_restarts",
    "adapter.rank": 16,
    "adapter.alpha_ratio": 0.25,
    "adapter.targets": HOSTILE,
}
NUMBERS = {
    "cuda:0/1",
    "117",
    "1200/4000",
    "0.012",
    "-12.3",
    "0.07",
    "cuda:1/0",
    "118",
    "4000/4000",
    "1.250",
    "99.9",
    "1.00",
}

READY = Ready(num_slots=2, device="cpu", num_train=5, num_validation=3, base_images=(), seconds=100.0)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Screen:
    """A display on a terminal of some width that is played."""

    width: int
    height: int = 60
    clock: Clock = field(default_factory=Clock)
    left: TimeLeft = field(default_factory=lambda: TimeLeft(steps=2 * 4000, finale=40, evaluation=4))

    def __post_init__(self) -> None:
        self.out = io.StringIO()
        size, plain = {"width": self.width, "height": self.height}, {"markup": False, "emoji": False}
        console = Console(file=self.out, force_terminal=True, color_system=None, **size, **plain)
        self.display = Display("pencil", 2, 4000, self.left, console, self.clock)

    def table(self) -> list[str]:
        console = Console(file=io.StringIO(), width=self.width, color_system=None, markup=False, emoji=False)
        console.print(self.display._picture())
        assert isinstance(console.file, io.StringIO)
        return [line.rstrip() for line in console.file.getvalue().splitlines()]


def trials(tmp_path: Path) -> list[Trial]:
    spec = as_long_as(plan(OVERRIDES).config.trial, 4000)
    common: dict[str, Any] = {"spec": spec, "folder": tmp_path, "clean": 0.5, "params": PARAMS, "status": "running"}
    first = Trial(number=117, step=1200, loss=0.0123, evaluations=[evaluation(40, -12.34, 0.07)], **common)
    second = Trial(number=118, step=4000, loss=1.25, evaluations=[evaluation(40, 99.9, 1.0)], **common)
    return [first, second]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_numbers_are_whole_at_every_width_and_words_hang_beside_them(width: int, tmp_path: Path) -> None:
    screen = Screen(width)
    screen.display.refresh(trials(tmp_path), {117: "cuda:0/1", 118: "cuda:1/0"})
    lines = screen.table()
    assert set(" ".join(lines).split()) >= NUMBERS
    assert max(map(cell_len, lines)) <= width - 3  # room for the ^C that a terminal echoes
    head = next(line for line in lines if line.lstrip().startswith("slot"))
    shows_words = width >= 80
    assert ("what it tries" in head) == shows_words
    if shows_words:
        column = head.index("what it tries")
        rows = lines[lines.index(head) + 1 :]
        assert sum(bool(re.match(r"\s*cuda", row)) for row in rows) == 2
        assert all(not row[: column - 1].strip() for row in rows if "cuda" not in row)
        words = "".join(row[column:] for row in rows).replace(" ", "")
        assert words.count("rank16,alpha_ratio0.25") == 2


def test_a_low_screen_keeps_every_number_then_counts_what_it_hides(tmp_path: Path) -> None:
    screen = Screen(80, height=12)
    many = [replace(trials(tmp_path)[0], number=number) for number in range(100, 120)]
    screen.display.refresh(many[:8], {})
    lines = screen.table()
    assert len(lines) == 10
    assert all(line.endswith("…") for line in lines[2:])
    screen.display.refresh(many, {})
    lines = screen.table()
    assert len(lines) == 11
    assert lines[-1] == "… and 12 more trials"


def test_a_wrapped_line_leaves_the_column_of_times_free() -> None:
    screen = Screen(80)
    screen.clock.now = 754
    screen.display.line(f"trial 3 starts: {HOSTILE} " + "rank 8, " * 12)
    first, *rest = screen.out.getvalue().splitlines()
    assert first.startswith(" 12:34  trial 3 starts: -whät? [v2] [/a] {1}")
    assert rest and all(line.startswith(" " * 8) and line[8] != " " for line in rest)


def test_the_time_left_counts_training_judging_and_the_finale_but_not_loading(tmp_path: Path) -> None:
    screen = Screen(80)
    screen.clock.now = 100.0  # loading
    assert "loading (100 s)" in screen.table()[0].replace("2 min", "100 s")
    screen.display.hear(BaseLoaded("cpu"))
    assert "measuring how many trials train best at once (0 s)" in screen.table()[0]
    screen.display.hear(READY)
    both = trials(tmp_path)
    both[0].step, both[1].step = 500, 1500
    screen.clock.now = 300.0
    screen.display.refresh(both, {})
    assert math.isnan(screen.display.time_left_s())
    assert "time left is known after the first evaluation" in screen.table()[0]
    screen.display.note_evaluation(8.0)  # 4 pictures, so 2 s each
    # 2000 of 8000 steps in 200 s, then 40 pictures
    assert screen.display.time_left_s() == pytest.approx(600 + 80)
    screen.clock.now += 80
    assert screen.display.time_left_s() == pytest.approx(600)
    screen.clock.now += 800
    assert screen.display.time_left_s() == pytest.approx(340)
    screen.display.finale()
    assert "judging finalists and strengths (0 s)" in screen.table()[0]
    screen.clock.now += 30
    screen.display.note_pictures(10)
    assert screen.display.time_left_s() == pytest.approx(90)
    assert "judging finalists and strengths 25% (30 s), about 90 s left" in " ".join(screen.table()).replace(
        "2 min", "90 s"
    )


def test_a_stopped_study_shows_nothing_of_what_went_on(tmp_path: Path) -> None:
    screen = Screen(80)
    screen.display.hear(READY)
    screen.display.note_evaluation(1.0)
    screen.display.refresh(trials(tmp_path), {})
    screen.display.stopping()
    assert screen.table() == ["pencil: 0/2 trials, stopping: every trial saves its state (0 s)"]


def test_the_pictures_of_the_finale_are_those_that_are_asked_for() -> None:
    config = plan(
        [
            *OVERRIDES,
            "eval.prompts=[a,b,c]",
            "eval.final_prompts=[d,e]",
            "eval.seeds=[0,1]",
            "study.num_trials=9",
            "study.strengths=[0.5,1.2]",
        ]
    ).config
    # 3 finalists x 2 prompts x 4 seeds; 3 strengths x 2 x 2; once more 2 x 4; 3 strengths x 3 steps x 2 prompts
    assert pictures_of_finals(config) == 24 + 12 + 8 + 18
    averages = replace(config, study=replace(config.study, blends=("mean", "soup")))
    assert pictures_of_finals(averages) == pictures_of_finals(config) + 8 + 2 * 8  # two further finalists may be added


def test_the_end_names_every_file_and_a_command_that_can_be_typed(tmp_path: Path) -> None:
    for name in ("card.md", "pytorch_lora_weights.safetensors", "pencil.safetensors", "other"):
        (tmp_path / name).touch()
    lines = files_of(tmp_path)
    assert [line.split()[0] for line in lines] == [
        "pytorch_lora_weights.safetensors",
        "card.md",
        "other",
        "pencil.safetensors",
    ]
    assert lines[3].endswith("the LoRA, for A1111, Forge, ComfyUI")
    assert dashboard_command(Path("my runs [1]")).endswith(" -m sweeper dashboard folder='my runs [1]'")
