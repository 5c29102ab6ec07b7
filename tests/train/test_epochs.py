"""An epoch is a pass: each picture comes as often as it is repeated, whatever the shapes, batches and steps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from foundation.bases.port import Base
from tests.train.test_packed import one
from train.batches import BatchSampler
from train.caches import Encoded, EncodedDataset
from train.epochs import epoch_in_words, num_batches, shapes_of_epoch
from train.pack import Pack
from train.spec import AdapterSpec, ObjectiveSpec, TrainingSpec

COUNTS = [2, 3, 22, 17, 5, 9, 2, 3]
"""Pictures by bucket of a set that people train on."""


def encoded(count: int, width: int = 1, repeats: tuple[int, ...] = ()) -> Encoded:
    """Pictures that are told apart by nothing but their numbers."""
    latents = torch.zeros(count, 1, 1, width)
    texts = torch.zeros(count, 1, 1), torch.zeros(count, 1, dtype=torch.long)
    return Encoded(latents, latents, *texts, repeats=repeats)


def dataset(parts: list[Encoded], others: int = 0, others_repeats: tuple[int, ...] = ()) -> EncodedDataset:
    shapes = [(part, encoded(others, part.means.shape[3], others_repeats) if others else None) for part in parts]
    return EncodedDataset(
        train=shapes[0][0],
        validation=parts[0],
        empty=torch.zeros(1, 1, 1),
        empty_tokens=torch.zeros(1, 1, dtype=torch.long),
        regularization=shapes[0][1],
        other_shapes=tuple(shapes[1:]),
    )


def draws(data: EncodedDataset, batch_size: int, seed: int = 0, prior: bool = False) -> BatchSampler:
    trial: Any = SimpleNamespace(
        train=SimpleNamespace(batch_size=batch_size, seed=seed), adapter=SimpleNamespace(text_encoder=False)
    )
    process = SimpleNamespace(draw=lambda count, generator: torch.rand(count, generator=generator))
    objective: Any = SimpleNamespace(spec=ObjectiveSpec(), prior=prior, process=process, preserves=False)
    return BatchSampler(trial, objective, data, None)  # type: ignore[arg-type]


def noted(drawing: BatchSampler, monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[Encoded, list[int]]]]:
    """What it picks from now on."""
    picks: list[list[tuple[Encoded, list[int]]]] = []
    pick = drawing._pick

    def note() -> list[tuple[Encoded, list[int]]]:
        picks.append(pick())
        return picks[-1]

    monkeypatch.setattr(drawing, "_pick", note)
    return picks


@pytest.mark.parametrize("counts", [COUNTS, [63], [24], [1] * 10, [1, 10], [5]])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
@pytest.mark.parametrize("repeats", [1, 3])
def test_each_picture_comes_exactly_as_often_as_it_is_repeated_in_every_epoch(
    counts: list[int], batch_size: int, repeats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [encoded(count, width, (repeats,) * count) for width, count in enumerate(counts, start=1)]
    drawing = draws(dataset(parts), batch_size)
    picks = noted(drawing, monkeypatch)
    sums = [repeats * count for count in counts]
    steps = TrainingSpec(steps=None, epochs=1, batch_size=batch_size).for_images(sums).num_steps
    assert steps == sum(-(-each // batch_size) for each in sums)
    for _ in range(3):
        picks.clear()
        for number in range(steps):
            expected = drawing.next_shape
            batch = drawing.next_batch()
            assert tuple(batch.latents.shape) == expected and 1 <= len(batch.latents) <= batch_size
            assert drawing.num_left == steps - 1 - number
        seen = Counter((part.means.shape[3], row) for pick in picks for part, rows in pick for row in rows)
        assert seen == {(w, row): repeats for w, count in enumerate(counts, start=1) for row in range(count)}
        smaller = sum(len(rows) < batch_size for pick in picks for _, rows in pick)
        assert smaller == sum(each % batch_size > 0 for each in sums)


def test_pictures_that_are_repeated_differently_come_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = draws(dataset([encoded(3, 1, (1, 5, 2)), encoded(2, 2, (3, 1))]), 3)
    picks = noted(drawing, monkeypatch)
    for _ in range(num_epoch := sum(num_batches([8, 4], 3))):
        drawing.next_batch()
    assert num_epoch == 5
    seen = Counter((part.means.shape[3], row) for pick in picks for part, rows in pick for row in rows)
    assert seen == {(1, 0): 1, (1, 1): 5, (1, 2): 2, (2, 0): 3, (2, 1): 1}


@pytest.mark.parametrize("repeats", [(), (1, 1, 4, 1, 2, 1, 1)])
def test_regularisation_pictures_have_passes_of_their_own(
    repeats: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [encoded(count, width) for width, count in enumerate(COUNTS, start=1)]
    drawing = draws(dataset(parts, 7, repeats), 4, prior=True)
    picks = noted(drawing, monkeypatch)
    for _ in range(3 * sum(num_batches(COUNTS, 4))):
        batch = drawing.next_batch()
        (_, own), (_, others) = picks[-1]
        assert len(own) == len(others) == len(batch.latents) / 2
    rows = [row for pick in picks for row in pick[1][1]]
    size = sum(repeats) or 7
    passes = [Counter(rows[start : start + size]) for start in range(0, len(rows) - size + 1, size)]
    assert len(rows) == 3 * 63 and len(passes) > 10
    assert all(each == dict(enumerate(repeats or (1,) * 7)) for each in passes)


def test_where_full_batches_make_an_epoch_they_are_passes_shuffled_by_the_trials_generator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawing = draws(dataset([encoded(24)]), 4, seed=5)
    picks = noted(drawing, monkeypatch)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        order = torch.randperm(24, generator=generator).tolist()
        for start in range(0, 24, 4):
            drawing.next_batch()
            assert picks[-1][0][1] == order[start : start + 4]
            torch.randn(4, 1, 1, 1, generator=generator), torch.randn(4, 1, 1, 1, generator=generator)
            torch.rand(4, generator=generator)


def test_shapes_come_in_any_order_that_hangs_on_seed_and_epoch_alone() -> None:
    orders = {tuple(shapes_of_epoch(seed, epoch, (1, 1, 1))) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 6
    first = Counter(shapes_of_epoch(seed, 0, (2, 6))[0] for seed in range(400))
    assert first[1] / 400 == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize(("accumulation", "steps"), [(3, 2), (8, 1)])
def test_no_optimizer_step_goes_on_into_the_next_epoch(
    accumulation: int, steps: int, tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten pictures in batches of 2 are five micro-batches."""
    train = TrainingSpec(steps=None, epochs=2, batch_size=2, gradient_accumulation=accumulation)
    train = train.for_images([len(tiny_data.train)])
    assert train.num_steps == 2 * steps
    pack = Pack(tiny_base, tiny_data, 1)
    slot = pack.admit(replace(one("adamw", 0, AdapterSpec(rank=2)), train=train))
    picks = noted(pack._slot(slot).draws, monkeypatch)
    while not pack.is_finished(slot):
        pack.step()
    pack.release(slot)
    assert len(picks) == 10
    assert Counter(row for pick in picks for row in pick[0][1]) == dict.fromkeys(range(10), 2)


def test_micro_batches_weigh_alike_in_a_step_that_is_cut_short(
    tiny_base: Base, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Pack(tiny_base, tiny_data, 1)
    spec = one("adamw", 0, AdapterSpec(rank=2))
    slot = pack.admit(replace(spec, train=TrainingSpec(steps=3, batch_size=2, gradient_accumulation=3)))
    own = pack._slot(slot)
    shares: list[float] = []
    penalised = own.with_penalty
    monkeypatch.setattr(own, "with_penalty", lambda loss: (shares.append(own.share), penalised(loss))[1])
    for _ in range(6):
        pack.step()
    pack.release(slot)
    assert shares == pytest.approx([1 / 3] * 3 + [1 / 2] * 2 + [1 / 3])


@pytest.mark.parametrize(
    ("counts", "batch_size", "accumulation", "words"),
    [
        ([24], 4, 1, "24 pictures in 6 batches of 4"),
        (COUNTS, 4, 1, "63 pictures in 20 batches of 4, 8 of them smaller"),
        ([3], 4, 1, "3 pictures in 1 batch, smaller than 4"),
        ([24], 4, 3, "24 pictures in 6 batches of 4; 2 optimizer steps of 3 batches"),
        ([24], 4, 4, "24 pictures in 6 batches of 4; 2 optimizer steps of 4 batches, the last of 2"),
        (
            [5],
            2,
            8,
            "5 pictures in 3 batches of 2, 1 of them smaller; 1 optimizer step of 3 batches, "
            "fewer than train.gradient_accumulation 8",
        ),
    ],
)
def test_what_an_epoch_is_said_in_words(counts: list[int], batch_size: int, accumulation: int, words: str) -> None:
    assert epoch_in_words(counts, batch_size, accumulation) == f"an epoch is {words}"
