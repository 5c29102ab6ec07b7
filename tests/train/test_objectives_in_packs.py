"""Slots with different objectives share a pass: each trains as it would alone, and as plain PyTorch would train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.bases.noising import Diffusion, Flow
from foundation.bases.port import Base
from tests.train.plain_training import plain_training
from tests.train.test_pack import run, weights
from tests.train.test_packed import STEPS, assert_same, doubled, trained
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, LrSchedulerSpec, ObjectiveSpec, OptimizerSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]
TAGS = ("a cup, red, small, in pencil style", "two stars", "", "grass, a ball, in Pencil style, blue, of glass")


def one(seed: int, text_encoder: bool = False, **objective: Any) -> TrialSpec:
    return TrialSpec(
        adapter=AdapterSpec(rank=2, text_encoder=text_encoder),
        optimizer=OptimizerSpec(lr=1e-2),
        lr_scheduler=LrSchedulerSpec(name="constant", warmup=0.0),
        objective=ObjectiveSpec(**objective),
        train=TrainingSpec(steps=STEPS, batch_size=2, seed=seed),
    )


TAGGED: dict[str, Any] = {"shuffle_tags": True, "tag_dropout": 0.4, "keep_tags": 1, "caption_dropout": 0.2}
KINDS: dict[str, list[TrialSpec]] = {
    "epsilon": [
        one(1, debiased=True, loss="huber", huber_schedule="snr", noise_offset=0.05, unmasked_weight=1.0),
        one(2),
        one(
            3, snr_gamma=5.0, multires_iterations=6, multires_discount=0.4, input_perturbation=0.1, unmasked_weight=0.2
        ),
        one(4, prior_weight=0.3, **TAGGED),
        one(5, text_encoder=True, prior_weight=0.0, **TAGGED),
        one(6, loss="smooth_l1", huber_schedule="exponential", huber_c=0.2, prior_weight=0.0, tag_dropout=0.5),
        one(7, text_encoder=True, shuffle_tags=True),
    ],
    "v_prediction": [
        one(1, zero_terminal_snr=True, snr_gamma=5.0),
        one(2, debiased=True, loss="huber"),
        one(3, zero_terminal_snr=True, loss="smooth_l1", huber_schedule="snr", input_perturbation=0.1),
    ],
    "flow": [
        one(1, flow_shift=3.0, loss="huber", huber_schedule="exponential"),
        one(2, flow_density="uniform", multires_iterations=2, input_perturbation=0.2),
        one(3, flow_logit_mean=-0.5, flow_logit_std=1.5, shuffle_tags=True),
    ],
}
"""No two alike, with what a slot's neighbours leave out."""


def asking(kind: str, base: Base) -> Base:
    """A base that is taken to predict this."""
    alphas = base.process.alphas_cumprod
    assert alphas is not None
    base.process = Flow() if kind == "flow" else Diffusion(alphas, kind)  # type: ignore[misc, arg-type]
    return base


@pytest.fixture(scope="module")
def data(tiny_data: EncodedDataset) -> EncodedDataset:
    """With captions of tags, a mask for each picture, and three regularisation pictures."""
    train, others = tiny_data.train, tiny_data.validation
    captions = tuple(TAGS[i % len(TAGS)] for i in range(len(train)))
    masks = torch.rand(len(train), 1, *train.means.shape[2:], generator=torch.Generator().manual_seed(0)).round()
    three = {"means": others.means[:3], "stds": others.stds[:3], "repeats": (1, 1, 1)}
    prior = replace(others, captions=("a cup, red", "stars", "a box"), **three)  # type: ignore[arg-type]
    return replace(
        tiny_data, train=replace(train, captions=captions, masks=masks), regularization=prior, trigger="pencil style"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_in_float64_a_packed_trial_is_the_same_alone_and_in_plain_pytorch(
    kind: str, new_base: NewBase, tiny_spec: BaseSpec, data: EncodedDataset
) -> None:
    def fresh() -> Base:
        return asking(kind, doubled(new_base()))

    losses, parameters = trained(fresh(), data, KINDS[kind])
    for spec, ours, own in zip(KINDS[kind], losses, parameters, strict=True):
        (alone,), (alone_own,) = trained(fresh(), data, [spec])
        plain, plain_own = plain_training(tiny_spec, data, spec, STEPS, torch.float64, kind)
        assert ours == pytest.approx(alone, abs=1e-10)
        assert ours == pytest.approx(plain, abs=1e-10)
        assert_same(own, alone_own, 1e-8)
        assert_same(own, plain_own, 1e-8)


@pytest.mark.parametrize(("kind", "number"), [("epsilon", 2), ("epsilon", 3), ("epsilon", 6), ("flow", 2)])
def test_resumed_equals_uninterrupted(
    kind: str, number: int, tiny_base: Base, data: EncodedDataset, tmp_path: Path
) -> None:
    """To the bit: a resumed slot's captions are embedded anew, with nothing kept from before."""
    spec = KINDS[kind][number]
    pack = Pack(asking(kind, tiny_base), data, num_slots=2)
    pack.admit(KINDS[kind][1])
    slot = pack.admit(spec)
    run(pack, slot, 3)
    pack.save_state(slot, tmp_path / "state")
    through = [report.loss for report in run(pack, slot, 4)]
    expected = weights(pack, slot)
    pack.release(slot)
    pack._texts._kept.clear()
    resumed = pack.admit(spec, resume_from=tmp_path / "state")
    again = [report.loss for report in run(pack, resumed, 4)]
    assert again == through
    assert_same(weights(pack, resumed), expected, 0)


def test_only_captions_that_vary_are_embedded_while_training_and_each_once(
    tiny_base: Base, data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(encode: Callable[[list[str]], torch.Tensor], captions: list[str]) -> torch.Tensor:
        asked.extend(captions)
        return encode(captions)

    monkeypatch.setattr(tiny_base, "encode_texts", partial(counted, tiny_base.encode_texts))
    pack = Pack(tiny_base, data, num_slots=3)
    pack.admit(one(0, noise_offset=0.1))
    pack.admit(one(1, text_encoder=True, tag_dropout=0.5))
    run(pack, 0, 3)
    assert asked == []
    varying = pack.admit(one(2, tag_dropout=0.5))
    run(pack, varying, STEPS)
    assert len(asked) == len(set(asked)) > 4


def test_a_varied_caption_is_embedded_by_the_plain_text_encoder(tiny_base: Base, data: EncodedDataset) -> None:
    pack = Pack(tiny_base, data, num_slots=1)
    plain = tiny_base.encode_texts(["two stars"])
    slot = pack.admit(replace(one(0, text_encoder=True), optimizer=OptimizerSpec(lr=0.1)))
    run(pack, slot, 3)
    assert torch.equal(pack._texts.embeddings(["two stars"]), plain)
    with pack.acting([slot]) as base:
        assert not torch.equal(base.encode_texts(["two stars"]), plain)


def test_an_objective_that_the_base_cannot_have_leaves_the_slot_free(tiny_base: Base, data: EncodedDataset) -> None:
    pack = Pack(tiny_base, data, num_slots=1)
    with pytest.raises(ValueError, match="needs a base that predicts v"):
        pack.admit(one(0, zero_terminal_snr=True))
    assert pack.free == [0]
    pack.admit(one(0))
