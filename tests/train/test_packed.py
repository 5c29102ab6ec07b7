"""K trials over one base in one pass: each trains as it would alone, and as PEFT and PyTorch alone would train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from foundation.bases.port import Base
from tests.train.plain_training import plain_training
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import (
    AdapterSpec,
    BaseSpec,
    LrSchedulerSpec,
    ObjectiveSpec,
    OptimizerName,
    OptimizerSpec,
    TrainingSpec,
    TrialSpec,
)

NewBase = Callable[[], Base]
OPTIMIZERS: dict[OptimizerName, float] = {"adamw": 1e-2, "adamw8bit": 1e-2, "lion": 1e-3, "prodigy": 1.0}
STEPS = 10
CONV = ("conv1", "conv_shortcut", "to_k", "proj_in", "downsamplers.0.conv")


def one(
    name: OptimizerName, seed: int, adapter: AdapterSpec, schedule: str = "cosine", accumulation: int = 1
) -> TrialSpec:
    return TrialSpec(
        adapter=adapter,
        optimizer=OptimizerSpec(name=name, lr=OPTIMIZERS[name]),
        lr_scheduler=LrSchedulerSpec(name=schedule, warmup=0.0 if schedule == "constant" else 0.2),  # type: ignore[arg-type]
        objective=ObjectiveSpec(snr_gamma=5.0, noise_offset=0.03, caption_dropout=0.2) if seed % 2 else ObjectiveSpec(),
        train=TrainingSpec(steps=STEPS, batch_size=2, seed=seed, gradient_accumulation=accumulation),
    )


FIVE = [
    one("adamw", 1, AdapterSpec(rank=4, alpha_ratio=0.5, targets="attention+ff")),
    one("lion", 2, AdapterSpec(rank=2, dropout=0.3, targets="attention"), "constant"),
    one("prodigy", 3, AdapterSpec(rank=7, alpha_ratio=0.25, rslora=True, targets=CONV), "linear"),
    one("adamw8bit", 4, AdapterSpec(rank=1, dropout=0.1, targets="attention+ff"), "constant_with_warmup", 2),
    one(
        "adamw",
        5,
        AdapterSpec(rank=4, rank_pattern={"to_q": 8, "conv1": 3}, alpha_pattern={"to_k": 2.0}, targets=(*CONV, "to_q")),
    ),
]
"""No two alike: optimizer, rank, alpha, dropout, targets, objective, schedule, accumulation."""


def doubled(base: Base) -> Base:
    base.denoiser.double()
    base.text_encoder.double()
    base.dtype = torch.float64
    return base


def trained(
    base: Base, data: EncodedDataset, specs: list[TrialSpec], activation_checkpointing: bool = False
) -> tuple[list[list[float]], list[list[torch.Tensor]]]:
    """Losses and parameters of trials that train together to their ends."""
    pack = Pack(base, data, len(specs), activation_checkpointing=activation_checkpointing)
    slots = [pack.admit(spec) for spec in specs]
    losses: dict[int, list[float]] = {slot: [] for slot in slots}
    while not all(pack.is_finished(slot) for slot in slots):
        for report in pack.step():
            assert report.failure is None
            losses[report.slot].append(report.loss)
    return [losses[slot] for slot in slots], [[p.detach() for p in pack._slot(slot).parameters] for slot in slots]


def assert_same(ours: list[torch.Tensor], theirs: list[torch.Tensor], atol: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_in_float64_a_packed_trial_is_the_same_alone_and_in_plain_peft(
    count: int, new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    # bitsandbytes has no 8-bit optimizer for float64: its place is taken here, and it has a test of its own.
    specs = [
        s if s.optimizer.name != "adamw8bit" else replace(s, optimizer=OptimizerSpec(lr=1e-2)) for s in FIVE[:count]
    ]
    losses, parameters = trained(doubled(new_base()), tiny_data, specs)
    for spec, ours, own in zip(specs, losses, parameters, strict=True):
        (alone,), (alone_own,) = trained(doubled(new_base()), tiny_data, [spec])
        plain, plain_own = plain_training(tiny_spec, tiny_data, spec, STEPS, torch.float64)
        assert ours == pytest.approx(alone, abs=1e-10)
        assert ours == pytest.approx(plain, abs=1e-10)
        assert_same(own, alone_own, 1e-8)
        assert_same(own, plain_own, 1e-8)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_float32_too_with_every_optimizer(
    name: OptimizerName, new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    spec = one(name, 6, AdapterSpec(rank=4, alpha_ratio=0.5, dropout=0.1, targets="attention+ff"))
    losses, _ = trained(new_base(), tiny_data, [FIVE[0], spec, FIVE[1]])
    (alone,), _ = trained(new_base(), tiny_data, [spec])
    plain, _ = plain_training(tiny_spec, tiny_data, spec, STEPS)
    assert losses[1] == pytest.approx(alone, abs=1e-4)
    assert losses[1] == pytest.approx(plain, abs=1e-4)


def test_an_adapter_that_is_no_plain_product_trains_in_the_same_pack(
    new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    dora = one("adamw", 7, AdapterSpec(rank=3, dora=True, dropout=0.1, targets="attention+ff"))
    losses, parameters = trained(doubled(new_base()), tiny_data, [FIVE[0], dora, FIVE[1]])
    for spec, ours, own in zip([FIVE[0], dora], losses, parameters, strict=False):
        plain, plain_own = plain_training(tiny_spec, tiny_data, spec, STEPS, torch.float64)
        assert ours == pytest.approx(plain, abs=1e-10)
        assert_same(own, plain_own, 1e-8)


def test_a_refilled_slot_equals_a_fresh_one_while_others_go_on(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    (fresh,), (fresh_own,) = trained(doubled(new_base()), tiny_data, [FIVE[0]])
    pack = Pack(doubled(new_base()), tiny_data, num_slots=2)
    staying = pack.admit(replace(FIVE[2], train=replace(FIVE[2].train, steps=100)))
    first = pack.admit(one("prodigy", 9, AdapterSpec(rank=9, targets="attention+ff")))
    for _ in range(4):
        pack.step()
    pack.release(first)
    refilled = pack.admit(FIVE[0])
    assert refilled == first
    losses = [report.loss for _ in range(STEPS) for report in pack.step() if report.slot == refilled]
    assert losses == pytest.approx(fresh, abs=1e-10)
    assert_same([p.detach() for p in pack._slot(refilled).parameters], fresh_own, 1e-8)
    assert pack.steps_done(staying) == 4 + STEPS


def test_slots_of_different_batch_sizes_take_turns_and_train_as_alone(
    new_base: NewBase, tiny_data: EncodedDataset
) -> None:
    larger = replace(FIVE[1], train=replace(FIVE[1].train, batch_size=3))
    together, _ = trained(doubled(new_base()), tiny_data, [FIVE[0], larger, FIVE[2]])
    for spec, ours in zip([FIVE[0], larger, FIVE[2]], together, strict=True):
        (alone,), _ = trained(doubled(new_base()), tiny_data, [spec])
        assert ours == pytest.approx(alone, abs=1e-10)


def test_out_of_memory_lowers_what_shares_a_pass_and_nobody_notices(
    new_base: NewBase, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = trained(doubled(new_base()), tiny_data, FIVE[:3])
    base = doubled(new_base())
    real = base.predict

    def small_memory(noisy: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        predicted = real(noisy, *rest)  # dropout has drawn by then
        if len(noisy) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return predicted

    monkeypatch.setattr(base, "predict", small_memory)
    losses, _ = trained(base, tiny_data, FIVE[:3])
    for ours, theirs in zip(losses, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-10)


def test_acting_together_each_slot_draws_as_alone(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    base = doubled(new_base())
    pack = Pack(base, tiny_data, num_slots=3)
    slots = [pack.admit(spec) for spec in (FIVE[0], FIVE[2], one("adamw", 8, AdapterSpec(dora=True, rank=2)))]
    for _ in range(3):
        pack.step()
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(4, *tiny_data.train.means.shape[1:], generator=generator)
    times, text = torch.tensor([1, 300, 600, 999]), tiny_data.train.embeddings[:4]

    def predict(numbers: list[int]) -> torch.Tensor:
        rows = torch.arange(4).repeat(max(1, len(numbers)))  # all of them for each slot
        with pack.acting(numbers):
            return base.predict(noisy[rows], times[rows], text[rows])

    for alone, together in zip(slots, predict(slots).split(4), strict=True):
        torch.testing.assert_close(together, predict([alone]), rtol=0, atol=1e-12)
    assert (predict([]) - predict(slots[:1])).abs().max() > 1e-4


def test_activation_checkpointing_changes_nothing_but_memory(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    specs = [FIVE[1], one("adamw", 7, AdapterSpec(rank=3, dora=True, dropout=0.1)), FIVE[0]]
    kept, recomputed = (
        trained(doubled(new_base()), tiny_data, specs, activation_checkpointing=again) for again in (False, True)
    )
    base = doubled(new_base())
    assert not base.denoiser.is_gradient_checkpointing
    Pack(base, tiny_data, 1, activation_checkpointing=True)
    assert base.denoiser.is_gradient_checkpointing
    for ours, theirs in zip(recomputed[0], kept[0], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-10)
    for own, other in zip(recomputed[1], kept[1], strict=True):
        assert_same(own, other, 1e-8)
