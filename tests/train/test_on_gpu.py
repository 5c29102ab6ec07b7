"""What only a GPU can tell: that its numbers are the CPU's, that nothing waits, and what a lack of memory does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from eval.sampling import sample_each
from eval.spec import Drawing
from foundation.bases.offload import blocks_of
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from tests.train.test_compiled import DROPPING, NARROW, RANK, WIDE, trial
from train.caches import EncodedDataset
from train.capacity import measure_capacity
from train.cuda_graphs import Graphs
from train.pack import Pack
from train.spec import BaseSpec, Lasting, OptimizerName, OptimizerSpec, Precision, TrainingSpec, TrialSpec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
CUDA = torch.device("cuda", 0)
NewBase = Callable[[Precision], Base]
OPTIMIZERS: dict[OptimizerName, float] = {"adamw": 1e-2, "adamw8bit": 1e-2, "lion": 1e-3, "prodigy": 1.0}


@pytest.fixture
def gpu_base(tiny_spec: BaseSpec) -> NewBase:
    """Loads the tiny pipeline onto the GPU."""
    return lambda precision: load_base(tiny_spec, CUDA, precision)


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """float32 without TF32's shorter mantissa, any precision in one process, and all memory given back."""
    AcceleratorState._reset_state(reset_partial_state=True)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.cuda.empty_cache()


def losses(base: Base, data: EncodedDataset, specs: list[TrialSpec], steps: int = 4) -> list[list[float]]:
    """Of each trial, one list."""
    pack = Pack(base, data, len(specs), specs[0].train.precision, lasting=specs[0].lasting)
    for spec in specs:
        pack.admit(spec)
    reports = [report for _ in range(steps) for report in pack.step()]
    assert [report.failure for report in reports] == [None] * len(reports)
    for slot in pack.active:
        pack.release(slot)
    return [[report.loss for report in reports if report.slot == slot] for slot in range(len(specs))]


def test_a_gpu_trains_as_the_cpu_does(tiny_base: Base, gpu_base: NewBase, tiny_data: EncodedDataset) -> None:
    specs = [WIDE, NARROW, trial(5, rank=3, dora=True), trial(6, rank=2, text_encoder=True)]
    here, there = losses(tiny_base, tiny_data, specs), losses(gpu_base("fp32"), tiny_data, specs)
    for ours, theirs in zip(there, here, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_packed_equals_alone_in_half_precision(
    precision: Precision, gpu_base: NewBase, tiny_data: EncodedDataset
) -> None:
    specs = [replace(spec, train=replace(spec.train, precision=precision)) for spec in (WIDE, NARROW, trial(6, rank=2))]
    together = losses(gpu_base(precision), tiny_data, specs)
    for spec, own in zip(specs, together, strict=True):
        (alone,) = losses(gpu_base(precision), tiny_data, [spec])
        assert own == pytest.approx(alone, rel=0.03)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_in_a_recorded_and_compiled_pack(
    name: OptimizerName, gpu_base: NewBase, tiny_data: EncodedDataset
) -> None:
    spec = replace(WIDE, optimizer=OptimizerSpec(name=name, lr=OPTIMIZERS[name]))
    plain = losses(gpu_base("fp32"), tiny_data, [spec, NARROW])
    lasting = replace(spec.train, compile="regional", cuda_graphs=True, compile_rank=RANK)
    recorded = losses(gpu_base("fp32"), tiny_data, [replace(spec, train=lasting), NARROW])
    assert recorded[0] == pytest.approx(plain[0], rel=5e-3)


def test_a_refill_records_nothing_and_changes_nothing(
    gpu_base: NewBase, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[None] = []
    record = Graphs._record
    monkeypatch.setattr(Graphs, "_record", lambda *given: made.append(None) or record(*given))  # type: ignore[func-returns-value]

    def run(lasting: Lasting | None) -> tuple[list[float], list[int]]:
        pack, counts, seen = Pack(gpu_base("fp32"), tiny_data, 2, lasting=lasting), [], []
        for leaving, spec in (
            (None, WIDE),
            (None, NARROW),
            (0, trial(7, rank=3)),
            (1, DROPPING),
            (1, trial(8, rank=5)),
        ):
            if leaving is not None:
                pack.release(leaving)
            pack.admit(spec)
            if not pack.free:
                seen += [report.loss for _ in range(4) for report in pack.step()]
                counts.append(len(made))
        return seen, counts

    plain, counts = run(None)
    assert counts == [0] * 4
    recorded, counts = run(Lasting(rank=RANK, recorded=True))
    assert counts == [1, 1, 2, 2]  # one more for the pack in which something is dropped
    assert recorded == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("recorded", [False, True])
def test_between_two_readings_the_host_never_waits(
    recorded: bool, gpu_base: NewBase, tiny_data: EncodedDataset
) -> None:
    lasting = Lasting(rank=RANK, recorded=True) if recorded else None
    pack = Pack(gpu_base("fp32"), tiny_data, 2, read_every=100, lasting=lasting)
    for spec in (WIDE, DROPPING):
        pack.admit(spec)
    for _ in range(3):
        pack.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        pack.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [report.failure for report in pack.read()] == [None] * 8


def test_a_pass_that_does_not_fit_is_split(gpu_base: NewBase, tiny_data: EncodedDataset) -> None:
    specs = [trial(seed, rank=2) for seed in range(4)]
    specs = [replace(spec, train=replace(spec.train, batch_size=256)) for spec in specs]
    base = gpu_base("fp32")
    pack = Pack(base, tiny_data, 4)
    for spec in specs:
        pack.admit(spec)
    before = torch.cuda.memory_allocated(CUDA)
    torch.cuda.reset_peak_memory_stats(CUDA)
    fitting = [report.loss for report in pack.step()]
    needed = torch.cuda.max_memory_allocated(CUDA) - before
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info(CUDA)[1]
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(CUDA) + 0.75 * needed) / total, CUDA)
    try:
        split = [pack.step() for _ in range(2)]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, CUDA)
    assert pack.at_once == 2
    assert [report.failure for reports in split for report in reports] == [None] * 8
    whole = losses(gpu_base("fp32"), tiny_data, specs, steps=3)
    assert fitting == pytest.approx([own[0] for own in whole], rel=1e-3)
    assert [report.loss for report in split[-1]] == pytest.approx([own[2] for own in whole], rel=1e-3)


@pytest.mark.parametrize("recorded", [False, True])
def test_more_slots_take_more_memory_and_none_of_it_stays(
    recorded: bool, gpu_base: NewBase, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.capacity.WORTHWHILE", 0.0)
    spec = replace(trial(1, rank=4), train=TrainingSpec(batch_size=64, cuda_graphs=recorded))
    base = gpu_base("fp32")
    before = torch.cuda.memory_allocated(CUDA)
    curve = measure_capacity(base, tiny_data, spec, most=4)
    used = [each.memory or 0.0 for each in curve]
    assert [each.slots for each in curve] == [1, 2, 4]
    assert 0 < used[0] < used[1] < used[2] < 1
    assert torch.cuda.memory_allocated(CUDA) - before < 2**22  # what cuBLAS keeps


def test_pictures_drawn_for_two_slots_at_once_are_those_of_each_alone(
    gpu_base: NewBase, tiny_data: EncodedDataset
) -> None:
    pack = Pack(gpu_base("bf16"), tiny_data, 2, "bf16")
    for spec in (WIDE, NARROW):
        pack.admit(replace(spec, train=replace(spec.train, precision="bf16")))
    for _ in range(3):
        pack.step()

    def draw(slots: list[int]) -> np.ndarray:
        with pack.acting(slots) as base:
            (*pictures,) = sample_each(
                base.pipeline, [("a red cup", 0)], Drawing(steps=4, guidance_scale=5.0, batch_rows=8), copies=len(slots)
            )
            return np.asarray([np.asarray(picture) for (picture,) in pictures], dtype=np.float64) / 255

    together, alone = draw([0, 1]), np.concatenate([draw([0]), draw([1])])
    assert np.isfinite(together).all()
    assert np.abs(together - alone).mean() < 2 / 255


def test_blocks_that_come_and_go_train_and_draw_as_those_that_stay(
    tiny_spec: BaseSpec, gpu_base: NewBase, tiny_data: EncodedDataset
) -> None:
    specs = [WIDE, NARROW, trial(5, rank=3, dora=True), trial(6, rank=2, text_encoder=True)]
    specs = [replace(spec, train=replace(spec.train, activation_checkpointing=True)) for spec in specs]
    moving = load_base(replace(tiny_spec, offload="blocks"), CUDA)
    at_rest = {each.device.type for each in (*moving.denoiser.parameters(), *moving.pipeline.vae.parameters())}
    assert at_rest == {"cpu", "cuda"}
    packs = [Pack(base, tiny_data, len(specs), activation_checkpointing=True) for base in (gpu_base("fp32"), moving)]
    seen: list[list[float]] = []
    drawn = []
    for pack in packs:
        for spec in specs:
            pack.admit(spec)
        seen.append([report.loss for _ in range(4) for report in pack.step()])
        states = [*pack._slot(0).optimizer.state.values()]
        with pack.acting([0, 1]) as base:
            there = {each["exp_avg"].device.type for each in states}
            assert there == {"cuda" if base.offload == "none" else "cpu"}
            drawing = Drawing(steps=4, guidance_scale=5.0, batch_rows=8)
            pictures = sample_each(base.pipeline, [("a red cup", 0)], drawing, copies=2)
            drawn.append(np.asarray([np.asarray(picture, dtype=float) for (picture,) in pictures]))
        pack.step()
    assert seen[1] == pytest.approx(seen[0], rel=1e-3)
    assert np.abs(drawn[1] - drawn[0]).mean() < 1


def test_blocks_leave_a_device_after_forward_and_backward(tiny_spec: BaseSpec, tiny_data: EncodedDataset) -> None:
    base = load_base(replace(tiny_spec, offload="blocks"), CUDA)
    blocks = blocks_of(base.denoiser, base.blocks)  # type: ignore[attr-defined]
    weights = [each for block in blocks.values() for each in block.parameters()]
    pack = Pack(base, tiny_data, 1, activation_checkpointing=True)
    pack.admit(replace(WIDE, train=replace(WIDE.train, activation_checkpointing=True)))
    for _ in range(3):  # the first pass finds the order, in which blocks are fetched from the second on
        pack.step()
        there = [name for name, block in blocks.items() if next(block.parameters()).device.type == "cuda"]
        assert len(there) <= 1  # fetched for gradients that nobody wanted
    with pack.acting([]) as plain, torch.no_grad():
        plain.encode_texts(["a red cup"])
        plain.predict(
            torch.zeros(1, *tiny_data.train.means.shape[1:], device=CUDA),
            torch.ones(1, device=CUDA),
            tiny_data.train.embeddings[:1].to(CUDA),
        )
    assert {each.device.type for each in weights} == {"cpu"}
