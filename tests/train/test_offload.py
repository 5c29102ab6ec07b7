"""A base whose parts, and whose denoiser's blocks, are on the device only while they are at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.hooks.group_offloading import ModuleGroup
from torch import Tensor, nn

from foundation.bases import offload
from foundation.bases.offload import Parts, blocks_of
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset
from tests.train.other_device import DEVICE, elsewhere
from tests.train.test_families import doubled, drawn, trials
from tests.train.test_other_device import trial
from tests.train.test_packed import assert_same, trained
from tests.train.tiny_families import BUILDERS, build
from train import optimizers
from train import pack as pack_module
from train.caches import EncodedDataset, encode_dataset
from train.optimizers import build_optimizer, states_away
from train.pack import Pack
from train.spec import BaseSpec, OptimizerSpec

Loaded = tuple[BaseSpec, EncodedDataset]
STEPS = 3


class Away:
    """Stands for a device: weights that are not on it have no numbers. Counts the blocks that are there at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: dict[ModuleGroup, list[Tensor]] = {}
        self.here: set[ModuleGroup] = set()
        self.most = self.came = 0
        self._begun = False
        monkeypatch.setattr(ModuleGroup, "_onload_from_memory", lambda group: self.bring(group))
        monkeypatch.setattr(ModuleGroup, "_offload_to_memory", lambda group: self.take(group))

    def begin(self, base: Base) -> None:
        self._begun = True
        for block in blocks(base).values():
            self.take(group_of(block))

    def bring(self, group: ModuleGroup) -> None:
        for tensor, own in zip(tensors_of(group), self.kept.pop(group, []), strict=False):
            tensor.data = own
        self.came += group not in self.here
        self.here.add(group)
        self.most = max(self.most, len([each for each in self.here if tensors_of(each)]))

    def take(self, group: ModuleGroup) -> None:
        if not self._begun:
            return
        self.here.discard(group)
        self.kept[group] = [tensor.data for tensor in tensors_of(group)]
        for tensor in tensors_of(group):
            tensor.data = torch.full_like(tensor.data, float("nan"))


def blocks(base: Base) -> dict[str, nn.Module]:
    own: Any = base
    return blocks_of(base.denoiser, own.blocks)


def group_of(block: Any) -> ModuleGroup:
    return block._diffusers_hook.get_hook("group_offloading").group


def tensors_of(group: ModuleGroup) -> list[Any]:
    return [*group.parameters, *group.buffers]


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    spec = build(request.param, tmp_path_factory.mktemp(request.param))
    base = load_base(spec, torch.device("cpu"))
    return spec, encode_dataset(base, tiny_dataset, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    ("loaded", "prefetched"), [*((name, True) for name in BUILDERS), ("flux", False)], indirect=["loaded"]
)
def test_blocks_that_come_and_go_train_and_draw_to_the_bit_as_those_that_stay(
    prefetched: bool, loaded: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec, data = loaded
    specs = trials(spec.name)
    stays = doubled(load_base(spec, torch.device("cpu")))
    losses, parameters = trained(stays, data, specs, True)
    if prefetched:  # a stream that has done at once what it was given
        monkeypatch.setattr(offload, "_new_stream", lambda device: SimpleNamespace(synchronize=lambda: None))
        monkeypatch.setattr(ModuleGroup, "_init_cpu_param_dict", lambda group: {})
    away = Away(monkeypatch)
    moving = doubled(load_base(replace(spec, offload="blocks"), torch.device("cpu")))
    away.begin(moving)
    count = len(blocks(moving))
    moved_losses, moved = trained(moving, data, specs, True)
    assert moved_losses == losses
    for ours, theirs in zip(moved, parameters, strict=True):
        assert_same(ours, theirs, 0)
    assert away.most == 1 + prefetched
    assert STEPS * count < away.came <= STEPS * (2 * count + prefetched)
    assert len(away.here) <= prefetched
    pack, plain = Pack(moving, data, 1), Pack(stays, data, 1)
    pack.save_adapter(pack.admit(specs[0]), tmp_path / "adapter")
    with plain.acting_file(tmp_path / "adapter") as base, torch.no_grad():
        pictures = drawn(base, copies=1)
    with pack.acting_file(tmp_path / "adapter") as base, torch.no_grad():
        assert np.array_equal(drawn(base, copies=1), pictures)
    assert away.most == 1 + prefetched


@pytest.mark.parametrize("loaded", ["stable_diffusion", "flux"], indirect=True)
def test_every_operation_finds_its_weights_on_the_device(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, data = loaded
    base = load_base(replace(spec, offload="blocks"), torch.device("cpu"))
    within = {part for block in blocks(base).values() for part in block.modules()}
    kept = {id(part): dict(part._parameters) for part in within}

    def move(module: nn.Module) -> None:
        for part in module.modules():
            if part not in within:
                lay(part, DEVICE)

    def bring(group: Any) -> None:
        for part in group.onload_leader.modules():
            lay(part, DEVICE)

    def take(group: Any) -> None:
        for part in group.onload_leader.modules():
            part._parameters.update(kept[id(part)])

    monkeypatch.setattr(ModuleGroup, "_onload_from_memory", bring)
    monkeypatch.setattr(ModuleGroup, "_offload_to_memory", take)
    for block in blocks(base).values():
        group_of(block).onload_device = DEVICE
    with elsewhere(base, monkeypatch, move):
        pack = Pack(base, data, 2, activation_checkpointing=True, read_every=100)
        for each in (trial(rank=2, dropout=0.1), trial(dora=True)):
            pack.admit(each)
        assert [pack.step(), pack.step()] == [[], []]
    assert {tensor.device.type for part in within for tensor in part.parameters(recurse=False)} == {"cpu"}


def lay(part: nn.Module, device: torch.device) -> None:
    """Bring a module's own tensors, for which PyTorch allows no such change of `data`."""
    for name, own in part._parameters.items():
        if own is not None:
            part._parameters[name] = nn.Parameter(own.detach().to(device), requires_grad=False)
    for name, buffer in part._buffers.items():
        part._buffers[name] = None if buffer is None else buffer.to(device)


def test_parts_come_one_at_a_time(tiny_spec: BaseSpec) -> None:
    base = load_base(replace(tiny_spec, offload="model"), torch.device("cpu"))
    parts: Any = base._parts  # type: ignore[attr-defined]
    pipeline = base.pipeline
    seen = []

    def note(*_: Any) -> None:
        names = {id(each): name for name, each in pipeline.components.items() if each is not None}
        seen.append(names.get(id(parts._present), "none"))

    for module in (pipeline.text_encoder, pipeline.vae.encoder, pipeline.vae.decoder, base.denoiser):
        module.register_forward_hook(note)
    latents, _ = base.encode_images(torch.zeros(1, 3, base.resolution, base.resolution))
    text = base.encode_texts(["a red cup"])
    base.predict(latents, torch.ones(1), text)
    base.decode_images(latents)
    base.rest()
    note()
    assert seen == ["vae", "text_encoder", "unet", "vae", "none"]
    drawn(base, copies=1)
    assert [name for name, after in zip(seen[5:], [*seen[6:], ""], strict=True) if name != after] == [
        "text_encoder",
        "unet",
        "vae",
    ]


def test_a_part_that_is_trained_stays() -> None:
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    moves: list[str] = []
    for name, each in (("first", first), ("second", second)):
        each.to = lambda device, name=name: moves.append(f"{name} to {device}")  # type: ignore[method-assign, misc]
    parts = Parts([first, second], torch.device("meta"))
    parts.keep(nn.Sequential(first))
    for each in (first, second, first):
        parts.enter(each)
    parts.leave()
    assert moves == ["first to cpu", "second to cpu", "first to meta", "second to meta", "second to cpu"]


def test_optimizers_that_wait_keep_nothing_on_the_device(
    tiny_spec: BaseSpec, tiny_data: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[Any] = []

    @contextmanager
    def noted(optimizers: list[Any]) -> Iterator[None]:
        waiting.append(optimizers)
        yield

    monkeypatch.setattr(pack_module, "states_away", noted)
    for how, count in (("none", 0), ("model", 2)):
        pack = Pack(load_base(replace(tiny_spec, offload=how), torch.device("cpu")), tiny_data, 2)
        slots = [pack.admit(trial()), pack.admit(trial())]
        with pack.acting(slots[:1]):
            assert waiting.pop() == [pack._slot(slot).optimizer for slot in slots[:count]]


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_what_optimizers_keep_goes_and_comes_back_whole(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parameter = nn.Parameter(torch.ones(4096, 2))
    own = build_optimizer(OptimizerSpec(name=name, lr=1e-2), [parameter])
    parameter.grad = torch.ones_like(parameter)
    own.step()
    kept = [each for each in own.state[parameter].values() if isinstance(each, Tensor)]
    before, places = [each.clone() for each in kept], [each.data_ptr() for each in kept]
    monkeypatch.setattr(optimizers, "AWAY", torch.float64)  # stands for a device: it makes other tensors
    with states_away([own]):
        assert {each.dtype for each in kept} == {torch.float64}
    assert not set(places) & {each.data_ptr() for each in kept}
    assert len(kept) > 1
    assert all(torch.equal(now.to(then.dtype), then) for now, then in zip(kept, before, strict=True))
