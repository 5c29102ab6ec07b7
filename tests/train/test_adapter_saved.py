"""What a trial of each kind saves acts as the trial does: in our pack, in `sweeper eval`, in diffusers if a LoRA."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from foundation.adapters.files import WEIGHTS_FILE, put_on, read_parts
from foundation.bases.port import Base
from tests.train.test_adapter_kinds import ADAPTERS
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, OptimizerSpec, TrainingSpec, TrialSpec

SPECS: dict[str, AdapterSpec] = {
    **{name: replace(spec, text_encoder=True) for name, (spec, _) in ADAPTERS.items()},
    "pissa": AdapterSpec(rank=3, alpha_ratio=0.5, init="pissa", rslora=True, rank_pattern={"to_q": 2}),
    "olora": AdapterSpec(rank=2, init="olora", text_encoder=True, alpha_pattern={"to_k": 1.5}),
    "mica": AdapterSpec(rank=2, init="mica"),
    "lora_bias": AdapterSpec(rank=2, lora_bias=True),
    "all-linear": AdapterSpec(rank=2, targets="all-linear", layers=(1,), layers_pattern="up_blocks"),
    "expression": AdapterSpec(rank=2, targets=r".*attn2[.]to_[kv]", exclude="down_blocks.*"),
}
OURS = {"loha", "lokr", "ia3", "oft"}
"""Kinds that diffusers does not load."""


@pytest.fixture(scope="module")
def saved(
    loaded_base: Base, tiny_data: EncodedDataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, torch.Tensor]]:
    """For each spec: a trained trial's file, and what base and text encoder make with it in the pack."""
    pack = Pack(copy.deepcopy(loaded_base), tiny_data, num_slots=len(SPECS))
    slots = {
        name: pack.admit(
            TrialSpec(
                adapter=spec,
                optimizer=OptimizerSpec(name="adamw", lr=0.05),
                train=TrainingSpec(steps=6, batch_size=1, seed=number),
            )
        )
        for number, (name, spec) in enumerate(SPECS.items())
    }
    for _ in range(6):
        pack.step()
    folder = tmp_path_factory.mktemp("saved")
    made = {}
    for name, slot in slots.items():
        pack.save_adapter(slot, folder / name)
        with pack.acting([slot]) as base:
            made[name] = folder / name, outputs(base.denoiser, base.text_encoder)
    return made


@torch.no_grad()
def outputs(denoiser: Any, text_encoder: Any) -> torch.Tensor:
    """Of some noise with a text, as the encoder embeds it."""
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(2, 4, 16, 16, generator=generator)
    text = text_encoder(torch.arange(10).view(2, 5)).last_hidden_state
    output: torch.Tensor = denoiser(noisy, torch.tensor([3, 700]), text).sample
    return output


@pytest.mark.parametrize("name", SPECS)
def test_the_file_acts_as_the_trial_did(
    name: str, saved: Any, new_base: Callable[[], Base], tiny_pipeline: Path, tiny_data: EncodedDataset
) -> None:
    folder, expected = saved[name]
    pack = Pack(new_base(), tiny_data, num_slots=1)
    other = pack.admit(TrialSpec(adapter=SPECS["locon"]))  # whose layers are stood in for
    with pack.acting([]) as base:
        plain = outputs(base.denoiser, base.text_encoder)
    assert (expected - plain).abs().max() > 1e-3
    for strength, wanted in ((1.0, expected), (0.0, plain)):
        if SPECS[name].dora and strength == 0:
            continue  # its magnitudes stay
        with pack.acting_file(folder, strength) as base:
            torch.testing.assert_close(outputs(base.denoiser, base.text_encoder), wanted, rtol=0, atol=2e-5)
    with pack.acting([]) as base:
        torch.testing.assert_close(outputs(base.denoiser, base.text_encoder), plain, rtol=0, atol=1e-6)
    assert [report.failure for report in pack.step()] == [None]
    assert pack.steps_done(other) == 1
    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_pipeline, safety_checker=None, requires_safety_checker=False
    )
    put_on(pipeline, folder, "judged")
    torch.testing.assert_close(outputs(pipeline.unet, pipeline.text_encoder), expected, rtol=0, atol=2e-5)


def test_half_way_between_lies_half_of_a_loras_update(saved: Any, new_base: Callable[[], Base], tiny_data: Any) -> None:
    """Kinds that are saved as a LoRA have its strength."""
    pack = Pack(new_base(), tiny_data, num_slots=1)
    for name in ("pissa", "adalora", "locon"):
        with pack.acting_file(saved[name][0], 0.5) as base:
            half = outputs(base.denoiser, base.text_encoder)
        with pack.acting_file(saved[name][0]) as base:
            for module in (base.denoiser, base.text_encoder):
                for key, parameter in module.named_parameters():
                    if "lora_B" in key:
                        parameter.data *= 0.5
            torch.testing.assert_close(half, outputs(base.denoiser, base.text_encoder), rtol=0, atol=1e-5)


def test_an_adalora_is_saved_with_the_ranks_that_are_left_and_a_pissa_with_twice_its_own(saved: Any) -> None:
    adalora = read_parts(saved["adalora"][0] / WEIGHTS_FILE)["unet"]
    ranks = [len(tensor) for key, tensor in adalora.state.items() if "lora_A" in key]
    assert min(ranks) >= 1 and max(ranks) <= 4
    assert sum(ranks) < 4 * len(ranks)
    pissa = read_parts(saved["pissa"][0] / WEIGHTS_FILE)["unet"]
    assert {len(tensor) for key, tensor in pissa.state.items() if "lora_A" in key} == {4, 6}
    assert (pissa.config["r"], pissa.config["init_lora_weights"]) == (6, True)
