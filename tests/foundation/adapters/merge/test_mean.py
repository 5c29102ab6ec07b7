"""A mean of LoRAs adds to the base the mean of what they add, and is a file like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from foundation.adapters.exports import SavedAdapter, read_adapter, write_format
from foundation.adapters.exports.about import About
from foundation.adapters.exports.adapter import as_file
from foundation.adapters.exports.layers import layers_of
from foundation.adapters.files import AdapterPart, lora_config
from foundation.adapters.merge.mean import mean_of
from foundation.errors import AdapterError

TO_Q, TO_K, CONV = (
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k",
    "down_blocks.0.resnets.0.conv1",
)


def adapter(unet: Any, rank: int, alpha: float, seed: int, layers: tuple[str, ...]) -> SavedAdapter:
    """Of random factors, in float64, for layers of a UNet."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name in layers:
        weight = unet.get_submodule(name).weight
        down, up = (rank, *weight.shape[1:]), (len(weight), rank, *[1] * (weight.ndim - 2))
        state[f"{name}.lora_A.weight"] = torch.randn(down, generator=generator, dtype=torch.float64) / 8
        state[f"{name}.lora_B.weight"] = torch.randn(up, generator=generator, dtype=torch.float64) / 8
    config = lora_config(dict.fromkeys(layers, rank))
    return SavedAdapter({"unet": AdapterPart(state, {**config, "lora_alpha": alpha, "alpha_pattern": {}})})


def updates(adapter: SavedAdapter) -> dict[str, Tensor]:
    """ΔW = alpha/rank · B·A of each layer, (out, in·k·k)."""
    return {
        layer.name: layer.scale * layer.tensors["lora_B"].flatten(1) @ layer.tensors["lora_A"].flatten(1)
        for layer in layers_of(adapter.parts["unet"], "a test")
    }


@pytest.fixture
def three(tiny_pipeline: Path) -> list[SavedAdapter]:
    unet = StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None).unet
    ranks = ((2, 4.0, (TO_Q, TO_K, CONV)), (3, 1.5, (TO_Q, CONV)), (2, 2.0, (TO_Q, TO_K, CONV)))
    return [adapter(unet, rank, alpha, seed, layers) for seed, (rank, alpha, layers) in enumerate(ranks)]


def test_its_update_is_the_mean_of_the_updates(three: list[SavedAdapter]) -> None:
    mean, each = mean_of(three, rank=7), [updates(one) for one in three]
    found = updates(mean.adapter)
    assert found.keys() == {TO_Q, TO_K, CONV}
    for name, update in found.items():
        expected = sum(one.get(name, torch.zeros_like(update)) for one in each) / 3
        assert update.dtype == torch.float64
        assert torch.allclose(update, expected, rtol=0, atol=1e-13)
    assert mean.error < 1e-6


def test_of_one_it_is_that_one_and_of_opposites_nothing(three: list[SavedAdapter]) -> None:
    (own,) = (updates(mean_of(three[:1]).adapter),)
    assert all(torch.allclose(own[name], update, atol=1e-13) for name, update in updates(three[0]).items())
    part = three[0].parts["unet"]
    opposite = {name: -tensor if "lora_B" in name else tensor for name, tensor in part.state.items()}
    none = mean_of([three[0], SavedAdapter({"unet": AdapterPart(opposite, part.config)})])
    assert all(update.abs().max() < 1e-13 for update in updates(none.adapter).values())


def test_a_lower_rank_is_the_best_there_is_and_its_error_is_said(three: list[SavedAdapter]) -> None:
    mean, whole = mean_of(three), updates(mean_of(three, rank=7).adapter)
    assert mean.rank == 3
    left = total = 0.0
    for name, update in updates(mean.adapter).items():
        values = torch.linalg.svdvals(whole[name])
        left, total = left + values[3:].square().sum().item(), total + values.square().sum().item()
        assert torch.linalg.matrix_rank(update) <= 3
        assert (update - whole[name]).norm() == pytest.approx(values[3:].norm().item(), rel=1e-6, abs=1e-9)
    assert mean.error == pytest.approx((left / total) ** 0.5, rel=1e-6)
    assert 0.05 < mean.error < 1


def test_diffusers_loads_it_and_draws_as_with_the_mean_in_the_weights(
    three: list[SavedAdapter], tiny_pipeline: Path, tmp_path: Path
) -> None:
    mean = mean_of(three, rank=7)
    write_format("diffusers", mean.adapter, tmp_path, About())
    assert all(
        torch.allclose(update, updates(mean.adapter)[name]) for name, update in updates(read_adapter(tmp_path)).items()
    )

    def drawn(pipe: Any) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        arguments = {"num_inference_steps": 2, "output_type": "latent", "generator": generator}
        return pipe("a red cup", width=16, height=16, **arguments).images  # type: ignore[no-any-return]

    loaded, merged = (
        StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None).to(torch.float64) for _ in range(2)
    )
    before = drawn(merged)
    loaded.load_lora_weights(tmp_path)
    loaded.unet.to(torch.float64)
    for one in three:
        for name, update in updates(one).items():
            weight = merged.unet.get_submodule(name).weight
            weight.data += update.reshape(weight.shape) / 3
    assert torch.allclose(drawn(loaded), drawn(merged), atol=1e-9)
    assert not torch.allclose(drawn(merged), before, atol=1e-3)


def test_what_cannot_be_averaged_exactly_is_refused(three: list[SavedAdapter]) -> None:
    part = three[0].parts["unet"]
    dora = {**part.state, f"{TO_Q}.lora_magnitude_vector": torch.ones(8)}
    with pytest.raises(AdapterError, match="takes no DoRA"):
        mean_of([three[1], SavedAdapter({"unet": AdapterPart(dora, part.config)})])
    with pytest.raises(AdapterError, match="takes LoRA only, got LOHA"):
        mean_of([three[1], SavedAdapter({"unet": AdapterPart(part.state, {**part.config, "peft_type": "LOHA"})})])


def test_equal_adapters_give_equal_files_as_the_library_would_write_them(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.bfloat16)}
    header = {"format": "pt", "ss_output_name": "pêche", **{name: name for name in "zyx"}}
    data, theirs = as_file(tensors, header), save(tensors, header)
    assert all(as_file(tensors, header) == data for _ in range(8))
    begin = 8 + int.from_bytes(data[:8], "little")
    assert begin % 8 == 0 and data[begin:] == theirs[begin:] and len(data) == len(theirs)
    (tmp_path / "file.safetensors").write_bytes(data)
    with safe_open(tmp_path / "file.safetensors", "pt") as opened:
        assert opened.metadata() == header
        assert all(torch.equal(opened.get_tensor(name), tensor) for name, tensor in tensors.items())
