"""Each file comes back as the adapter that was trained: it draws the trainer's own picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from foundation.adapters.exports import About, read_adapter, write_format, write_full
from foundation.adapters.merge.difference import base_layers, weight_differences
from tests.foundation.adapters.exports import loaders
from tests.train.trained_pocket import LORAS, SPECS, Picture, difference, draw

ABOUT = About(title="pencil")
CLOSE = 1.0
"""Of 255, mean: what two programs' pictures may differ by."""
Trained = Callable[[str], tuple[Path, Picture]]


@pytest.mark.parametrize("name", LORAS)
def test_diffusers_file(
    name: str, trained: Trained, new_pipeline: Callable[[], Any], plain_picture: Picture, tmp_path: Path
) -> None:
    folder, picture = trained(name)
    assert difference(picture, plain_picture) > 10 * CLOSE  # else anything would pass
    pipe = new_pipeline()
    pipe.load_lora_weights(write_format("diffusers", read_adapter(folder), tmp_path, ABOUT))
    assert difference(draw(pipe), picture) < CLOSE


@pytest.mark.parametrize("name", [name for name in LORAS if name != "dora"])  # of DoRA diffusers leaves the magnitudes
def test_kohya_file_in_diffusers(name: str, trained: Trained, new_pipeline: Callable[[], Any], tmp_path: Path) -> None:
    folder, picture = trained(name)
    pipe = new_pipeline()
    pipe.load_lora_weights(write_format("kohya", read_adapter(folder), tmp_path, ABOUT))
    assert difference(draw(pipe), picture) < CLOSE


@pytest.mark.parametrize("name", [name for name in SPECS if name != "oft"])  # that it has no words for
def test_kohya_file_after_the_formulas(
    name: str, trained: Trained, new_pipeline: Callable[[], Any], plain_picture: Picture, tmp_path: Path
) -> None:
    folder, picture = trained(name)
    assert difference(picture, plain_picture) > 4 * CLOSE
    pipe = new_pipeline()
    base = base_layers(new_pipeline())
    state = load_file(write_format("kohya", read_adapter(folder), tmp_path, ABOUT, base))
    # transformers 5 took `text_model` out of CLIP's modules; kohya's names have it.
    modules = {"lora_unet_": pipe.unet, "lora_te_text_model_": pipe.text_encoder}
    count = loaders.put_into(modules, state, loaders.comfyui)
    assert count == len({key.partition(".")[0] for key in state}) > 0
    assert difference(draw(pipe), picture) < CLOSE


def test_file_of_differences(trained: Trained, new_pipeline: Callable[[], Any], tmp_path: Path) -> None:
    """DoRA in A1111, which reads no other file of it; all other kinds are in test_kinds.py."""
    folder, picture = trained("dora")
    adapter, pipe = read_adapter(folder), new_pipeline()
    state = load_file(write_full(adapter, weight_differences(new_pipeline(), adapter), tmp_path, ABOUT))
    modules = {"lora_unet_": pipe.unet, "lora_te_text_model_": pipe.text_encoder}
    assert loaders.put_into(modules, state, loaders.a1111) > 0
    assert difference(draw(pipe), picture) < CLOSE


@pytest.mark.parametrize("name", SPECS)
def test_peft_folder(name: str, trained: Trained, new_pipeline: Callable[[], Any], tmp_path: Path) -> None:
    folder, picture = trained(name)
    pipe = new_pipeline()
    written = write_format("peft", read_adapter(folder), tmp_path, ABOUT)
    for part in written.iterdir():
        module = PeftModel.from_pretrained(getattr(pipe, part.name), part)
        setattr(pipe, part.name, module.get_base_model())
    assert difference(draw(pipe), picture) < CLOSE


def test_what_is_written_as_diffusers_is_what_was_read(trained: Trained, tmp_path: Path) -> None:
    for name in LORAS:
        adapter = read_adapter(trained(name)[0])
        again = read_adapter(write_format("diffusers", adapter, tmp_path, ABOUT).parent)
        assert again.parts.keys() == adapter.parts.keys()
        for part, saved in adapter.parts.items():
            assert again.parts[part].config == saved.config
            assert all(torch.equal(again.parts[part].state[key], value) for key, value in saved.state.items())
