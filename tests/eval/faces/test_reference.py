"""A judge with an eye for faces looks at faces, and says so where there is none to learn from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from eval.cutouts import SubjectPictures
from eval.evidence import build_evidence
from eval.extractors import load_extractors
from eval.judge import judge
from eval.models import check_models
from eval.reference import Reference, build_reference
from eval.spec import EvalSpec
from foundation.errors import ConfigError, DataError
from tests.eval.faces.onnx_writer import model, node
from tests.eval.faces.test_extractor import detector, embedder

pytest.importorskip("onnxruntime")
BRIGHT = [Image.new("RGB", (64, 64), colour) for colour in ((255, 128, 0), (255, 100, 30), (240, 130, 0), (250, 90, 9))]
DARK = [Image.new("RGB", (64, 64), (number, 0, 0)) for number in range(4)]


def spec(clip: Path, folder: Path) -> EvalSpec:
    (folder / "det.onnx").write_bytes(detector())
    (folder / "who.onnx").write_bytes(embedder())
    return EvalSpec(
        clip=str(clip), identity_features=str(folder), kind="face", class_word="man", prompts=("a", "b"), seeds=(0, 1)
    )


def reference(chosen: EvalSpec, train: list[Image.Image]) -> Reference:
    return build_reference(
        load_extractors(chosen, "cpu"),
        train=train,
        held_out=BRIGHT[2:],
        prompts=chosen.prompts,
        base_samples=DARK,
        base_unrelated=[],
        num_seeds=2,
        unrelated_seeds=2,
        base_validation=torch.zeros(0, 4),
        subject=SubjectPictures(held_out=BRIGHT[2:], masks=[None, None], surroundings=[]),
    )


def test_faces_are_judged_beside_all_else(clip_folder: Path, tmp_path: Path) -> None:
    chosen = spec(clip_folder, tmp_path)
    known = reference(chosen, BRIGHT[:2])
    evidence = build_evidence(
        load_extractors(chosen, "cpu"),
        step=1,
        samples=[*BRIGHT[:3], DARK[0]],
        unrelated=[],
        num_seeds=2,
        unrelated_seeds=2,
        validation_losses=torch.zeros(0, 4),
        subject=known.subject,
    )
    known.save(tmp_path / "reference.safetensors")
    for each in (known, Reference.load(tmp_path / "reference.safetensors")):
        found = judge(each, evidence, [], chosen).metrics
        assert found["faceless"] == 0.25 and found["identity"] == pytest.approx(1.0, abs=0.05)


def test_training_pictures_without_a_face_are_one_line(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finds no face in any of the 2 pictures that are trained on; choose pictures"):
        reference(spec(clip_folder, tmp_path), DARK[:2])


def test_a_folder_that_is_not_there_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="eval.identity_features must be a folder of ONNX models, got './none'"):
        check_models(EvalSpec(identity_features="./none"))


def test_a_model_that_is_no_detector_does_not_pass_for_one(clip_folder: Path, tmp_path: Path) -> None:
    chosen = spec(clip_folder, tmp_path)
    other = [node("Relu", ["picture"], f"out{number}") for number in range(9)]
    shapes = {f"out{number}": (1, 3, 60, 60) for number in range(9)}
    (tmp_path / "other.onnx").write_bytes(model(other, {"picture": (1, 3, 60, 60)}, shapes))  # 60 is no multiple of 32
    assert load_extractors(chosen, "cpu").faces is not None
