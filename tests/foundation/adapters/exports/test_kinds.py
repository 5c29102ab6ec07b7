"""Every kind of adapter: the files act as PEFT does by the formulas of the programs that read them, or are refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file

from foundation.adapters.exports import About, SavedAdapter, read_adapter, write_format, write_full
from foundation.adapters.exports.layer_names import built_in_names
from foundation.adapters.exports.programs import UNWRITTEN, Format, kind_name, readers
from foundation.adapters.files import put_on, take_off
from foundation.adapters.merge.difference import base_layers, weight_differences
from foundation.errors import AdapterError
from tests.foundation.adapters.exports import loaders
from tests.train.peft_adapters import injected, predicted, written

LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "ff.net.2"]
SCALED = {"rank_pattern": {"to_q": 2}, "alpha_pattern": {"to_k": 5}, "target_modules": LAYERS}
CONFIGS: dict[str, Any] = {
    "lora": peft.LoraConfig(r=3, lora_alpha=2, **SCALED),
    "dora": peft.LoraConfig(r=3, lora_alpha=2, use_dora=True, **SCALED),
    "rank-stabilised dora": peft.LoraConfig(r=3, lora_alpha=2, use_dora=True, use_rslora=True, **SCALED),
    "bias": peft.LoraConfig(r=2, lora_alpha=3, lora_bias=True, target_modules=["to_out.0", "conv1", "proj_in"]),
    "loha": peft.LoHaConfig(r=3, alpha=2, **SCALED),
    "loha tucker": peft.LoHaConfig(r=3, alpha=2, target_modules=LAYERS, use_effective_conv2d=True),
    "lokr": peft.LoKrConfig(r=2, alpha=3, target_modules=LAYERS, decompose_both=True, decompose_factor=4),
    "lokr whole": peft.LoKrConfig(r=64, alpha=32, target_modules=LAYERS),
    "lokr tucker": peft.LoKrConfig(r=1, alpha=3, target_modules=LAYERS, use_effective_conv2d=True),
    "lokr tucker twice": peft.LoKrConfig(
        r=1, alpha=3, target_modules=LAYERS, use_effective_conv2d=True, decompose_both=True, decompose_factor=4
    ),
    "ia3": peft.IA3Config(target_modules=["to_q", "to_k", "to_v", "ff.net.2"], feedforward_modules=["ff.net.2"]),
    "ia3 with biases": peft.IA3Config(
        target_modules=["to_q", "to_out.0", "conv1", "conv2"], feedforward_modules=["conv2"]
    ),
    "oft": peft.OFTConfig(oft_block_size=4, target_modules=["to_q", "to_k"]),
}
FILES: list[Format] = ["kohya", "full"]


@pytest.fixture(scope="module")
def pipe(tiny_pipeline: Path) -> Any:
    loaded = StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None)
    loaded.unet.requires_grad_(False)
    return loaded


@pytest.fixture(scope="module")
def adapted(pipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], tuple[Path, torch.nn.Module]]:
    """Makes a checkpoint of a kind with PEFT alone; its folder, and the UNet with it."""

    def make(config: Any) -> tuple[Path, torch.nn.Module]:
        unet = injected(pipe.unet, config)
        folder = tmp_path_factory.mktemp("kinds") / "kind"
        written(folder, unet, config)
        return folder, unet

    return make


def merged(unet: torch.nn.Module) -> dict[str, tuple[torch.Tensor, torch.Tensor | None]]:
    """Weight and bias of each layer as PEFT merges them, by kohya's name of the layer."""
    found = {}
    for name, layer in unet.named_modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge(adapter_names=["theirs"])
            base = layer.get_base_layer()
            found[f"lora_unet_{name.replace('.', '_')}"] = (base.weight.detach(), base.bias)
    return found


def far(one: torch.Tensor | None, other: torch.Tensor | None) -> float:
    """The largest difference, as a share of the largest number."""
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("kind", CONFIGS)
def test_each_program_makes_pefts_weights_of_it_or_is_not_named(
    kind: str, pipe: Any, adapted: Callable[[Any], tuple[Path, torch.nn.Module]], tmp_path: Path
) -> None:
    """Both files, by the formulas of A1111, Forge and ComfyUI; what the table says that is not read is not right."""
    folder, module = adapted(CONFIGS[kind])
    adapter, wanted = read_adapter(folder), merged(copy.deepcopy(module))
    plain = {name.replace(".", "_"): layer for name, layer in pipe.unet.named_modules()}
    name = kind_name(adapter)
    assert ("tucker" in kind) == any(each.endswith("_t2") for each in adapter.parts["unet"].state)
    for file in FILES:
        if (file, name) in UNWRITTEN:
            continue
        state = loaders.by_layer(load_file(write_as(file, adapter, pipe, tmp_path)))
        assert state.keys() == wanted.keys()
        for program, load in loaders.LOADERS.items():
            worst, known = 0.0, True
            for layer, tensors in state.items():
                base = plain[layer.removeprefix("lora_unet_")]
                loaded = load(base.weight.detach(), None if base.bias is None else base.bias.detach(), tensors)
                worst = max(worst, far(loaded.weight, wanted[layer][0]), far(loaded.bias, wanted[layer][1]))
                known &= loaded.read == tensors.keys()
            if program in readers(file, name, built_in_names()["sd1"]).read:
                assert known and worst < 1e-5, (file, program)
            else:
                assert not known or worst > 1e-2, (file, program)


def write_as(file: str, adapter: SavedAdapter, pipe: Any, folder: Path) -> Path:
    about = About(title="x")
    if file == "full":
        return write_full(adapter, weight_differences(copy.deepcopy(pipe), adapter), folder, about)
    return write_format(file, adapter, folder, about, base_layers(pipe))


@pytest.mark.parametrize("kind", CONFIGS)
def test_our_own_reader_reads_all_that_we_write(
    kind: str, pipe: Any, adapted: Callable[[Any], tuple[Path, torch.nn.Module]], tmp_path: Path
) -> None:
    """As `sweeper eval` and `sweeper merge` read files: what acts is what PEFT had."""
    folder, module = adapted(CONFIGS[kind])
    adapter, wanted = read_adapter(folder), predicted(module)
    for file in ("kohya", "full", "peft", "diffusers"):
        if (file, kind_name(adapter)) in UNWRITTEN:
            continue
        put_on(pipe, write_as(file, adapter, pipe, tmp_path / file), "ours")
        theirs = predicted(pipe.unet)
        take_off(pipe)
        torch.testing.assert_close(theirs, wanted, rtol=0, atol=2e-5, msg=file)


@pytest.mark.parametrize("kind", CONFIGS)
def test_peft_folder(
    kind: str, pipe: Any, adapted: Callable[[Any], tuple[Path, torch.nn.Module]], tmp_path: Path
) -> None:
    folder, unet = adapted(CONFIGS[kind])
    exported = write_format("peft", read_adapter(folder), tmp_path, About(title="x"))
    module = PeftModel.from_pretrained(copy.deepcopy(pipe.unet), exported / "unet")
    assert (predicted(unet) - predicted(pipe.unet)).abs().max() > 1e-3
    torch.testing.assert_close(predicted(module.get_base_model()), predicted(unet), rtol=0, atol=1e-5)


def test_what_a_format_has_no_words_for_is_refused(
    pipe: Any, adapted: Callable[[Any], tuple[Path, torch.nn.Module]], tmp_path: Path
) -> None:
    unbiased = peft.LoraConfig(r=2, lora_bias=True, target_modules=["to_q"])
    whole = peft.LoraConfig(r=2, target_modules=["to_q"], modules_to_save=["conv_out"])
    for format_, config, words in [
        ("kohya", CONFIGS["oft"], "no words for OFT"),
        ("kohya", unbiased, "cannot hold a bias of .*to_q, which has none"),
        ("kohya", whole, "kohya's format has no place for conv_out"),
        ("diffusers", CONFIGS["oft"], "diffusers loads LoRA only, this is OFT"),
    ]:
        adapter = read_adapter(adapted(config)[0])
        with pytest.raises(AdapterError, match=words):
            write_format(format_, adapter, tmp_path / "out", About(title="x"), base_layers(pipe))
    assert not (tmp_path / "out").exists()


def test_what_is_no_adapter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    (tmp_path / "pickled.bin").write_bytes(b"")
    save_file({"lora_unet_a.alpha": torch.ones(1)}, tmp_path / "half.safetensors")
    save_file({"unet.a.weight": torch.ones(1)}, tmp_path / "foreign.safetensors")
    for name, words in {
        "none": "there is no LoRA at",
        "torn.safetensors": "cannot be read",
        "pickled.bin": "nothing is unpickled",
        "half.safetensors": r"what no LoRA could act with: 1 of 1 tensors or layers, unet.a \(alpha\)",
        "foreign.safetensors": r"what no LoRA could act with: 1 of 1 tensors or layers, unet.a \(weight\)",
    }.items():
        with pytest.raises(AdapterError, match=words) as caught:
            read_adapter(tmp_path / name)
        assert "\n" not in str(caught.value)
