"""The extractor gives what the model gives, whatever the batch, and refuses what is no CLIP."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, CLIPModel, CLIPTokenizer, SiglipConfig, SiglipImageProcessor, SiglipModel

from eval import features
from eval.features import load_extractor
from foundation.errors import BaseModelError


def pictures(n: int, mode: str = "RGB") -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20, 18, 3), dtype=np.uint8)).convert(mode) for _ in range(n)]


def test_features_are_the_models_own_with_unit_norm(clip_folder: Path) -> None:
    extractor = load_extractor(str(clip_folder))
    model = CLIPModel.from_pretrained(clip_folder).eval()
    texts = ["a red cup", "an orange star on grass, and more than the model can read"]
    with torch.no_grad():
        pixels = AutoImageProcessor.from_pretrained(clip_folder)(images=pictures(3), return_tensors="pt")
        tokens = CLIPTokenizer.from_pretrained(clip_folder)(
            texts, padding=True, truncation=True, max_length=24, return_tensors="pt"
        )
        output = model(**pixels, **tokens)
    assert torch.allclose(extractor.images(pictures(3)), output.image_embeds, atol=1e-5)
    assert torch.allclose(extractor.texts(texts), output.text_embeds, atol=1e-5)
    assert torch.allclose(extractor.images(pictures(3)).norm(dim=1), torch.ones(3))


def test_features_do_not_depend_on_the_batch_or_the_mode(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = load_extractor(str(clip_folder))
    whole, texts = extractor.images(pictures(5)), extractor.texts(["a", "a long one", "b", "c d"])
    monkeypatch.setattr(features, "_BATCH", 2)
    assert torch.allclose(extractor.images(pictures(5)), whole, atol=1e-6)
    assert torch.allclose(extractor.texts(["a", "a long one", "b", "c d"]), texts, atol=1e-6)
    grey = pictures(2, "L")
    assert torch.equal(extractor.images(grey), extractor.images([image.convert("RGB") for image in grey]))


def test_nothing_gives_empty_features_of_the_right_width(clip_folder: Path) -> None:
    extractor = load_extractor(str(clip_folder))
    assert extractor.images([]).shape == extractor.texts([]).shape == (0, 12)


def test_siglip_is_read_with_full_padding(clip_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = small | {"vocab_size": 514, "max_position_embeddings": 16, "eos_token_id": 513, "pad_token_id": 513}
    config = SiglipConfig(text_config=text, vision_config=small | {"image_size": 16, "patch_size": 4})
    SiglipModel(config).save_pretrained(tmp_path)
    SiglipImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    for file in clip_folder.glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    extractor = load_extractor(str(tmp_path))
    assert torch.allclose(extractor.texts(["a cup", "a"])[1:], extractor.texts(["a"]), atol=1e-6)
    assert extractor.images(pictures(2)).shape == (2, 8)
    assert extractor.images([]).shape == (0, 8)


def test_what_is_no_clip_is_refused_by_name(pipeline_folder: Path, clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"eval\.clip cannot be loaded, got .*nowhere"):
        load_extractor(str(tmp_path / "nowhere"))
    with pytest.raises(BaseModelError, match=r"eval\.clip must be a CLIP or SigLIP"):
        load_extractor(str(pipeline_folder / "text_encoder"))
    shutil.copytree(clip_folder, tmp_path / "half")
    (tmp_path / "half" / "preprocessor_config.json").unlink()
    with pytest.raises(BaseModelError, match=r"eval\.clip cannot be loaded"):
        load_extractor(str(tmp_path / "half"))


def test_pickled_weights_are_not_read(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(CLIPModel.from_pretrained(clip_folder).state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(BaseModelError, match=r"eval\.clip cannot be loaded"):
        load_extractor(str(tmp_path / "pickled"))


def test_missing_pocket_clip_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(features, "POCKET", tmp_path)
    with pytest.raises(BaseModelError, match="embedded CLIP is missing"):
        load_extractor("pocket")
