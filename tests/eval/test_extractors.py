"""Eyes beside the CLIP give what their models give, and each statistic is taken with the eye that it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, CLIPVisionModel, Dinov2Model

from eval import features
from eval.command import main
from eval.cutouts import SubjectPictures
from eval.extractors import load_extractors, load_image_extractor, load_style_extractor
from eval.reference import Reference, build_reference
from eval.spec import EvalSpec, SampleBudget
from eval.thumbnails import WIDTH
from foundation.errors import BaseModelError


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (20, 18, 3), dtype=np.uint8)) for _ in range(count)]


def test_a_dinov2_gives_its_cls_token(dino_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eye = load_image_extractor(str(dino_folder), "cpu")
    pixels = AutoImageProcessor.from_pretrained(dino_folder)(images=pictures(3), return_tensors="pt")
    with torch.no_grad():
        direct = Dinov2Model.from_pretrained(dino_folder).eval()(**pixels).last_hidden_state[:, 0]
    seen = eye.images(pictures(3))
    assert torch.allclose(seen, normalize(direct, dim=-1), atol=1e-6)
    monkeypatch.setattr(features, "_BATCH", 2)
    assert torch.allclose(eye.images(pictures(3)), seen, atol=1e-6)
    assert eye.images([]).shape == (0, 10)


def test_a_style_eye_gives_its_heads_output(style_folder: Path) -> None:
    eye = load_style_extractor(str(style_folder), "cpu")
    pixels = AutoImageProcessor.from_pretrained(style_folder)(images=pictures(3), return_tensors="pt")
    head = load_file(style_folder / "style_projection.safetensors")["last_layer_style"]
    with torch.no_grad():
        direct = CLIPVisionModel.from_pretrained(style_folder).eval()(**pixels).pooler_output @ head
    assert torch.allclose(eye.images(pictures(3)), normalize(direct, dim=-1), atol=1e-6)
    assert eye.images([]).shape == (0, 6)


def test_what_is_no_such_eye_is_refused_by_name(clip_folder: Path, style_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"eval\.image_features cannot be loaded, got .*nowhere"):
        load_image_extractor(str(tmp_path / "nowhere"), "cpu")
    with pytest.raises(BaseModelError, match=r"eval\.image_features must be a DINOv2, got .* of type 'clip'"):
        load_image_extractor(str(clip_folder), "cpu")
    with pytest.raises(BaseModelError, match=r"eval\.style_features cannot be loaded.*style_projection"):
        load_style_extractor(str(clip_folder), "cpu")
    shutil.copytree(style_folder, tmp_path / "other")
    save_file({"last_layer_style": torch.zeros(12, 6)}, tmp_path / "other/style_projection.safetensors")
    with pytest.raises(BaseModelError, match=r"must be \(16, S\), got \(12, 6\)"):
        load_style_extractor(str(tmp_path / "other"), "cpu")
    save_file({"head": torch.zeros(16, 6)}, tmp_path / "other/style_projection.safetensors")
    with pytest.raises(BaseModelError, match=r"eval\.style_features cannot be loaded.*last_layer_style"):
        load_style_extractor(str(tmp_path / "other"), "cpu")


def test_a_reference_holds_each_eyes_view_and_comes_back_from_its_file(
    clip_folder: Path, dino_folder: Path, style_folder: Path, tmp_path: Path
) -> None:
    def reference(**eyes: str) -> Reference:
        return build_reference(
            load_extractors(EvalSpec(clip=str(clip_folder), **eyes), "cpu"),
            train=pictures(6),
            held_out=pictures(3, 1),
            captions=["a", "", "b", "c", "d", "e", "f", "", "g"],
            prompts=["a", "b"],
            base_samples=pictures(4, 2),
            base_unrelated=pictures(2, 3),
            num_seeds=2,
            unrelated_seeds=2,
            base_validation=torch.ones(3, 2),
        )

    alone, all_eyes = reference(), reference(image_features=str(dino_folder), style_features=str(style_folder))
    assert alone.image is None and alone.of_images.train is alone.train
    assert alone.style.train.shape[1] == 2 * 16 + 12 and all_eyes.style.train.shape[1] == 6
    assert alone.captioned.tolist() == [0, 2, 3, 4, 5, 6, 8] and alone.real_texts.shape == (7, 12)
    assert (all_eyes.of_clip.train.shape[1], all_eyes.of_images.train.shape[1]) == (12, 10)
    assert all_eyes.style.base_samples.shape == (2, 2, 6)
    assert torch.equal(all_eyes.train, alone.train)
    for made in (alone, all_eyes):
        made.save(tmp_path / "reference.safetensors")
        again = Reference.load(tmp_path / "reference.safetensors")
        assert (again.image is None) == (made.image is None)
        assert torch.equal(again.style.base_unrelated, made.style.base_unrelated)
        assert torch.equal(again.style_scale, made.style_scale)
    fewer = all_eyes.within(SampleBudget(2, 1, 1))
    assert torch.equal(fewer.style.base_samples, all_eyes.style.base_samples[:, :1])
    assert fewer.of_images.base_unrelated.shape == (1, 1, 10)


BY_IMAGES = {"drift", "image_similarity", "fid", "kid"}
BY_STYLE = {"style", "leak"}


def test_each_statistic_is_taken_with_its_own_eye(
    lora_folder: Path,
    pipeline_folder: Path,
    clip_folder: Path,
    data_folder: Path,
    dino_folder: Path,
    style_folder: Path,
    tmp_path: Path,
) -> None:
    def metrics(*eyes: str) -> dict[str, float]:
        arguments = [f"lora={lora_folder}", f"base={pipeline_folder}", f"clip={clip_folder}", f"data={data_folder}"]
        asked = ["unrelated=a red cup", "unrelated=the sea", "seeds=2", "steps=2", "device=cpu", *eyes]
        assert main([*arguments, *asked, f"json={tmp_path}/out.json"]) == 0
        found: dict[str, float] = json.loads((tmp_path / "out.json").read_text())["metrics"]
        return found

    def changed(now: dict[str, float], before: dict[str, float]) -> set[str]:
        return {name for name, value in now.items() if value != before[name]}

    clip_alone = metrics()
    image = metrics(f"image_features={dino_folder}")
    style = metrics(f"style_features={style_folder}")
    both = metrics(f"image_features={dino_folder}", f"style_features={style_folder}")
    assert changed(image, clip_alone) == BY_IMAGES | BY_STYLE
    assert changed(style, clip_alone) == BY_STYLE
    assert changed(both, image) == BY_STYLE and changed(both, style) == BY_IMAGES


def test_masks_show_where_a_style_is_copied_and_not_a_subject(clip_folder: Path) -> None:
    train, held_out = pictures(4), pictures(2, 1)
    masks = [Image.new("L", train[0].size, 0) for _ in train]

    def counts(subject: SubjectPictures | None) -> Tensor:
        reference = build_reference(
            load_extractors(EvalSpec(clip=str(clip_folder)), "cpu"),
            train=train,
            held_out=held_out,
            masks=masks,
            prompts=["a", "b"],
            base_samples=pictures(4, 2),
            base_unrelated=[],
            num_seeds=2,
            unrelated_seeds=2,
            base_validation=torch.ones(2, 2),
            subject=subject,
        )
        return reference.train_compositions[:, WIDTH:]

    assert not counts(None).any()
    assert counts(SubjectPictures(held_out=held_out, masks=[None, None], surroundings=train)).eq(1).all()
