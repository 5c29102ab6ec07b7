"""Adapters that PEFT alone puts into the tiny UNet: what our files of them are held against."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import peft
import torch
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from foundation.adapters.files import WEIGHTS_FILE, AdapterPart, plain_config, write_parts
from tests.train.trained_pocket import stir


def injected(unet: nn.Module, config: Any) -> nn.Module:
    """A copy with an adapter whose weights training might have made."""
    module = peft.inject_adapter_in_model(copy.deepcopy(config), copy.deepcopy(unet), adapter_name="theirs")
    stir([each for each in module.parameters() if each.requires_grad], share=0.2)
    return module.eval()


def written(folder: Path, module: nn.Module, config: Any) -> Path:
    """The file of what `injected` made, in a new folder."""
    folder.mkdir()
    state = get_peft_model_state_dict(module, adapter_name="theirs")
    write_parts(folder / WEIGHTS_FILE, {"unet": AdapterPart(state, plain_config(config))})
    return folder / WEIGHTS_FILE


@torch.no_grad()
def predicted(unet: Any) -> Tensor:
    """What it says of two rows of noise, always the same."""
    chance = torch.Generator().manual_seed(0)
    noisy = torch.randn(2, 4, 16, 16, generator=chance)
    output: Tensor = unet(noisy, torch.tensor([3, 700]), torch.randn(2, 5, 16, generator=chance)).sample
    return output
