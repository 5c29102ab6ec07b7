"""The file of an adapter that diffusers does not load: written, read, put on a pipeline at a strength, taken off."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft.utils import get_peft_model_state_dict

from foundation.adapters.files import (
    WEIGHTS_FILE,
    AdapterPart,
    plain_config,
    put_on,
    read_parts,
    take_off,
    write_parts,
)
from foundation.errors import AdapterError
from tests.train.peft_adapters import injected, predicted, written

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
CONFIGS: dict[str, Any] = {
    "loha": peft.LoHaConfig(r=3, alpha=2, target_modules=[*ATTENTION, "conv1"], use_effective_conv2d=True),
    "lokr": peft.LoKrConfig(r=2, alpha=4, target_modules=[*ATTENTION, "conv1"], rank_pattern={"to_q": 1}),
    "ia3": peft.IA3Config(target_modules=[*ATTENTION, "ff.net.2", "conv1"], feedforward_modules=r".*\.net\.2"),
    "oft": peft.OFTConfig(oft_block_size=4, target_modules=ATTENTION),
}


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline: Path) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None, requires_safety_checker=False)
    for module in (pipe.unet, pipe.text_encoder):
        module.requires_grad_(False)
    return pipe


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_file_acts_as_what_was_written_and_leaves_nothing(
    kind: str, pipeline: StableDiffusionPipeline, tmp_path: Path
) -> None:
    theirs = injected(pipeline.unet, CONFIGS[kind])
    file = written(tmp_path / kind, theirs, CONFIGS[kind])
    names, plain = [name for name, _ in pipeline.unet.named_modules()], predicted(pipeline.unet)
    chance = torch.get_rng_state()
    put_on(pipeline, file, "ours")
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.equal(predicted(pipeline.unet), predicted(theirs))
    take_off(pipeline)
    assert [name for name, _ in pipeline.unet.named_modules()] == names
    assert torch.equal(predicted(pipeline.unet), plain)
    put_on(pipeline, file.parent, "judged")  # a folder, under another name
    assert torch.equal(predicted(pipeline.unet), predicted(theirs))
    take_off(pipeline)


def scaled_loha(unet: Any, strength: float) -> None:
    for name, parameter in unet.named_parameters():
        if "hada_w1_a" in name:  # a factor of the update
            parameter.data *= strength


def scaled_lokr(unet: Any, strength: float) -> None:
    for name, parameter in unet.named_parameters():
        if "lokr_w1" in name:
            parameter.data *= strength


def scaled_ia3(unet: Any, strength: float) -> None:
    for name, parameter in unet.named_parameters():
        if "ia3_l" in name:
            parameter.data = 1 + strength * (parameter.data - 1)


def scaled_oft(unet: Any, strength: float) -> None:
    for name, parameter in unet.named_parameters():
        if "oft_R" in name:
            parameter.data *= strength


@pytest.mark.parametrize(
    ("kind", "scale"), {"loha": scaled_loha, "lokr": scaled_lokr, "ia3": scaled_ia3, "oft": scaled_oft}.items()
)
def test_strength(kind: str, scale: Any, pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    theirs = injected(pipeline.unet, CONFIGS[kind])
    file = written(tmp_path / kind, theirs, CONFIGS[kind])
    plain = predicted(pipeline.unet)
    for strength in (0.0, 0.6):
        put_on(pipeline, file, "ours", strength)
        ours = predicted(pipeline.unet)
        take_off(pipeline)
        reference = copy.deepcopy(theirs)
        scale(reference, strength)
        torch.testing.assert_close(ours, predicted(reference), rtol=0, atol=1e-5)
        assert ((ours - plain).abs().max() < 1e-5) == (strength == 0)


def test_parts_are_read_as_they_were_written_and_diffusers_own_by_its_header(
    pipeline: StableDiffusionPipeline, tmp_path: Path
) -> None:
    state = {"a.lokr_w1": torch.ones(2), "b.lokr_w1": torch.zeros(1)}
    other = {"c.lokr_w1": torch.full((2, 2), 3.0)}
    configs = {
        "unet": {"peft_type": "LOKR", "r": 3, "alpha": 1},
        "text_encoder": {"peft_type": "LOKR", "r": 4, "alpha": 1},
    }
    file = tmp_path / "two.safetensors"
    write_parts(
        file, {"unet": AdapterPart(state, configs["unet"]), "text_encoder": AdapterPart(other, configs["text_encoder"])}
    )
    read = read_parts(file)
    assert {name: dict(part.config) for name, part in read.items()} == configs
    for component, tensors in {"unet": state, "text_encoder": other}.items():
        assert set(read[component].state) == set(tensors)
        assert all(torch.equal(read[component].state[key], tensors[key]) for key in tensors)
    config = peft.LoraConfig(r=3, lora_alpha=7.5, target_modules=ATTENTION)
    lora = get_peft_model_state_dict(injected(pipeline.unet, config), adapter_name="theirs")
    StableDiffusionPipeline.save_lora_weights(
        tmp_path / "lora", unet_lora_layers=lora, unet_lora_adapter_metadata=plain_config(config)
    )
    (part,) = read_parts(tmp_path / "lora" / WEIGHTS_FILE).values()
    assert (part.config["r"], part.config["lora_alpha"]) == (3, 7.5)
    assert set(part.state) == set(lora)


def test_what_does_not_fit_is_said_in_one_line(pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    config = plain_config(CONFIGS["loha"])
    state = {"nowhere.hada_w1_a": torch.zeros(2, 2)}
    half = {"down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.hada_w1_a": torch.zeros(8, 3)}
    file = tmp_path / "file.safetensors"
    names = [name for name, _ in pipeline.unet.named_modules()]
    for component, part, words in [
        (
            "transformer",
            AdapterPart(state, config),
            "is for a pipeline with a transformer (layers: 1); this base has none",
        ),
        (
            "unet",
            AdapterPart(state, {**config, "peft_type": "NO_SUCH"}),
            "of PEFT's kind NO_SUCH, which is not read here",
        ),
        ("unet", AdapterPart(state, config), "does not fit the base's unet: 1 of 1 layers are not in it"),
        ("unet", AdapterPart(half, config), "it lacks 3 tensors of its layers, first .*to_q.hada_w1_b"),
    ]:
        write_parts(file, {component: part})
        with pytest.raises(AdapterError, match=re.escape(words) if "(" in words else words) as caught:
            put_on(pipeline, file, "ours")
        assert "\n" not in str(caught.value)
        assert [name for name, _ in pipeline.unet.named_modules()] == names  # nothing is left
    write_parts(file, {"unet": AdapterPart({"nowhere.hada_w1_a": torch.full((2, 2), torch.nan)}, config)})
    with pytest.raises(AdapterError, match=r"holds numbers that are not finite, in unet\.nowhere\.hada_w1_a"):
        read_parts(file)
