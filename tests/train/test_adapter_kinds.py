"""Kinds of adapter side by side in a pack: each trains as alone and as in plain PEFT, resumes, leaves, comes back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from foundation.bases.port import Base
from tests.train.plain_training import ATTENTION, TARGETS, TEXT_ATTENTION, plain_training
from tests.train.test_pack import run, weights
from tests.train.test_packed import CONV, STEPS, assert_same, doubled, one, trained
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, TrialSpec

NewBase = Callable[[], Base]
FORWARD = TARGETS["attention+ff"]
TEXT_FORWARD = [*TEXT_ATTENTION, "fc1", "fc2"]
HALVES = r".*\.(net\.2|fc2)"

ADAPTERS: dict[str, tuple[AdapterSpec, list[peft.PeftConfig]]] = {
    "lora": (
        AdapterSpec(rank=4, alpha_ratio=0.5, targets="attention+ff"),
        [peft.LoraConfig(r=4, lora_alpha=2, target_modules=FORWARD)],
    ),
    "locon": (
        AdapterSpec(name="locon", rank=3, dropout=0.1, conv_rank=2, conv_alpha_ratio=2.0, rank_pattern={"to_q": 5}),
        [
            peft.LoraConfig(
                r=3,
                lora_alpha=3,
                lora_dropout=0.1,
                target_modules=[*ATTENTION, "proj_in", "proj_out", "conv1", "conv2", "conv_shortcut", "conv"],
                rank_pattern={"to_q": 5, "conv1": 2, "conv2": 2, "conv": 2},
                alpha_pattern={"conv1": 4.0, "conv2": 4.0, "conv": 4.0},
            )
        ],
    ),
    "dora": (
        AdapterSpec(rank=3, dora=True, dropout=0.1, targets="attention+ff"),
        [peft.LoraConfig(r=3, lora_alpha=3, lora_dropout=0.1, use_dora=True, target_modules=FORWARD)],
    ),
    "loha": (
        AdapterSpec(
            name="loha", rank=2, alpha_ratio=2.0, dropout=0.2, module_dropout=0.1, tucker=True, text_encoder=True,
            targets=(*CONV, "to_q"), conv_rank=3, conv_alpha_ratio=2.0, text_encoder_rank=3,
        ),
        [
            peft.LoHaConfig(
                r=2, alpha=4, rank_dropout=0.2, module_dropout=0.1, use_effective_conv2d=True,
                target_modules=[*CONV, "to_q"],
                rank_pattern={"conv1": 3, "downsamplers.0.conv": 3},
                alpha_pattern={"conv1": 6.0, "downsamplers.0.conv": 6.0},
            ),
            peft.LoHaConfig(
                r=3, alpha=6, rank_dropout=0.2, module_dropout=0.1, use_effective_conv2d=True,
                target_modules=TEXT_ATTENTION,
            ),
        ],
    ),
    "lokr": (
        AdapterSpec(name="lokr", rank=1, alpha_ratio=4.0, factor=4, decompose_both=True, targets=(*CONV, "to_v")),
        [
            peft.LoKrConfig(
                r=1, alpha=4, decompose_factor=4, decompose_both=True, target_modules=[*CONV, "to_v"],
            )
        ],
    ),
    "ia3": (
        AdapterSpec(name="ia3", targets="attention+ff", text_encoder=True),
        [
            peft.IA3Config(target_modules=FORWARD, feedforward_modules=HALVES),
            peft.IA3Config(target_modules=TEXT_FORWARD, feedforward_modules=HALVES),
        ],
    ),
    "oft": (
        AdapterSpec(name="oft", block_size=4, dropout=0.3, targets="attention+ff", text_encoder=True),
        [
            peft.OFTConfig(oft_block_size=4, module_dropout=0.3, target_modules=FORWARD),
            peft.OFTConfig(oft_block_size=4, module_dropout=0.3, target_modules=TEXT_FORWARD),
        ],
    ),
    "adalora": (
        AdapterSpec(
            name="adalora", rank=4, dropout=0.1, text_encoder=True, budget_warmup=0.2, budget_final=0.3,
            targets=("to_q", "conv1"),
        ),
        [
            peft.AdaLoraConfig(
                init_r=4, target_r=2, lora_alpha=4, lora_dropout=0.1, tinit=2, tfinal=3, total_step=STEPS,
                target_modules=["to_q", "conv1"],
            ),
            peft.AdaLoraConfig(
                init_r=4, target_r=2, lora_alpha=4, lora_dropout=0.1, tinit=2, tfinal=3, total_step=STEPS,
                target_modules=TEXT_ATTENTION,
            ),
        ],
    ),
}  # fmt: skip
NAMES = list(ADAPTERS)


def trial_of(name: str) -> TrialSpec:
    return one("adamw", NAMES.index(name), ADAPTERS[name][0])


@pytest.fixture(scope="module")
def together(loaded_base: Base, tiny_data: EncodedDataset) -> dict[str, tuple[list[float], list[torch.Tensor]]]:
    """Losses and parameters of all kinds, trained in one pack in float64."""
    losses, parameters = trained(doubled(copy.deepcopy(loaded_base)), tiny_data, [trial_of(name) for name in NAMES])
    return dict(zip(NAMES, zip(losses, parameters, strict=True), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_in_float64_a_mixed_pack_trains_each_kind_as_plain_peft(
    name: str, together: Any, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    configs = [copy.deepcopy(config) for config in ADAPTERS[name][1]]
    losses, parameters = plain_training(tiny_spec, tiny_data, trial_of(name), STEPS, torch.float64, configs=configs)
    assert together[name][0] == pytest.approx(losses, abs=1e-10)
    assert_same(together[name][1], parameters, 1e-8)
    start = trial_of(name).optimizer.lr
    assert max(parameter.abs().max() for parameter in parameters) > start  # they moved


@pytest.mark.parametrize("name", ["loha", "oft", "adalora"])
def test_alone_it_is_as_in_company(name: str, together: Any, new_base: NewBase, tiny_data: EncodedDataset) -> None:
    (losses,), (parameters,) = trained(doubled(new_base()), tiny_data, [trial_of(name)])
    assert losses == pytest.approx(together[name][0], abs=1e-10)
    assert_same(parameters, together[name][1], 1e-8)


def test_adaloras_ranks_fall_by_its_own_step(together: Any) -> None:
    """Of 4 ranks in each of its layers 2 are left on the mean."""
    parameters = together["adalora"][1]
    singular = [p for p in parameters if p.shape == (4, 1)]
    text = 4
    for part in (singular[:-text], singular[-text:]):
        assert sum(int(p.count_nonzero()) for p in part) == 2 * len(part)


def test_resumed_slots_of_every_kind_go_on_as_if_nothing_had_been(
    together: Any, new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    pack = Pack(doubled(new_base()), tiny_data, num_slots=len(NAMES))
    slots = {name: pack.admit(trial_of(name)) for name in NAMES}
    for _ in range(5):
        pack.step()
    for name, slot in slots.items():
        pack.save_state(slot, tmp_path / name)
    for slot in slots.values():
        pack.release(slot)
    slots = {name: pack.admit(trial_of(name), resume_from=tmp_path / name) for name in NAMES}
    losses: dict[int, list[float]] = {slot: [] for slot in slots.values()}
    for report in [report for _ in range(STEPS - 5) for report in pack.step()]:
        losses[report.slot].append(report.loss)
    for name, slot in slots.items():
        assert losses[slot] == pytest.approx(together[name][0][5:], abs=1e-10)
        assert_same(weights(pack, slot), together[name][1], 1e-8)


def test_a_slot_takes_one_kind_after_another_while_others_go_on(
    together: Any, new_base: NewBase, tiny_data: EncodedDataset
) -> None:
    pack = Pack(doubled(new_base()), tiny_data, num_slots=2)
    names = [name for name, _ in pack.base.denoiser.named_modules()]
    lasting = trial_of("oft")
    pack.admit(replace(lasting, train=replace(lasting.train, steps=100)))
    for name in ("loha", "lora", "ia3", "dora"):
        slot = pack.admit(trial_of(name))
        losses = [report.loss for report in run(pack, slot, 3)]
        assert losses == pytest.approx(together[name][0][:3], abs=1e-10)
        pack.release(slot)
    assert [name for name, _ in pack.base.denoiser.named_modules()] == names  # the base's own tree


def test_a_state_of_another_kind_is_refused(tiny_base: Base, tiny_data: EncodedDataset, tmp_path: Path) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=1)
    slot = pack.admit(trial_of("loha"))
    pack.save_state(slot, tmp_path / "state")
    pack.release(slot)
    with pytest.raises(ValueError, match="other layers or ranks"):
        pack.admit(trial_of("lokr"), resume_from=tmp_path / "state")
    assert pack.free == [0]
