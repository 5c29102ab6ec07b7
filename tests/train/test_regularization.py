"""Regularisation pictures come from a folder, or are drawn by the base once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foundation.bases.port import Base
from foundation.data.dataset import load_dataset
from foundation.errors import DataError
from tests.train.test_data import spec, write
from train.caches import encode_dataset
from train.regularization import with_regularization


def test_a_folders_pictures_keep_their_captions_and_are_encoded_beside_the_others(
    tmp_path: Path, tiny_base: Base
) -> None:
    folder = write(tmp_path / "data", ["x"] * 6)
    others = write(tmp_path / "others", ["a cup", "a hat"], first=50)
    dataset = load_dataset(spec(folder, trigger="in my style", regularization_path=str(others)))
    assert [picture.caption for picture in dataset.regularization] == ["a cup", "a hat"]
    assert all("in my style" in picture.caption for picture in dataset.train)
    data = encode_dataset(tiny_base, dataset, tmp_path / "cache")
    assert data.regularization is not None and data.regularization.captions == ("a cup", "a hat")
    assert len(data.regularization) == 2 and data.trigger == "in my style"
    plain = encode_dataset(tiny_base, load_dataset(spec(folder)), tmp_path / "cache")
    assert plain.regularization is None
    with pytest.raises(DataError, match="data.regularization_path .*gone is not a folder"):
        load_dataset(spec(folder, regularization_path=str(tmp_path / "gone")))


def test_the_base_draws_them_once_as_its_pipeline_does(
    tmp_path: Path, new_base: Callable[[], Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, base = write(tmp_path / "data", ["x"] * 6), new_base()
    asked = spec(folder, regularization_prompt="a red cup", regularization_count=5)
    pipeline: Any = type(base.pipeline)
    calls: list[int] = []
    draw = pipeline.__call__

    def counted(self: Any, **arguments: Any) -> Any:
        calls.append(len(arguments["prompt"]))
        return draw(self, num_inference_steps=2, **arguments)  # 50 steps would take long

    monkeypatch.setattr(pipeline, "__call__", counted)
    dataset = with_regularization(load_dataset(asked), asked, base, tmp_path / "cache")
    assert calls == [4, 1]
    assert [picture.caption for picture in dataset.regularization] == ["a red cup"] * 5
    again = with_regularization(load_dataset(asked), asked, new_base(), tmp_path / "cache")
    assert again == dataset and calls == [4, 1]
    third = np.asarray(Image.open(dataset.regularization[2].path), dtype=float)
    alone = base.pipeline(
        prompt=["a red cup"], height=32, width=32, generator=[torch.Generator("cpu").manual_seed(2)]
    ).images[0]
    assert third.shape == (32, 32, 3)
    assert np.abs(third - np.asarray(alone, dtype=float)).max() <= 1
    more = spec(folder, regularization_prompt="a blue cup", regularization_count=1)
    with_regularization(load_dataset(more), more, base, tmp_path / "cache")
    assert calls == [4, 1, 1, 1]


def test_without_a_prompt_nothing_is_drawn(tmp_path: Path, tiny_base: Base) -> None:
    plain = spec(write(tmp_path / "data", ["x"] * 6))
    dataset = load_dataset(plain)
    assert with_regularization(dataset, plain, tiny_base, tmp_path / "cache") is dataset
    assert not (tmp_path / "cache").exists()
