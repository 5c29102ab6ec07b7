"""A recorded pack trains as an unrecorded one, and a slot's next trial meets the same recording.

Here the recordings are `fake_cuda_graphs`'s; on a machine with a GPU its own as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset
from tests.train import fake_cuda_graphs
from tests.train.test_compiled import BEYOND, DROPPING, NARROW, RANK, WIDE, Course, NewBase, assert_equal, trial
from tests.train.test_packed import doubled
from tests.train.tiny_families import build
from train.caches import EncodedDataset, encode_dataset
from train.cuda_graphs import Graphs
from train.pack import Pack
from train.spec import Lasting, ObjectiveSpec

RECORDED = Lasting(rank=RANK, recorded=True)
Made = list[object]


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> Made:
    """One entry for each recording that was made."""
    made: Made = []

    def record(*arguments: object, **options: object) -> object:
        made.append(arguments)
        return fake_cuda_graphs.make_graphed_callables(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr("train.packed.can_record", lambda device: True)
    return made


def test_a_recorded_pack_equals_an_unrecorded_one_and_a_refill_records_nothing(
    new_base: NewBase, tiny_data: EncodedDataset, recordings: Made
) -> None:
    def run(lasting: Lasting | None) -> tuple[Course, list[int]]:
        pack = Pack(doubled(new_base()), tiny_data, 2, lasting=lasting)
        course, made = Course(pack, tiny_data), []

        def count(do: Callable[[], object]) -> None:
            before = len(recordings)
            do()
            made.append(len(recordings) - before)

        for spec in (WIDE, DROPPING):
            pack.admit(spec)
        count(lambda: course.train(1))  # shows the masks
        count(lambda: course.train(3))
        count(lambda: course.draw([0, 1], 2))
        pack.release(0)
        count(lambda: course.train(1))
        pack.admit(replace(NARROW, objective=ObjectiveSpec(snr_gamma=5.0)))
        count(lambda: course.train(3))
        pack.release(1)
        pack.admit(trial(7, rank=3))  # from here on nothing is dropped
        count(lambda: course.train(2))
        pack.release(0)
        pack.admit(replace(DROPPING, train=replace(DROPPING.train, seed=8)))
        count(lambda: course.train(3))
        return course, made

    recorded, made = run(RECORDED)
    assert made == [0, 1, 0, 0, 0, 1, 0]
    plain, made = run(None)
    assert made == [0] * 7
    assert_equal(recorded, plain)


def test_a_replay_calls_no_python(new_base: NewBase, tiny_data: EncodedDataset, recordings: Made) -> None:
    base, calls = new_base(), []
    pack = Pack(base, tiny_data, 1, lasting=RECORDED)
    base.denoiser.register_forward_hook(lambda *_: calls.append(1))
    pack.admit(WIDE)
    for _ in range(4):
        pack.step()
    assert len(calls) == len(recordings) == 1


def test_a_larger_rank_than_foreseen_records_once_more(
    new_base: NewBase, tiny_data: EncodedDataset, recordings: Made
) -> None:
    def run(lasting: Lasting | None) -> tuple[Course, list[int]]:
        pack = Pack(doubled(new_base()), tiny_data, 1, lasting=lasting)
        course, made = Course(pack, tiny_data), []
        for spec in (trial(1, rank=2), BEYOND, trial(5, rank=3)):
            slot = pack.admit(spec)
            course.train(2)
            pack.release(slot)
            made.append(len(recordings))
        return course, made

    recorded, made = run(RECORDED)
    assert made == [1, 2, 2]
    assert_equal(recorded, run(None)[0])


def test_who_trains_the_text_encoder_has_a_recording_of_its_own(
    new_base: NewBase, tiny_data: EncodedDataset, recordings: Made
) -> None:
    def run(lasting: Lasting | None) -> Course:
        pack = Pack(doubled(new_base()), tiny_data, 2, lasting=lasting)
        course = Course(pack, tiny_data)
        for spec in (trial(1, rank=2, text_encoder=True), WIDE):
            pack.admit(spec)
        course.train(3)
        pack.release(0)
        pack.admit(trial(2, rank=2))
        course.train(2)
        return course

    recorded = run(RECORDED)
    assert len(recordings) == 2
    assert_equal(recorded, run(None))


def test_each_shape_of_inputs_and_each_set_of_masks_has_its_own_recording(recordings: Made) -> None:
    weight = torch.ones(3, requires_grad=True)
    masks = [torch.full((3,), 2.0), torch.full((3,), 5.0)]
    graphs = Graphs()
    for rows, mask in ((1, 0), (2, 0), (2, 1), (1, 0), (2, 1)):
        result = graphs.run(
            lambda x, mask=mask: x * weight * masks[mask], [torch.full((rows, 3), 7.0)], [weight], [masks[mask]]
        )
        assert torch.equal(result.detach(), torch.full((rows, 3), 7.0) * masks[mask])
        (gradient,) = torch.autograd.grad(result.sum(), weight)
        assert torch.equal(gradient, rows * 7.0 * masks[mask])
    assert len(recordings) == 3


@pytest.mark.parametrize("family", ["sdxl", "sd3", "flux", "qwen_image"])
def test_every_family_can_be_recorded(family: str, tiny_dataset: Dataset, recordings: Made, tmp_path: Path) -> None:
    base = load_base(build(family, tmp_path / family), torch.device("cpu"))
    data = encode_dataset(base, tiny_dataset, tmp_path / "cache")

    def run(lasting: Lasting | None) -> list[float]:
        pack = Pack(base, data, 2, lasting=lasting)
        for spec in (trial(1, rank=4), trial(2, rank=RANK)):
            pack.admit(spec)
        seen = [report.loss for _ in range(3) for report in pack.step()]
        for slot in pack.active:
            pack.release(slot)
        return seen

    assert run(RECORDED) == pytest.approx(run(None), rel=1e-4)
    assert len(recordings) == 1


def test_dropout_with_pictures_of_two_shapes(new_base: NewBase, tiny_data: EncodedDataset, recordings: Made) -> None:
    wide = replace(tiny_data.train, means=tiny_data.train.means[:, :, :8], stds=tiny_data.train.stds[:, :, :8])
    data = replace(tiny_data, other_shapes=((wide, None),))

    def run(lasting: Lasting | None) -> Course:
        course = Course(Pack(doubled(new_base()), data, 1, lasting=lasting), data)
        course.pack.admit(DROPPING)
        course.train(8)
        return course

    recorded = run(RECORDED)
    assert len(recordings) == 2
    assert_equal(recorded, run(None))
