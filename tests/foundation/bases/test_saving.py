"""A pipeline that was saved draws as it is loaded: in one dtype, whether or not one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from torch import nn
from transformers import CLIPModel

from eval.features import POCKET
from foundation.adapters.merge.pipeline import open_pipeline, write_pipeline
from foundation.bases.folder import EMBEDDED
from tests.train.test_families import picture
from tests.train.tiny_families import BUILDERS

NAMED: list[torch.dtype | None] = [None, torch.float32, torch.bfloat16]


def dtypes_of(pipe: Any) -> set[torch.dtype]:
    modules = [part for part in pipe.components.values() if isinstance(part, nn.Module)]
    return {each.dtype for module in modules for each in module.parameters()}


def loaded(folder: Path, dtype: torch.dtype | None) -> Any:
    return DiffusionPipeline.from_pretrained(folder, **({} if dtype is None else {"dtype": dtype}))


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", BUILDERS)
def test_every_family_in_half_precision_draws_however_it_is_loaded(
    family: str, stored: torch.dtype, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    write_pipeline(BUILDERS[family]().to(dtype=stored), tmp_path / "half")
    drawn = {}
    for dtype in NAMED if stored == torch.bfloat16 else NAMED[:1]:
        pipe = loaded(tmp_path / "half", dtype)
        assert dtypes_of(pipe) == {dtype or torch.float32}
        drawn[dtype] = picture(pipe, family)
        assert drawn[dtype].std() > 1
    if torch.float32 in drawn:
        assert np.array_equal(drawn[None], drawn[torch.float32])


def test_a_pipeline_of_two_precisions_comes_back_in_one(tmp_path: Path) -> None:
    """As SDXL's is, whose autoencoder half precision is too narrow for."""
    pipe = BUILDERS["sdxl"]()
    pipe.unet.half(), pipe.text_encoder.half(), pipe.text_encoder_2.bfloat16()
    write_pipeline(pipe, tmp_path / "mixed")
    assert dtypes_of(loaded(tmp_path / "mixed", None)) == {torch.float32}
    picture(loaded(tmp_path / "mixed", None), "sdxl")


@pytest.mark.parametrize("dtype", NAMED, ids=str)
def test_the_embedded_base_is_a_plain_pipeline(dtype: torch.dtype | None) -> None:
    pipe = loaded(EMBEDDED["pocket"], dtype)
    assert dtypes_of(pipe) == {dtype or torch.float32}
    pipe.set_progress_bar_config(disable=True)
    image = pipe("a red cup on grass", num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images[0]
    assert np.asarray(image, dtype=float).std() > 5


def test_so_is_a_pipeline_that_was_merged_from_it(tmp_path: Path) -> None:
    write_pipeline(open_pipeline(str(EMBEDDED["pocket"])).to(dtype=torch.float16), tmp_path / "merged")
    assert dtypes_of(loaded(tmp_path / "merged", None)) == {torch.float32}


def test_the_embedded_clip_takes_float32_as_it_is_loaded() -> None:
    assert CLIPModel.from_pretrained(POCKET).dtype == torch.float32
