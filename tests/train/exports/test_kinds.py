"""Kinds that diffusers does not load: the files act as PEFT does after LyCORIS's formulas, or are refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import PeftModel
from safetensors.torch import load_file

from foundation.adapter_files import Part, write_parts
from foundation.errors import AdapterError
from tests.train.exports import lycoris
from tests.train.injected import injected, predicted, written
from train.exports import About, read_adapter, write_format

LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "ff.net.2"]
CONFIGS: dict[str, Any] = {
    "loha": peft.LoHaConfig(r=3, alpha=2, target_modules=LAYERS, alpha_pattern={"to_k": 5}, rank_pattern={"to_q": 2}),
    "loha tucker": peft.LoHaConfig(r=3, alpha=2, target_modules=LAYERS, use_effective_conv2d=True),
    "lokr": peft.LoKrConfig(r=2, alpha=3, target_modules=LAYERS, decompose_both=True, decompose_factor=4),
    "lokr whole": peft.LoKrConfig(r=64, alpha=32, target_modules=LAYERS),
    "lokr tucker": peft.LoKrConfig(r=1, alpha=3, target_modules=LAYERS, use_effective_conv2d=True),
    "ia3": peft.IA3Config(target_modules=["to_q", "to_k", "to_v", "ff.net.2"], feedforward_modules=["ff.net.2"]),
}


OTHERS: dict[str, Any] = {
    "oft": peft.OFTConfig(oft_block_size=4, target_modules=["to_q", "to_k"]),
    "bias": peft.LoraConfig(r=2, lora_bias=True, target_modules=["to_q", "conv1"]),
}


@pytest.fixture(scope="module")
def pipe(tiny_pipeline: Path) -> Any:
    loaded = StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None)
    loaded.unet.requires_grad_(False)
    return loaded


@pytest.fixture(scope="module")
def adapted(pipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], tuple[Path, torch.Tensor]]:
    """Makes a checkpoint of a kind with PEFT alone; its folder, and what the UNet predicts with it."""

    def make(config: Any) -> tuple[Path, torch.Tensor]:
        unet = injected(pipe.unet, config)
        folder = tmp_path_factory.mktemp("kinds") / "kind"
        written(folder, unet, config)
        return folder, predicted(unet)

    return make


@pytest.mark.parametrize("kind", CONFIGS)
def test_kohya_file_after_the_formulas(
    kind: str, pipe: Any, adapted: Callable[[Any], tuple[Path, torch.Tensor]], tmp_path: Path
) -> None:
    folder, theirs = adapted(CONFIGS[kind])
    unet = copy.deepcopy(pipe.unet)
    file = write_format("kohya", read_adapter(folder), tmp_path, About(title="lyco"))
    assert lycoris.put_into({"lora_unet_": unet}, load_file(file)) > 4
    assert (theirs - predicted(pipe.unet)).abs().max() > 0.02
    torch.testing.assert_close(predicted(unet), theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", [*CONFIGS, *OTHERS])
def test_peft_folder(kind: str, pipe: Any, adapted: Callable[[Any], tuple[Path, torch.Tensor]], tmp_path: Path) -> None:
    folder, theirs = adapted((CONFIGS | OTHERS)[kind])
    exported = write_format("peft", read_adapter(folder), tmp_path, About(title="x"))
    module = PeftModel.from_pretrained(copy.deepcopy(pipe.unet), exported / "unet")
    torch.testing.assert_close(predicted(module.get_base_model()), theirs, rtol=0, atol=1e-5)


def test_what_a_format_has_no_words_for_is_refused(
    adapted: Callable[[Any], tuple[Path, torch.Tensor]], tmp_path: Path
) -> None:
    biased = peft.IA3Config(target_modules=["to_out.0"], feedforward_modules=[])
    whole = peft.LoraConfig(r=2, target_modules=["to_q"], modules_to_save=["conv_out"])
    for format_, config, words in [
        ("kohya", OTHERS["oft"], "no words for OFT"),
        ("kohya", biased, "IA3 on the outputs of .*to_out.0"),
        ("kohya", whole, "kohya's format has no place for conv_out"),
        ("kohya", OTHERS["bias"], "has no place for .*lora_B.bias"),
        ("diffusers", OTHERS["oft"], "diffusers loads LoRA only, this is OFT"),
    ]:
        adapter = read_adapter(adapted(config)[0])
        with pytest.raises(AdapterError, match=words):
            write_format(format_, adapter, tmp_path / "out", About(title="x"))
    assert not (tmp_path / "out").exists()


def test_what_is_no_adapter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    (tmp_path / "pickled.bin").write_bytes(b"")
    write_parts(tmp_path / "kohya.safetensors", {"lora_unet_a": Part({"alpha": torch.ones(1)}, {})})
    write_parts(tmp_path / "foreign.safetensors", {"unet": Part({"a.weight": torch.ones(1)}, {})})
    for name, words in {
        "none": "there is no LoRA at",
        "torn.safetensors": "cannot be read",
        "pickled.bin": "nothing is unpickled",
        "kohya.safetensors": "no names as diffusers gives them .it holds lora_unet_a",
        "foreign.safetensors": "holds no lora_A and no config",
    }.items():
        with pytest.raises(AdapterError, match=words) as caught:
            read_adapter(tmp_path / name)
        assert "\n" not in str(caught.value)
