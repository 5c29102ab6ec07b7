"""Averages of finalists' checkpoints: which are made, of what, when one is taken, and that everything knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from eval.evaluation import Evaluation
from foundation.adapters.exports import read_adapter
from foundation.adapters.exports.layers import layers_of
from foundation.adapters.files import WEIGHTS_FILE
from foundation.errors import ConfigError
from foundation.files.sums import damage
from sweeper.records.config import Config
from sweeper.records.history import read_config, read_evaluations
from sweeper.records.messages import Rescore, Rescored
from sweeper.records.paths import trial_of
from sweeper.records.trainings import Training
from sweeper.records.trials import Trial, steps_of_mean
from sweeper.results.blends import blends_of
from sweeper.results.fresh import Fresh, fresh_seeds, judge_afresh
from sweeper.results.how_chosen import how_chosen
from sweeper.search.space import plan
from sweeper.study.display import Display
from sweeper.study.trial_end import prune_checkpoints
from tests.sweeper.fake_worker import OVERRIDES, evaluation, trial

LAYER = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
MEAN, SOUP = Training(1, kind="mean").number, Training(1, kind="soup").number
PLAIN, WORSE, BETTER = (50.0, 60.0, 70.0), (30.0, 41.0, 50.0), (56.0, 65.0, 75.0)
"""What a checkpoint comes to, prompt by prompt."""
Table = Mapping[tuple[int, int], Sequence[float] | None]
"""The same by training and step; none for one that is overfit."""


def saved(study: Path, number: int, *courses: tuple[int, float], kind: str = "lora") -> Trial:
    """A finished trial with checkpoints at these steps, of these scores, whose LoRAs of rank 2 are random."""
    made = trial(number, *(evaluation(step, score) for step, score in courses))
    made.folder = trial_of(study, number)
    for step, _ in courses:
        folder = made.checkpoint(step)
        folder.mkdir(parents=True)
        chance = torch.Generator().manual_seed(1000 * number + step)
        factors = {"lora_A": (2, 8), "lora_B": (8, 2)}
        tensors = {f"{LAYER}.{each}.weight": torch.randn(size, generator=chance) for each, size in factors.items()}
        if kind == "dora":
            tensors[f"{LAYER}.lora_magnitude_vector"] = torch.ones(8)
        save_file(tensors, folder / WEIGHTS_FILE, {"format": "pt"})
    (made.folder / "config.yaml").write_text(f"train: {{seed: {number}}}\n")
    return made


class Judge:
    """A supervisor whose workers judge by a table, the same in every round."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.asked: list[tuple[int, int]] = []

    def answers(self, questions: Sequence[Rescore]) -> list[Rescored]:
        found = []
        for each in questions:
            assert damage(each.checkpoint) == "" and (each.checkpoint / WEIGHTS_FILE).is_file()
            self.asked.append((each.trial, each.step))
            each.out.mkdir(parents=True, exist_ok=True)
            prompts = self.table[each.trial, each.step]
            made = replace(_evaluation(each.step, prompts or PLAIN), overfit_index=0.0 if prompts else 0.9)
            found.append(
                Rescored(trial=each.trial, evaluation=made, base=made, pictures=each.out, base_pictures=each.out)
            )
        return found


def _evaluation(step: int, prompts: Sequence[float]) -> Evaluation:
    return replace(evaluation(step, sum(prompts) / len(prompts)), prompt_scores=tuple(prompts))


def chosen(table: Table, trials: Sequence[Trial], *overrides: str) -> tuple[Fresh, Judge, Config]:
    config = plan([*OVERRIDES, "study.blends=[mean,soup]", "study.finalist_rounds=1", *overrides]).config
    judge = Judge(table)
    return judge_afresh(judge, Display("one", 3, 80), list(trials), config), judge, config  # type: ignore[arg-type]


def update(checkpoint: Path) -> Tensor:
    (layer,) = layers_of(read_adapter(checkpoint).parts["unet"], "a test")
    return layer.scale * layer.tensors["lora_B"].double() @ layer.tensors["lora_A"].double()


def nearest(matrix: Tensor, rank: int) -> Tensor:
    U, S, Vh = torch.linalg.svd(matrix)
    return (U[:, :rank] * S[:rank]) @ Vh[:rank]


def test_a_mean_is_of_the_best_and_the_clean_ones_next_to_it() -> None:
    course = [evaluation(40, 30.0), evaluation(80, 50.0), evaluation(120, 40.0), evaluation(160, 45.0)]
    assert steps_of_mean(course, 0.5) == (40, 80, 120)
    assert steps_of_mean(course[2:], 0.5) == (120, 160)
    assert steps_of_mean([*course[:2], evaluation(120, 40.0, 0.9)], 0.5) == (40, 80)
    assert steps_of_mean([evaluation(40, 30.0)], 0.5) == steps_of_mean([evaluation(40, 30.0, 0.9)] * 2, 0.5) == ()
    assert steps_of_mean([], 0.5) == ()


def test_what_a_mean_is_of_stays_until_the_choice(tmp_path: Path) -> None:
    ended = saved(tmp_path, 1, (40, 30.0), (80, 35.0), (120, 60.0), (160, 45.0), (200, 40.0))
    there = lambda: [int(path.name[-3:]) for path in sorted((ended.folder / "checkpoints").iterdir())]  # noqa: E731
    assert set(prune_checkpoints(ended, "best", of_mean=True)) == {"best", "last"}
    assert there() == [80, 120, 160, 200]
    prune_checkpoints(ended, "best")
    assert there() == [120, 200]


def test_the_soup_takes_in_whatever_makes_it_better_and_is_the_mean_of_these(tmp_path: Path) -> None:
    trials = [saved(tmp_path, 1, (40, 60.0)), saved(tmp_path, 2, (80, 50.0)), saved(tmp_path, 3, (40, 40.0))]
    table = {(1, 40): PLAIN, (2, 80): (44, 55, 65), (3, 40): (40, 51, 60), (SOUP, 120): WORSE, (SOUP, 80): BETTER}
    fresh, judge, config = chosen(table, trials)
    assert judge.asked == [(1, 40), (2, 80), (3, 40), (SOUP, 120), (SOUP, 80)]
    soup = fresh.winner
    assert (soup.number, soup.name) == (SOUP, "1 soup")
    assert soup.reason.startswith("soup of trial 1 at step 40 and trial 3 at step 40, at rank 2, but for ")
    mean = (update(trials[0].checkpoint(40)) + update(trials[2].checkpoint(40))) / 2
    assert torch.allclose(update(soup.checkpoint(80)), nearest(mean, 2), atol=1e-5)
    assert f"but for {(mean - nearest(mean, 2)).norm() / mean.norm():.1%} of what it adds" in soup.reason
    assert not soup.checkpoint(120).exists() and not list((soup.folder / "samples").glob("*120"))
    words = how_chosen(
        soup, fresh.rescored, soup.evaluations[0], (), fresh.settings, fresh.comparison, config, fresh.blends
    )
    assert f"Trial 1 soup is the {soup.reason}. Trial 1 soup is better than each of the others" in words


def test_it_lies_and_is_told_as_a_training_that_has_ended(tmp_path: Path) -> None:
    one = saved(tmp_path, 1, (40, 30.0), (80, 60.0))
    fresh, _, _ = chosen({(1, 80): PLAIN, (MEAN, 80): BETTER}, [one])
    mean = fresh.winner
    assert mean.folder == tmp_path / "reruns/0001-mean"
    assert read_config(mean.folder) == read_config(one.folder)
    assert read_evaluations(mean.folder) == [fresh.rescored[MEAN].evaluation] == mean.evaluations
    (told,) = blends_of(tmp_path, {1: one})
    assert (told.number, told.status, told.reason) == (MEAN, "finished", mean.reason)
    assert told.evaluations == mean.evaluations and told.checkpoint(80) == mean.checkpoint(80)
    before = {path: path.read_bytes() for path in mean.folder.rglob("*") if path.is_file()}
    chosen({(1, 80): PLAIN, (MEAN, 80): BETTER}, [one])  # again, after a kill
    assert {path: path.read_bytes() for path in mean.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("blend", [(51.0, 59.0, 71.0), WORSE, None])
def test_one_that_is_not_better_by_a_standard_error_or_is_overfit_is_not_taken(
    blend: Sequence[float] | None, tmp_path: Path
) -> None:
    trials = [saved(tmp_path, 1, (40, 30.0), (80, 60.0)), saved(tmp_path, 2, (80, 50.0))]
    fresh, judge, _ = chosen({(1, 80): PLAIN, (2, 80): WORSE, (MEAN, 80): blend, (SOUP, 160): blend}, trials)
    assert (MEAN, 80) in judge.asked and (SOUP, 160) in judge.asked
    assert fresh.winner.number == 1
    if blend is None or blend is WORSE:
        assert not trial_of(tmp_path, SOUP).exists()


def test_what_cannot_be_averaged_is_left_out_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials = [saved(tmp_path, 1, (40, 30.0), (80, 60.0)), saved(tmp_path, 2, (80, 50.0), kind="dora")]
    trials[0].checkpoint(40).rename(tmp_path / "gone")
    fresh, judge, _ = chosen({(1, 80): PLAIN, (2, 80): WORSE}, trials)
    assert judge.asked == [(1, 80), (2, 80)] and fresh.winner.number == 1
    said = capsys.readouterr().out
    assert "no mean of steps 40 and 80 of trial 1: " in said
    assert "no soup of trial 1 at step 80 and trial 2 at step 80: an average takes no DoRA" in said
    assert not (tmp_path / "reruns").exists()


def test_none_are_made_where_none_are_wanted(tmp_path: Path) -> None:
    one = saved(tmp_path, 1, (40, 30.0), (80, 60.0))
    _, judge, _ = chosen({(1, 80): PLAIN}, [one], "study.blends=[]")
    assert judge.asked == [(1, 80)]


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("repeats=2", "study: blends are tried with repeats=1, got 2; leave one out"),
        ("objectives=[style,prompt_match]", "study: blends take one objective, got style, prompt_match"),
        ("blends=[mean,mean]", "study: blends must differ from one another, got ['mean', 'mean']"),
        ("blends=[stew]", "study.blends.0 must be one of mean, soup, got 'stew'"),
    ],
)
def test_where_they_cannot_be_compared_they_are_refused(setting: str, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan([*OVERRIDES, "study.blends=[mean,soup]", f"study.{setting}"])
    assert str(refused.value) == line


def test_seeds_are_those_that_the_finalists_had(tmp_path: Path) -> None:
    config = plan([*OVERRIDES, "study.blends=[mean]"]).config
    seen = []

    class Noting(Judge):
        def answers(self, questions: Sequence[Rescore]) -> list[Rescored]:
            seen.extend((each.seeds, each.all_seeds) for each in questions)
            return super().answers(questions)

    one = saved(tmp_path, 1, (40, 30.0), (80, 60.0))
    judge = Noting({(1, 80): PLAIN, (MEAN, 80): WORSE})
    judge_afresh(judge, Display("one", 3, 80), [one], config)  # type: ignore[arg-type]
    assert set(seen) == {(fresh_seeds(config), fresh_seeds(config))} and len(seen) == 2
