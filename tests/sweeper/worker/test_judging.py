"""Slots that are judged together get the verdicts and the pictures that each would get alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval.evaluation import Evaluation
from eval.spec import EvalSpec
from eval.validation import losses_of_base, validation_set
from foundation.adapters.files import put_on
from foundation.bases.port import Base
from foundation.data.dataset import Dataset
from sweeper.records.messages import Draw
from sweeper.records.pictures import sheets
from sweeper.worker.judging import Due, Judging
from tests.acme_package import install_acme
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, OptimizerSpec, TrainingSpec, TrialSpec

SPEC = EvalSpec(
    clip="pocket",
    prompts=("a red cup on grass, {trigger}", "a blue star at night, {trigger}"),
    final_prompts=("a pink moon on snow, {trigger}", "a brown heart at night, {trigger}"),
    unrelated_prompts=("a green box on sand, in photo style",),
    seeds=(0, 1),
    sample_steps=2,
    guidance_scale=3.0,
    timestep_bins=2,
    noises_per_bin=1,
    batch_rows=8,
)


@pytest.fixture
def pack(new_base: Callable[[], Base], tiny_data: EncodedDataset) -> Pack:
    """Two slots that have learned different things, the second one in the text encoder, too."""
    pack = Pack(new_base(), tiny_data, num_slots=2)
    for rank, lr in ((2, 0.02), (4, 0.05)):
        train = TrainingSpec(steps=9, batch_size=2, seed=rank)
        adapter = AdapterSpec(rank=rank, text_encoder=rank == 4)
        pack.admit(TrialSpec(adapter=adapter, optimizer=OptimizerSpec(lr=lr), train=train))
    for _ in range(3):
        pack.step()
    return pack


def test_judged_together_as_judged_alone(
    pack: Pack, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    judging = Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path / "cache")

    def due(slot: int, folder: str) -> Due:
        return Due(slot=slot, step=3, history=[], pictures=tmp_path / folder)

    together = judging.judge([due(0, "t0"), due(1, "t1")])
    alone = [*judging.judge([due(0, "a0")]), *judging.judge([due(1, "a1")])]
    for packed, single in zip(together, alone, strict=True):
        assert packed.score == pytest.approx(single.score, abs=0.2)  # pictures are rounded to 8 bits
        assert packed.validation_losses == pytest.approx(single.validation_losses, rel=1e-5)
    assert alone[0].validation_losses != pytest.approx(alone[1].validation_losses, rel=1e-3)
    for slot in (0, 1):
        names = sorted(path.name for path in (tmp_path / f"a{slot}").iterdir())
        assert names == sorted(path.name for path in (tmp_path / f"t{slot}").iterdir())
        for name in names:
            packed, single = (np.asarray(Image.open(tmp_path / f"{k}{slot}" / name), dtype=int) for k in "ta")
            assert np.abs(packed - single).max() <= 1


def test_a_slot_is_judged_as_its_file_is_by_all_who_load_it(
    pack: Pack, new_base: Callable[[], Base], tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    spec = replace(SPEC, final_prompts=())  # both are drawn by the same prompts
    judging = Judging(pack, tiny_dataset, tiny_data, spec, "in pencil style", tmp_path / "cache")
    slots = judging.judge([Due(slot=slot, step=3, history=[], pictures=tmp_path / f"s{slot}") for slot in (0, 1)])
    base_losses = judging.judge_base(spec).validation_losses
    for number, of_slot in enumerate(slots):
        pack.save_adapter(number, tmp_path / f"lora{number}")
        of_file = judging.judge_file(tmp_path / f"lora{number}", 3, tmp_path / f"f{number}", spec.seeds)
        fresh = new_base()
        put_on(fresh.pipeline, tmp_path / f"lora{number}", "judged")
        (losses,) = losses_of_base(validation_set(fresh, tiny_dataset.validation, spec.strata), fresh, 8)
        assert of_slot.validation_losses == pytest.approx(losses.mean(1).tolist(), rel=1e-4)
        assert of_file.validation_losses == pytest.approx(of_slot.validation_losses, rel=1e-4)
        for file in (tmp_path / f"s{number}").glob("*seed*.png"):
            drawn, loaded = (np.asarray(Image.open(tmp_path / f"{k}{number}" / file.name), dtype=int) for k in "sf")
            assert np.abs(drawn - loaded).max() <= 1
    assert judging.judge_base(spec).validation_losses == base_losses
    with pack.acting([1]) as base:
        taught = base.encode_texts([picture.caption for picture in tiny_dataset.validation])
    assert (taught - tiny_data.validation.embeddings).abs().max() > 0.01


def test_a_close_call_is_judged_by_more_seeds_as_if_they_had_been_drawn_at_once(
    pack: Pack, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    def judged(folder: str, best: tuple[float, ...] = (80.0, 15.0), **changes: object) -> list[Evaluation]:
        spec = replace(SPEC, **changes)  # type: ignore[arg-type]
        judging = Judging(pack, tiny_dataset, tiny_data, spec, "in pencil style", tmp_path / "cache")
        better = replace(judging.judge_base(spec), score=50.0, prompt_scores=best)
        return judging.judge(
            [
                Due(slot=0, step=3, history=[better], pictures=tmp_path / folder / "0"),
                Due(slot=1, step=3, history=[], pictures=tmp_path / folder / "1"),
            ]
        )

    usual = judged("usual", seeds=(0, 1), unrelated_seeds=1)
    all_at_once = judged("all", seeds=(0, 1, 5), unrelated_seeds=1)
    assert [(each.past_best, each.overfit_index >= 0.5) for each in usual] == [(False, True), (False, False)]
    found = judged("close", seeds=(0, 1), tiebreak_seeds=(5,), unrelated_seeds=1)
    assert found[0].prompt_scores == pytest.approx(all_at_once[0].prompt_scores, abs=0.1)
    assert found[0].prompt_scores != pytest.approx(usual[0].prompt_scores, abs=0.1)
    assert found[1].prompt_scores == pytest.approx(usual[1].prompt_scores, abs=0.1)
    judged("sure", (50.0, 51.0), seeds=(0, 1), tiebreak_seeds=(5,), unrelated_seeds=1)
    pictures = {
        folder: [len(list((tmp_path / folder / slot).glob("*seed*.png"))) for slot in ("0", "1")]
        for folder in ("close", "sure")
    }
    assert pictures == {"close": [2 * 3 + 1, 2 * 2 + 1], "sure": [2 * 2 + 1, 2 * 2 + 1]}


def test_what_has_learned_nothing_is_judged_by_a_screening(
    pack: Pack, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    def judged(folder: str, first: float, **changes: object) -> list[Evaluation]:
        spec = replace(SPEC, **changes)  # type: ignore[arg-type]
        judging = Judging(pack, tiny_dataset, tiny_data, spec, "in pencil style", tmp_path / "cache")
        before = replace(judging.judge_base(spec), score=first, prompt_scores=(first, first + 1))
        history = ([before], [])
        return judging.judge(
            [
                Due(slot=slot, step=3, history=past, pictures=tmp_path / folder / str(slot))
                for slot, past in enumerate(history)
            ]
        )

    def drawn(folder: str) -> list[int]:
        return [len(list((tmp_path / folder / slot).glob("*seed*.png"))) for slot in ("0", "1")]

    by_one, by_two = judged("one", 0.0, prompts=SPEC.prompts[:1], seeds=(0,)), judged("two", 0.0, seeds=(0, 1))
    scores = [evaluation.score for evaluation in by_one]
    assert scores[0] != pytest.approx(scores[1], abs=0.1)
    between, idle = (scores[0] + scores[1]) / 2, {"screening_above": 0.0}
    staged = judged(
        "staged", 0.0, seeds=(0, 1), tiebreak_seeds=(5,), screening_prompts=1, **idle, screening_below=between
    )
    weak = scores.index(min(scores))
    assert drawn("staged") == [1 if slot == weak else 2 * 2 + 2 for slot in (0, 1)]
    for slot, alone in enumerate(by_one if each == weak else by_two for each in (0, 1)):
        assert staged[slot].prompt_scores == pytest.approx(alone[slot].prompt_scores, abs=0.1)
        assert staged[slot].metrics["drift"] == pytest.approx(alone[slot].metrics["drift"], abs=0.02, nan_ok=True)
    shown = sheets(SPEC, "in pencil style", tmp_path / "staged" / str(weak))
    assert [name for name, _ in shown] == ["samples/01 a red cup on grass, in pencil style"]
    judged("fallen", 50.0, seeds=(0, 1), tiebreak_seeds=(5,), screening_prompts=1, **idle, screening_below=100.0)
    assert drawn("fallen") == [2 * 2 + 2, 1]  # against the first its pictures speak, and surely


def test_a_look_at_the_validation_loss_is_the_evaluations(
    pack: Pack, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    judging = Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path / "cache")
    evaluation = judging.judge([Due(slot=1, step=3, history=[], pictures=tmp_path / "pictures")])[0]
    both = judging.validate([0, 1])
    seen = judging.validation(3, both[1])
    assert seen.losses == pytest.approx(evaluation.validation_losses, rel=1e-5)
    assert seen.ratio == pytest.approx(evaluation.metrics["val_ratio"], rel=1e-5)
    assert judging.validation(3, both[0]).ratio != pytest.approx(seen.ratio, rel=1e-3)


@pytest.fixture
def checkpoint(pack: Pack, tmp_path: Path) -> Path:
    """What the second slot has learned, as a file."""
    pack.save_adapter(1, tmp_path / "lora")
    return tmp_path / "lora"


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file), dtype=int)


def test_fewer_seeds_are_judged_from_what_was_drawn_as_if_drawn_alone(
    pack: Pack, checkpoint: Path, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    judging = Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path / "cache")
    judging.judge_file(checkpoint, 3, tmp_path / "all", (7, 8, 9), 0.8)
    fewer = judging.judge_file(checkpoint, 3, tmp_path / "none", (7, 8), 0.8)
    assert not (tmp_path / "none").exists()
    assert judging.base_pictures(SPEC.for_finalists((7, 8))) == judging.base_pictures(SPEC.for_finalists((7, 8, 9)))
    afresh = Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path / "another cache")
    alone = afresh.judge_file(checkpoint, 3, tmp_path / "alone", (7, 8), 0.8)
    assert fewer.prompt_scores == pytest.approx(alone.prompt_scores, abs=0.5)  # pictures are rounded to 8 bits
    assert fewer.metrics["diversity"] == pytest.approx(alone.metrics["diversity"], abs=0.02)
    assert fewer.validation_losses == alone.validation_losses
    names = [path.name for path in (tmp_path / "alone").iterdir() if "-seed" in path.name]
    assert len(names) == 2 * (2 + 1)
    pack.save_adapter(0, checkpoint)  # another one in its place
    another = judging.judge_file(checkpoint, 3, tmp_path / "another", (7, 8), 0.8)
    assert another.validation_losses != alone.validation_losses and (tmp_path / "another").exists()
    for name in names:
        assert np.abs(pixels(tmp_path / "alone" / name) - pixels(tmp_path / "all" / name)).max() <= 1


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_damaged_reference_is_computed_again_and_put_right(
    keep: int, pack: Pack, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path)
    (file,) = tmp_path.glob("reference-*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path)
    assert file.read_bytes() == whole


def test_a_packages_metric_is_measured_by_the_same_reference_and_its_failure_said_once(
    pack: Pack, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install_acme(tmp_path / "site", wrong=True))
    Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path / "cache")
    files = sorted(tmp_path.glob("cache/*"))
    spec, said = replace(SPEC, metrics=("nearest", "raises")), list[str]()
    judging = Judging(pack, tiny_dataset, tiny_data, spec, "in pencil style", tmp_path / "cache", say=said.append)
    due = [Due(slot=slot, step=3, history=[], pictures=tmp_path / str(slot)) for slot in (0, 1)]
    found = [*judging.judge(due), judging.judge_base(spec)]
    assert all(-1 < each.metrics["nearest"] < 1 and np.isnan(each.metrics["raises"]) for each in found)
    assert len(said) == 1 and said[0].startswith("metric raises is not measured: the package acme-wrong")
    assert sorted(tmp_path.glob("cache/*")) == files


def test_finalists_are_drawn_by_their_own_prompts_at_their_strength(
    pack: Pack, checkpoint: Path, tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    judging = Judging(pack, tiny_dataset, tiny_data, SPEC, "in pencil style", tmp_path / "cache")
    weak = judging.judge_file(checkpoint, 3, tmp_path / "weak", (0, 1), 0.4)
    full = judging.judge_file(checkpoint, 3, tmp_path / "full", (0, 1))
    assert weak.validation_losses != full.validation_losses
    judging.draw_file(Draw(checkpoint=checkpoint, out=tmp_path / "drawn", prompts=1, seed=0, strength=0.4))
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["prompt00-seed0.png"]
    drawn = pixels(tmp_path / "drawn" / "prompt00-seed0.png")
    assert np.abs(drawn - pixels(tmp_path / "weak" / "prompt00-seed0.png")).max() <= 1
    with pack.acting_file(checkpoint, 0.4) as base:
        generator = torch.Generator().manual_seed(0)
        prompt = "a pink moon on snow, in pencil style"
        plain = base.pipeline(prompt, num_inference_steps=2, guidance_scale=3.0, generator=generator).images[0]
    assert np.abs(drawn - np.asarray(plain, dtype=int)).max() <= 1
