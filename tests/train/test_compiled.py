"""A compiled pack trains and draws as an uncompiled one, and a slot's next trial meets the same compiled code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from foundation.bases.port import Base
from tests.train.test_packed import assert_same, doubled
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, Lasting, OptimizerSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]
RANK = 6
COMPILED = Lasting(rank=RANK, compiled=True)


@pytest.fixture(autouse=True)
def without_code_generation() -> Iterator[None]:
    """Graphs are captured and differentiated as for any backend, and then run by PyTorch: compiling takes seconds."""
    torch._dynamo.reset()
    counters.clear()
    with torch.compiler.set_stance("default", force_backend="aot_eager"):
        yield


def trial(seed: int, **adapter: object) -> TrialSpec:
    return TrialSpec(
        adapter=AdapterSpec(**adapter),  # type: ignore[arg-type]
        optimizer=OptimizerSpec(lr=1e-2),
        train=TrainingSpec(steps=100, batch_size=2, seed=seed),
    )


WIDE = trial(1, rank=4, targets="attention+ff")
DROPPING = trial(2, rank=RANK, dropout=0.3, targets=("to_q", "conv1"))
NARROW = trial(3, rank=2, alpha_ratio=0.5, targets=("to_k", "conv1"))
BEYOND = trial(4, rank=RANK + 2, targets="attention")


def num_graphs() -> int:
    return counters["stats"]["unique_graphs"]


class Course:
    """What a pack of two did."""

    def __init__(self, pack: Pack, data: EncodedDataset) -> None:
        self.pack = pack
        self.data = data
        self.losses: list[float] = []
        self.pictures: list[torch.Tensor] = []

    def train(self, steps: int) -> int:
        """Train on; how many graphs that compiled."""
        before = num_graphs()
        self.losses += [report.loss for _ in range(steps) for report in self.pack.step()]
        return num_graphs() - before

    def draw(self, slots: list[int], each: int) -> int:
        """So many rows for each slot, without gradients."""
        before, rows = num_graphs(), max(1, len(slots)) * each
        generator = torch.Generator().manual_seed(0)
        noisy = torch.randn(rows, *self.data.train.means.shape[1:], generator=generator)
        with self.pack.acting(slots) as base:
            self.pictures.append(base.predict(noisy, torch.tensor([300] * rows), self.data.train.embeddings[:rows]))
        return num_graphs() - before

    def parameters(self) -> list[torch.Tensor]:
        return [p.detach() for slot in self.pack.active for p in self.pack._slot(slot).parameters]


def assert_equal(one: Course, other: Course) -> None:
    assert one.losses == pytest.approx(other.losses, abs=1e-10)
    assert_same(one.parameters(), other.parameters(), 1e-8)
    assert_same(one.pictures, other.pictures, 1e-10)


def test_a_compiled_pack_equals_an_uncompiled_one_and_a_refill_compiles_nothing(
    new_base: NewBase, tiny_data: EncodedDataset
) -> None:
    def run(lasting: Lasting | None) -> tuple[Course, list[int]]:
        pack = Pack(doubled(new_base()), tiny_data, 2, lasting=lasting)
        course = Course(pack, tiny_data)
        for spec in (WIDE, DROPPING):
            pack.admit(spec)
        compiled = [course.train(3), course.draw([0, 1], 2), course.draw([1], 1)]
        pack.release(0)
        compiled.append(course.train(1))  # the other one alone
        assert pack.admit(NARROW) == 0
        compiled += [course.train(3), course.draw([0, 1], 2), course.draw([], 1)]
        return course, compiled

    compiled, graphs = run(COMPILED)
    assert graphs[0] > 0
    assert graphs[1:] == [0] * 6
    assert not counters["graph_break"]
    plain, graphs = run(None)
    assert graphs == [0] * 7
    assert_equal(compiled, plain)


def test_a_larger_rank_than_foreseen_compiles_once_more_with_activation_checkpointing_too(
    new_base: NewBase, tiny_data: EncodedDataset
) -> None:
    def run(lasting: Lasting | None) -> tuple[Course, list[int]]:
        again = lasting is not None
        pack = Pack(doubled(new_base()), tiny_data, 1, activation_checkpointing=again, lasting=lasting)
        course, compiled = Course(pack, tiny_data), []
        for spec in (replace(BEYOND, adapter=AdapterSpec(rank=2)), BEYOND, trial(5, rank=3)):
            slot = course.pack.admit(spec)
            compiled.append(course.train(2))
            course.pack.release(slot)
        return course, compiled

    compiled, graphs = run(COMPILED)
    assert graphs[0] > 0
    assert 0 < graphs[1] <= graphs[0]
    assert graphs[2] == 0
    assert_equal(compiled, run(None)[0])


def test_with_an_adapter_apart_a_pass_runs_uncompiled(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    def run(lasting: Lasting | None) -> Course:
        course = Course(Pack(doubled(new_base()), tiny_data, 2, lasting=lasting), tiny_data)
        for spec in (trial(1, rank=3, dora=True, dropout=0.1), WIDE):
            course.pack.admit(spec)
        assert course.train(2) == 0
        return course

    assert_equal(run(COMPILED), run(None))
