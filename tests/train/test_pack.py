"""A slot trains as PEFT and PyTorch alone would, whatever company it keeps, and across a save and a resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from foundation.adapters.files import WEIGHTS_FILE
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from train.caches import EncodedDataset
from train.pack import Pack
from train.reports import StepReport
from train.spec import (
    AdapterSpec,
    BaseSpec,
    LrSchedulerSpec,
    ObjectiveSpec,
    OptimizerName,
    OptimizerSpec,
    Precision,
    TrainingSpec,
    TrialSpec,
)

NewBase = Callable[[], Base]
OPTIMIZERS: dict[OptimizerName, float] = {"adamw": 1e-2, "adamw8bit": 1e-2, "lion": 1e-3, "prodigy": 1.0}


def trial(
    name: OptimizerName = "adamw", *, seed: int = 0, dropout: float = 0.0, rank: int = 4, **train: int
) -> TrialSpec:
    return TrialSpec(
        adapter=AdapterSpec(rank=rank, alpha_ratio=0.5, dropout=dropout, targets="attention+ff"),
        optimizer=OptimizerSpec(name=name, lr=OPTIMIZERS[name]),
        lr_scheduler=LrSchedulerSpec(name="cosine", warmup=0.2),
        objective=ObjectiveSpec(snr_gamma=5.0, noise_offset=0.03, caption_dropout=0.2),
        train=TrainingSpec(**{"steps": 10, "batch_size": 2, "seed": seed, **train}),
    )


def run(pack: Pack, slot: int, steps: int) -> list[StepReport]:
    return [report for _ in range(steps) for report in pack.step() if report.slot == slot]


def weights(pack: Pack, slot: int) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in pack._slot(slot).parameters]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_slot_equals_an_uninterrupted_one(
    name: OptimizerName, tiny_base: Base, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    spec = trial(name, dropout=0.2)
    pack = Pack(tiny_base, tiny_data, num_slots=2)
    slot = pack.admit(spec)
    run(pack, slot, 3)
    pack.save_state(slot, tmp_path / "state")
    through = [report.loss for report in run(pack, slot, 3)]
    expected = weights(pack, slot)
    pack.release(slot)
    resumed = pack.admit(spec, resume_from=tmp_path / "state")
    assert pack.steps_done(resumed) == 3
    assert [report.loss for report in run(pack, resumed, 3)] == through
    for ours, theirs in zip(weights(pack, resumed), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_saved_in_the_midst_of_a_step_a_slot_goes_on_from_its_last_whole_one(
    tiny_base: Base, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    spec = trial(dropout=0.2, gradient_accumulation=3)
    pack = Pack(tiny_base, tiny_data, num_slots=1)
    slot = pack.admit(spec)
    through = run(pack, slot, 5)  # all of an epoch
    pack.release(slot)
    slot = pack.admit(spec)
    run(pack, slot, 4)  # one step of three micro-batches, and one of the two that are left for the second
    pack.save_state(slot, tmp_path / "state")
    pack.release(slot)
    resumed = pack.admit(spec, resume_from=tmp_path / "state")
    assert pack.steps_done(resumed) == 1
    assert [report.loss for report in run(pack, resumed, 2)] == [through[1].loss]


def test_refilled_slot_equals_a_fresh_one(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    pack = Pack(new_base(), tiny_data, num_slots=1)
    used = pack.admit(trial("prodigy", rank=8))
    run(pack, used, 3)
    pack.release(used)
    refilled = [report.loss for report in run(pack, pack.admit(trial("adamw8bit")), 3)]
    fresh = Pack(new_base(), tiny_data, num_slots=1)
    assert refilled == [report.loss for report in run(fresh, fresh.admit(trial("adamw8bit")), 3)]


def test_accumulated_halves_equal_one_batch(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    """Two micro-batches draw other noise than one batch, so only the pictures they take can be compared."""
    pack = Pack(new_base(), tiny_data, num_slots=1)
    slot = pack.admit(trial(batch_size=5, gradient_accumulation=2, steps=2))
    order_before = list(pack._slot(slot).draws.orders[0])
    assert pack.step() == []
    assert [report.step for report in pack.step()] == [1]
    assert order_before == []
    assert pack._slot(slot).draws.orders[0] == []  # 10 pictures, each seen once in one optimizer step
    assert pack.steps_done(slot) == 1


@pytest.mark.parametrize(
    "adapter",
    [
        AdapterSpec(rank=4, alpha_ratio=0.25, targets="attention+ff"),
        AdapterSpec(rank=4, alpha_ratio=0.25, targets="attention+ff", rslora=True),
        AdapterSpec(rank=4, alpha_ratio=0.25, targets="all"),
        AdapterSpec(rank=4, targets="all", rank_pattern={"to_q": 2, "conv1": 6}, alpha_pattern={"to_k": 1.5}),
        AdapterSpec(rank=4, alpha_ratio=0.25, dora=True),
    ],
    ids=["plain", "rslora", "convolutions", "patterns", "dora"],
)
def test_saved_adapter_makes_the_trainers_picture_in_plain_diffusers(
    adapter: AdapterSpec, tiny_base: Base, tiny_pipeline: Path, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    spec = TrialSpec(
        adapter=adapter,
        optimizer=OptimizerSpec(name="adamw", lr=0.05),
        train=TrainingSpec(steps=8, batch_size=2),
    )
    pack = Pack(tiny_base, tiny_data, num_slots=1)
    slot = pack.admit(spec)
    run(pack, slot, 8)
    pack.save_adapter(slot, tmp_path / "lora")
    with pack.acting([slot]) as base:
        ours = picture(base.pipeline)
    with pack.acting([]) as base:
        without = picture(base.pipeline)
    with pack.acting_file(tmp_path / "lora") as base:
        reloaded = picture(base.pipeline)
    plain = StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None, requires_safety_checker=False)
    plain.load_lora_weights(str(tmp_path / "lora"))
    assert np.abs(ours - without).mean() > 2 / 255  # the adapter does something
    assert np.abs(ours - picture(plain)).mean() < 1 / 255
    assert np.abs(ours - reloaded).mean() < 1 / 255


@pytest.mark.parametrize(
    ("adapter", "strength"),
    [
        (AdapterSpec(rank=4, alpha_ratio=0.25, targets="attention+ff"), 0.4),
        (AdapterSpec(rank=4, alpha_ratio=0.25, targets="all", rslora=True), 1.2),
        (AdapterSpec(rank=4, rank_pattern={"to_q": 2}, alpha_pattern={"to_k": 1.5}), 0.6),
        (AdapterSpec(rank=4, alpha_ratio=0.25, dora=True), 0.8),
    ],
    ids=["plain", "rslora and convolutions", "patterns", "dora"],
)
def test_a_file_at_a_strength_acts_as_one_with_so_much_of_its_alpha(
    adapter: AdapterSpec, strength: float, new_base: NewBase, tiny_data: EncodedDataset, tmp_path: Path
) -> None:
    pack = Pack(new_base(), tiny_data, num_slots=1)
    slot = pack.admit(TrialSpec(adapter=adapter, optimizer=OptimizerSpec(lr=0.05)))
    run(pack, slot, 3)
    own = pack._slot(slot)
    pack.save_adapter(slot, tmp_path / "as it is")
    write_scaled(tmp_path / "as it is" / WEIGHTS_FILE, tmp_path / "scaled", strength)

    def predicted(folder: str, strength: float) -> torch.Tensor:
        with pack.acting_file(tmp_path / folder, strength) as base:
            latents, embeddings = tiny_data.validation.means[:2], tiny_data.validation.embeddings[:2]
            return base.predict(latents, torch.tensor([100, 700]), embeddings)

    ours, reference, full = predicted("as it is", strength), predicted("scaled", 1.0), predicted("as it is", 1.0)
    assert (ours - reference).abs().max() <= 1e-6
    assert (ours - full).abs().max() > 1e-4
    assert [parameter.requires_grad for parameter in own.parameters] == [True] * len(own.parameters)


def write_scaled(file: Path, folder: Path, strength: float) -> None:
    """The same LoRA with so much of every alpha in its header."""
    with safe_open(file, framework="pt") as opened:
        header = opened.metadata()
    config = json.loads(header["lora_adapter_metadata"])
    for key, value in config.items():
        if key.endswith(".lora_alpha"):
            config[key] = strength * value
        if key.endswith(".alpha_pattern"):
            config[key] = {layer: strength * alpha for layer, alpha in value.items()}
    folder.mkdir()
    save_file(load_file(file), folder / file.name, {**header, "lora_adapter_metadata": json.dumps(config)})


def picture(pipeline: StableDiffusionPipeline) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    images = pipeline(
        "a red cup", num_inference_steps=4, guidance_scale=5.0, generator=generator, output_type="np"
    ).images
    return np.asarray(images[0])


def test_prodigys_rate_is_d_times_lr(tiny_base: Base, tiny_data: EncodedDataset) -> None:
    pack = Pack(tiny_base, tiny_data, num_slots=1)
    slot = pack.admit(trial("prodigy"))
    reports = run(pack, slot, 5)
    group = pack._slot(slot).optimizer.param_groups[0]
    assert reports[-1].lr != reports[-1].lr * group["d"]
    assert reports[2].lr == pytest.approx(1e-6, rel=1e-3)  # after warm-up lr is 1, and d starts at 1e-6
    assert group["d"] > 1e-6


@pytest.mark.usefixtures("fresh_accelerate")
def test_bf16_trains_through_accelerate_with_float32_adapters(
    new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    def train(base: Base, precision: Precision) -> list[float]:
        pack = Pack(base, tiny_data, num_slots=3, precision=precision)
        for spec in (trial(), trial("lion", seed=1, rank=2), trial("prodigy", seed=2, dropout=0.2)):
            pack.admit(spec)
        losses = [report.loss for _ in range(3) for report in pack.step()]
        assert {p.dtype for slot in pack.active for p in pack._slot(slot).parameters} == {torch.float32}
        return losses

    exact = train(new_base(), "fp32")
    AcceleratorState._reset_state(reset_partial_state=True)
    rough = train(load_base(tiny_spec, torch.device("cpu"), "bf16"), "bf16")
    assert rough == pytest.approx(exact, rel=0.03)
    assert rough != exact
