"""Every optimizer in a pack: as alone, as in plain PEFT, and across a save, a judgement and a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from foundation.adapters.files import WEIGHTS_FILE
from foundation.bases.port import Base
from tests.train.plain_training import plain_training
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import (
    AdapterSpec,
    BaseSpec,
    LrSchedulerName,
    LrSchedulerSpec,
    OptimizerName,
    OptimizerSpec,
    TrainingSpec,
    TrialSpec,
)
from train.spec.optimizer_kinds import OPTIMIZERS

NewBase = Callable[[], Base]
STEPS = 4
RATES: dict[OptimizerName, float] = {
    "lion8bit": 1e-3,
    "dadapt_adam": 1.0,
    "adafactor": 1e-2,
    "came": 1e-2,
    "schedulefree_adamw": 1e-2,
    "sgd": 1.0,
}
"""Those that tests/train/test_packed.py and test_pack.py do not hold."""
SETTINGS = {"lion8bit": {"min_8bit_size": 16}, "dadapt_adam": {"d0": 1e-3}}


def one(name: OptimizerName, seed: int = 0, text_encoder: bool = False, ema_decay: float | None = None) -> TrialSpec:
    schedule: LrSchedulerName = "constant_with_warmup" if OPTIMIZERS[name].schedule_free else "cosine"
    return TrialSpec(
        adapter=AdapterSpec(rank=4, alpha_ratio=0.5, dropout=0.1, targets="attention+ff", text_encoder=text_encoder),
        optimizer=OptimizerSpec(
            name=name,
            lr=RATES[name],
            momentum=0.9 if name == "sgd" else None,
            text_encoder_lr_ratio=1,
            settings=SETTINGS.get(name, {}),
        ),
        lr_scheduler=LrSchedulerSpec(name=schedule, warmup=0.25),
        train=TrainingSpec(steps=STEPS, batch_size=2, seed=seed, ema_decay=ema_decay),
    )


def double(base: Base) -> Base:
    base.denoiser.double()
    base.text_encoder.double()
    base.dtype = torch.float64
    return base


def trained(base: Base, data: EncodedDataset, specs: list[TrialSpec]) -> tuple[list[list[float]], Pack]:
    """Each trial's losses, and the pack in which they trained together."""
    pack = Pack(base, data, len(specs))
    slots = [pack.admit(spec) for spec in specs]
    reports = [report for _ in range(STEPS) for report in pack.step()]
    assert not [report for report in reports if report.failure]
    return [[report.loss for report in reports if report.slot == slot] for slot in slots], pack


def weights(pack: Pack, slot: int) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in pack._slot(slot).parameters]


def test_in_float64_each_trains_packed_as_alone_and_in_plain_peft(
    new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    names = [name for name in RATES if name != "lion8bit"]  # bitsandbytes has none for float64
    specs = [one(name, seed, text_encoder=seed == 1) for seed, name in enumerate(names)]
    losses, pack = trained(double(new_base()), tiny_data, specs)
    for slot, spec in enumerate(specs):
        # D-Adaptation's estimate is summed in float32, whatever the parameters are
        precise = 1e-6 if spec.optimizer.name == "dadapt_adam" else 1e-10
        (alone,), lonely = trained(double(new_base()), tiny_data, [spec])
        plain, plain_own = plain_training(tiny_spec, tiny_data, spec, STEPS, torch.float64)
        assert losses[slot] == pytest.approx(alone, abs=precise)
        assert losses[slot] == pytest.approx(plain, abs=precise)
        for own, other, theirs in zip(weights(pack, slot), weights(lonely, 0), plain_own, strict=True):
            torch.testing.assert_close(own, other, rtol=0, atol=100 * precise)
            torch.testing.assert_close(own, theirs, rtol=0, atol=100 * precise)


def test_in_float32_lion8bit_too(new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset) -> None:
    specs = [one("came"), one("lion8bit", 1), one("sgd", 2)]
    (_, together, _), _ = trained(new_base(), tiny_data, specs)
    (alone,), _ = trained(new_base(), tiny_data, specs[1:2])
    plain, _ = plain_training(tiny_spec, tiny_data, specs[1], STEPS)
    assert together == pytest.approx(alone, abs=1e-4)
    assert together == pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("name", RATES)
def test_a_judgement_and_a_resume_change_not_a_bit(
    name: OptimizerName, new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    spec = one(name, text_encoder=name == "came", ema_decay=None if OPTIMIZERS[name].schedule_free else 0.9)
    (through,), undisturbed = trained(new_base(), tiny_data, [spec])
    pack = Pack(new_base(), tiny_data, 2)
    slot = pack.admit(spec)
    judge(pack, slot, tiny_data, tmp_path / "first")
    losses = [report.loss for _ in range(2) for report in pack.step()]
    judge(pack, slot, tiny_data, tmp_path / "adapter")
    pack.save_state(slot, tmp_path / "state")
    pack.release(slot)
    slot = pack.admit(spec, resume_from=tmp_path / "state")
    judge(pack, slot, tiny_data, tmp_path / "again")
    losses += [report.loss for _ in range(2) for report in pack.step()]
    assert losses == through
    for own, other in zip(weights(pack, slot), weights(undisturbed, 0), strict=True):
        assert torch.equal(own, other)
    saved, again = (load_file(tmp_path / name / WEIGHTS_FILE) for name in ("adapter", "again"))
    assert saved.keys() == again.keys()
    assert all(torch.equal(saved[key], again[key]) for key in saved)
    with pack._slot(slot).for_use(), undisturbed._slot(0).for_use():
        for own, other in zip(weights(pack, slot), weights(undisturbed, 0), strict=True):
            assert torch.equal(own, other)


@pytest.mark.parametrize("name", ["dadapt_adam", "lion8bit"])
def test_a_state_that_a_gpu_wrote_goes_on_where_there_is_none(
    name: OptimizerName, new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is here: the file says of each of its tensors that it was on one."""
    spec = one(name)
    (through,), _ = trained(new_base(), tiny_data, [spec])
    pack = Pack(new_base(), tiny_data, 1)
    slot = pack.admit(spec)
    losses = [report.loss for _ in range(2) for report in pack.step()]
    with monkeypatch.context() as patched:
        patched.setattr("torch.serialization.location_tag", lambda _: "cuda:0")
        pack.save_state(slot, tmp_path / "state")
    with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
        torch.load(tmp_path / "state/state.pt", weights_only=True)
    pack.release(slot)
    pack.admit(spec, resume_from=tmp_path / "state")
    assert losses + [report.loss for _ in range(2) for report in pack.step()] == through


def judge(pack: Pack, slot: int, data: EncodedDataset, folder: Path) -> None:
    with pack.acting([slot]) as base:
        base.encode_texts(["a red cup"])
        base.predict(data.validation.means[:2], torch.tensor([100, 700]), data.validation.embeddings[:2])
    pack.save_adapter(slot, folder)
