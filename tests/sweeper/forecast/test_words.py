"""What a study says that it will take, by memory that was counted beforehand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foundation.bases.memory import BaseMemory
from foundation.tensor_memory import Growth
from sweeper.forecast.at_start import _is_small
from sweeper.forecast.largest import largest_trial
from sweeper.forecast.memory import Memory
from sweeper.forecast.words import fits_line, forecast_lines, lines_at_start, memory_table
from sweeper.records.costs import Cost, Costs, Spent
from sweeper.records.history import append_costs
from sweeper.records.paths import trial_of
from sweeper.search.space import plan
from sweeper.study_command import main
from train.memory import TrainingMemory, state_per_number
from train.spec import OptimizerSpec

GB = 10**9


def memory(device: str = "cuda", batch_rows: int = 64) -> Memory:
    """1 GB of weights; a slot trains with 1 GB, each row and each picture takes 0.1 GB."""
    return Memory(
        base=BaseMemory(
            weights={"unet": GB},
            encoding=Growth(GB, GB),
            denoising=Growth(GB, GB + GB // 10),
            decoding=Growth(GB, GB + GB // 10),
        ),
        training=TrainingMemory(peak=Growth(2 * GB, 3 * GB), adapter=10**6, state=2 * 10**6, flops=10**12),
        pictures_rows=2,
        batch_rows=batch_rows,
        device=device,
        process=GB // 2,
    )


def test_peaks_are_those_of_tensors_and_what_is_beside_them() -> None:
    on_cuda, on_cpu = memory(), memory("cpu")
    assert on_cuda.training_peak(1) == pytest.approx(0.7e9 + 2e9)
    assert on_cuda.training_peak(3) - on_cuda.training_peak(2) == pytest.approx(1e9)
    assert on_cpu.training_peak(1) == pytest.approx(0.5e9 + 0.06e9 + 2e9)
    assert on_cuda.judging_peak(1) == pytest.approx(0.7e9 + 1e9 + 6.3e9 + 6e6)
    assert on_cuda.judging_peak(1, batch_rows=2) == pytest.approx(0.7e9 + 1e9 + 0.1e9 + 6e6)
    assert on_cuda.peak(1) == on_cuda.judging_peak(1)
    assert replace(on_cuda, spared=GB // 2).training_peak(1) == on_cuda.training_peak(1) - GB // 2


def test_slots_and_rows_are_as_many_as_fit() -> None:
    assert memory().slots_in(5 * GB, 8) == 2
    assert memory().slots_in(50 * GB, 8) == 8
    assert memory().slots_in(2 * GB, 8) == 0
    assert memory().rows_in(50 * GB, 1) == 64
    assert memory().rows_in(5 * GB, 1) == 16
    assert memory().rows_in(1 * GB, 1) == 0


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (50, "cuda:0 has 50 GB: 4 of up to 4 trials at once fit, with 5.7 GB"),
        (5, "2 of up to 4 trials at once fit, with 3.7 GB; judging wants eval.batch_rows=16 (it is 64)"),
        (2, "not one trial fits; try train.activation_checkpointing=true"),
    ],
)
def test_a_line_says_what_fits_and_what_to_set(total: int, expected: str) -> None:
    config = plan(["+experiment=pencil"]).config
    line = fits_line(config, memory(), total * GB, "cuda:0")
    assert line.startswith("memory: cuda:0 has") and expected in line


def test_a_table_has_each_count_with_whether_it_fits() -> None:
    rows = [line.split() for line in memory_table(memory(batch_rows=2), 5 * GB)]
    assert [(row[0], row[-1]) for row in rows[1:]] == [("1", "yes"), ("2", "yes"), ("4", "no"), ("8", "no")]


def test_time_is_by_what_was_measured_as_soon_as_it_was(tmp_path: Path) -> None:
    request = plan(["+experiment=pencil", f"study.folder={tmp_path}", "study.num_trials=4"])
    config, trial, cpu = request.config, request.config.trial, torch.device("cpu")
    (before,) = [line for line in forecast_lines(config, trial, memory("cpu"), cpu) if line.startswith("time:")]
    assert "4 trainings, or more, if none ends early" in before
    costs = Costs(training=Cost(seconds=1000.0), judging=Cost(seconds=800.0))
    (folder := trial_of(tmp_path / config.study.name, 0)).mkdir(parents=True)
    append_costs(folder, Spent(step=40, costs=costs))
    (after,) = [line for line in forecast_lines(config, trial, memory("cpu"), cpu) if line.startswith("time:")]
    assert after == "time: 2.0 device hours for 4 trainings, by the 1 of this study so far"


def test_the_largest_trial_is_of_all_that_is_searched() -> None:
    request = plan(["+experiment=pencil", "adapter.rank=choice(4,64)", "train.batch_size=choice(1,4)"])
    trial, kept = largest_trial(request)
    assert (trial.adapter.rank, trial.train.batch_size, trial.adapter.targets) == (64, 4, "attention+ff")
    assert kept == state_per_number(OptimizerSpec(name="prodigy", lr=1.0))


def test_what_is_small_needs_no_forecast(tmp_path: Path) -> None:
    base = plan(["+experiment=pencil"]).config.base
    assert _is_small(base)
    with (tmp_path / "unet.safetensors").open("wb") as file:
        file.truncate(2 * GB)  # a hole: it takes no place
    assert not _is_small(replace(base, path=str(tmp_path)))
    assert not _is_small(replace(base, path="owner/model"))


def test_forecast_of_the_embedded_example_and_nothing_else_happens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["+experiment=pencil", f"study.folder={tmp_path}", "adapter.targets=attention", "adapter.rank=4"]
    assert main([*overrides, "forecast=true"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("the largest trial: lora of rank 4 on attention, batches of 4, pocket at 64² in fp32\n")
    assert "weights: 0.0118 GB" in said and "trials at once fit" in said and "disk: at most" in said
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]  # the drawn pictures, as a study draws them
    request = plan(overrides)
    (line,) = lines_at_start(request, request.config)
    assert line.partition(", with")[0] in said
