"""Merged pipelines draw what the trainer drew, and PEFT's verbs leave the base as they found it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import DiffusionPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from foundation.adapters.exports import SavedAdapter, read_adapter
from foundation.adapters.files import AdapterPart, plain_config
from foundation.adapters.merge import pipeline
from foundation.errors import AdapterError, BaseModelError
from tests.train.peft_adapters import predicted
from tests.train.trained_pocket import SPECS, Picture, difference, draw, stir

Trained = Callable[[str], tuple[Path, Picture]]


@pytest.mark.parametrize("name", SPECS)
def test_a_merged_pipeline_draws_the_trainers_picture(
    name: str, trained: Trained, new_pipeline: Callable[[], Any], tmp_path: Path
) -> None:
    folder, picture = trained(name)
    pipe = new_pipeline()
    pipeline.merge_all(pipe, [(read_adapter(folder), 1.0)])
    pipeline.write_pipeline(pipe, tmp_path / "merged")
    loaded = DiffusionPipeline.from_pretrained(tmp_path / "merged")
    assert not hasattr(loaded.unet, "peft_config")
    assert difference(draw(loaded), picture) < 1
    assert not list((tmp_path / "merged").rglob("*.bin"))


@pytest.mark.parametrize("name", ["text", "dora"])
def test_strength_is_diffusers_own(name: str, trained: Trained, new_pipeline: Callable[[], Any]) -> None:
    folder, picture = trained(name)
    reference, pipe = new_pipeline(), new_pipeline()
    reference.load_lora_weights(folder, adapter_name="it")
    reference.set_adapters("it", 0.6)
    pipeline.merge_all(pipe, [(read_adapter(folder), 0.6)])
    weaker = draw(reference)
    assert difference(weaker, picture) > 5
    assert difference(draw(pipe), weaker) < 1


def weights(pipe: Any) -> dict[str, Tensor]:
    parts = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
    return {f"{part}.{name}": p.clone() for part, module in parts.items() for name, p in module.named_parameters()}


def test_two_merged_are_both_and_come_out_again(trained: Trained, new_pipeline: Callable[[], Any]) -> None:
    both = [(read_adapter(trained("text")[0]), 0.4), (read_adapter(trained("mixed")[0]), -0.5)]
    reference, pipe = new_pipeline(), new_pipeline()
    before = weights(pipe)
    for name, (adapter, strength) in zip("ab", both, strict=True):
        pipeline.put(reference, adapter, name, strength)
    for layer in reference.unet.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.set_adapter(["a", "b"])
    pipeline.merge_all(pipe, both)
    assert difference(draw(pipe), draw(reference)) < 1
    pipeline.unmerge_all(pipe, both)
    after = weights(pipe)
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-6)


def kinds(unet: Any) -> dict[str, SavedAdapter]:
    """Adapters of the kinds that diffusers does not load, made by PEFT."""
    layers = ["to_q", "to_k", "conv1"]
    made = {}
    configs: dict[str, Any] = {
        "loha": peft.LoHaConfig(r=3, alpha=2, target_modules=layers, use_effective_conv2d=True),
        "lokr": peft.LoKrConfig(r=2, alpha=3, target_modules=layers),
        "ia3": peft.IA3Config(target_modules=layers, feedforward_modules=["to_k"]),
        "oft": peft.OFTConfig(oft_block_size=4, target_modules=["to_q", "to_k"]),
        "whole": peft.LoraConfig(r=2, target_modules=["to_q"], modules_to_save=["conv_out"], init_lora_weights=False),
    }
    for kind, config in configs.items():
        peft.inject_adapter_in_model(config, unet, adapter_name=kind)
        stir([each for name, each in unet.named_parameters() if f".{kind}" in name], share=0.1)
        state = {name: each.clone() for name, each in get_peft_model_state_dict(unet, adapter_name=kind).items()}
        made[kind] = SavedAdapter({"unet": AdapterPart(state, plain_config(config))})
        pipeline.take_off(type("Pipe", (), {"components": {"unet": unet}}))
    return made


def test_every_kind_merges_and_what_can_comes_out_again(tiny_pipeline: Path) -> None:
    made = kinds(pipeline.open_pipeline(str(tiny_pipeline)).unet)
    for kind, adapter in made.items():
        pipe = pipeline.open_pipeline(str(tiny_pipeline))
        before, plain = weights(pipe), predicted(pipe.unet)
        pipeline.put(pipe, adapter, "it", 1.0)
        acting = predicted(pipe.unet)
        assert (acting - plain).abs().max() > 1e-3
        pipeline.unload(pipe)
        pipe = pipeline.open_pipeline(str(tiny_pipeline))
        pipeline.merge_all(pipe, [(adapter, 1.0)])
        torch.testing.assert_close(predicted(pipe.unet), acting, rtol=0, atol=2e-5, msg=kind)
        if kind == "whole":
            with pytest.raises(AdapterError, match="conv_out.* was trained whole and cannot be taken out"):
                pipeline.unmerge_all(pipe, [(adapter, 1.0)])
            continue
        pipeline.unmerge_all(pipe, [(adapter, 1.0)])
        for name, tensor in weights(pipe).items():
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=1e-5)


def test_verbs_on_one_pipeline(trained: Trained, new_pipeline: Callable[[], Any], plain_picture: Picture) -> None:
    pipe = new_pipeline()
    names = [name for name, _ in pipe.unet.named_modules()]
    for name in ("alpha", "text"):
        pipeline.put(pipe, read_adapter(trained(name)[0]), name)
    pipeline.delete(pipe, "text")
    assert difference(draw(pipe), trained("alpha")[1]) < 1
    with pytest.raises(AdapterError, match="there is no adapter text on the pipeline"):
        pipeline.delete(pipe, "text")
    pipeline.merge(pipe, "alpha")
    assert difference(draw(pipe), trained("alpha")[1]) < 1
    pipeline.unmerge(pipe)
    pipeline.unload(pipe)
    assert [name for name, _ in pipe.unet.named_modules()] == names
    assert difference(draw(pipe), plain_picture) < 0.1


def test_what_cannot_be_done_is_said(trained: Trained, new_pipeline: Callable[[], Any], tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="DoRA cannot be taken out"):
        pipeline.unmerge_all(new_pipeline(), [(read_adapter(trained("dora")[0]), 1.0)])
    with pytest.raises(BaseModelError, match="is no pipeline that loads"):
        pipeline.open_pipeline(str(tmp_path))
    adapter = read_adapter(trained("alpha")[0])
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "lora_bias": True, "target_modules": [layer]}
    sizes = {"lora_A.weight": (2, 48), "lora_B.weight": (48, 2), "lora_B.bias": (48,)}
    state = {f"{layer}.{name}": torch.ones(size) for name, size in sizes.items()}
    with pytest.raises(AdapterError, match="cannot be merged: Impossible to merge"):
        pipeline.merge_all(new_pipeline(), [(SavedAdapter({"unet": AdapterPart(state, config)}), 1.0)])
    with pytest.raises(AdapterError, match="has no layers for the base's unet"):
        pipeline.merge_all(new_pipeline(), [(SavedAdapter({"unet": AdapterPart({}, config)}), 1.0)])
    endless = {name: torch.full_like(tensor, torch.inf) for name, tensor in adapter.parts["unet"].state.items()}
    broken = SavedAdapter({"unet": AdapterPart(endless, adapter.parts["unet"].config)})
    with pytest.raises(AdapterError, match="cannot be merged"):
        pipeline.merge_all(new_pipeline(), [(broken, 1.0)])
