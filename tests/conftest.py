"""Fixtures that several packages' tests share: a small real pipeline and a small set of pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.config import presets
from foundation.data.dataset import Dataset, load_dataset
from foundation.quiet import quiet_libraries
from train.caches import EncodedDataset, encode_dataset
from train.drawn import draw_set
from train.pocket.tokens import MAX_TOKENS, build_tokenizer
from train.spec import BaseSpec, DataSpec

quiet_libraries()
torch.set_num_threads(1)


LONG = (
    "tests/faults/test_kills.py",
    "tests/sweeper/test_study.py",
    "tests/train/test_pocket_models.py",
    "tests/train/test_matrix.py",
    "tests/sweeper/worker/",
    "tests/test_installed.py",
    "tests/test_extending.py",
)
"""Files of few tests that take long. They come first, or one process would still be at one when all others are idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(autouse=True)
def no_presets_of_before() -> Iterator[None]:
    """A process has one command, which settles what it searches; a process of tests has many."""
    yield
    presets.searched.folders = ()


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """accelerate holds one precision per process; a worker has one pack, a process of tests has many."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Stable Diffusion pipeline of a few thousand random weights, 32×32 pictures."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=32,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
        ),
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_spec(tiny_pipeline: Path) -> BaseSpec:
    """The config of `tiny_pipeline`."""
    return BaseSpec(name="tiny", path=str(tiny_pipeline), resolution=32)


@pytest.fixture(scope="session")
def loaded_base(tiny_spec: BaseSpec) -> Base:
    """`tiny_pipeline`, loaded once; take `new_base`, adapters must not meet."""
    return load_base(tiny_spec, torch.device("cpu"))


@pytest.fixture
def new_base(loaded_base: Base) -> Callable[[], Base]:
    """Makes bases without adapters, equal to one another."""
    return lambda: copy.deepcopy(loaded_base)


@pytest.fixture
def tiny_base(new_base: Callable[[], Base]) -> Base:
    """A base without adapters."""
    return new_base()


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pencil scenes to train on and four held out, in folders with `metadata.jsonl`."""
    return draw_set("pencil", 10, 4, tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def tiny_dataset(drawn_folder: Path) -> Dataset:
    """`drawn_folder` as read by any user's way."""
    spec = DataSpec(name="drawn", path=str(drawn_folder / "train"), validation_path=str(drawn_folder / "validation"))
    return load_dataset(spec)


@pytest.fixture(scope="session")
def tiny_data(loaded_base: Base, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> EncodedDataset:
    """`tiny_dataset` as the tiny base sees it."""
    return encode_dataset(loaded_base, tiny_dataset, tmp_path_factory.mktemp("cache"))
