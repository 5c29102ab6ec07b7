"""Probed side by side as trained alone; a rate that breaks is told apart, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eval.spec import EvalSpec
from foundation.bases.port import Base
from foundation.data.dataset import Dataset
from sweeper.records.messages import Probe
from sweeper.worker.judging import Judging
from sweeper.worker.probing import answer
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, OptimizerSpec, TrainingSpec, TrialSpec

JUDGE = EvalSpec(
    clip="pocket",
    prompts=("a red cup on grass, {trigger}",),
    unrelated_prompts=("a green box on sand, in photo style",),
    seeds=(0,),
    sample_steps=2,
    timestep_bins=2,
    noises_per_bin=1,
)


def spec(lr: float) -> TrialSpec:
    train = TrainingSpec(steps=3, batch_size=2, clip_norm=1e9)
    return TrialSpec(adapter=AdapterSpec(rank=2), optimizer=OptimizerSpec(name="sgd", lr=lr), train=train)


def test_what_a_probe_says_is_what_each_training_says_alone(
    new_base: Callable[[], Base], tiny_dataset: Dataset, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    def judging(pack: Pack) -> Judging:
        return Judging(pack, tiny_dataset, tiny_data, JUDGE, "in pencil style", tmp_path / "cache")

    pack = Pack(new_base(), tiny_data, num_slots=2)
    passes: list[int] = []
    rates = (1e-2, 1e-1, 1e30)  # three trainings in two slots, the last of which breaks
    probed = answer(pack, judging(pack), Probe(specs=tuple(map(spec, rates))), lambda: passes.append(1))
    assert pack.free == [0, 1] and len(passes) >= 5
    assert probed.base == pytest.approx(judging(pack).judge_base(JUDGE).validation_losses)
    assert probed.losses[2] == ()
    for rate, losses in zip(rates[:2], probed.losses, strict=False):
        alone = Pack(new_base(), tiny_data, num_slots=1)
        slot = alone.admit(spec(rate))
        for _ in range(3):
            alone.step()
        expected = judging(alone).validate([slot])[0].double().mean(1)
        assert losses == pytest.approx(expected.tolist(), rel=1e-5)
        assert losses != pytest.approx(probed.base, rel=1e-6)
