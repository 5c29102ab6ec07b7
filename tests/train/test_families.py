"""Every family on a small pipeline of its real class: saved, loaded, trained packed, sampled, saved and reloaded."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from eval.sampling import sample_each
from eval.spec import Drawing
from foundation.bases.families import FAMILIES
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset
from tests.train.plain_families import plain_family_training
from tests.train.test_packed import assert_same, trained
from tests.train.tiny_families import BUILDERS, TOKENS, build
from train.caches import EncodedDataset, encode_dataset
from train.pack import Pack
from train.spec import AdapterSpec, BaseSpec, ObjectiveSpec, OptimizerSpec, TrainingSpec, TrialSpec

STEPS = 3
PROMPTS = ["a red cup", "two blue squares on green"]


@dataclass(frozen=True)
class Family:
    """One family's tiny pipeline, and a data set as it sees it."""

    name: str
    spec: BaseSpec
    base: Base
    data: EncodedDataset

    def copy(self) -> Base:
        return copy.deepcopy(self.base)


@pytest.fixture(scope="module", params=BUILDERS)
def family(request: pytest.FixtureRequest, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Family:
    spec = build(request.param, tmp_path_factory.mktemp(request.param))
    base = load_base(spec, torch.device("cpu"))
    return Family(request.param, spec, base, encode_dataset(base, tiny_dataset, tmp_path_factory.mktemp("cache")))


def trials(family: str, lr: float = 1e-2) -> list[TrialSpec]:
    """Three of different ranks; the last trains the text encoders, too, where that can be."""
    text = FAMILIES[family].trains_text
    return [
        TrialSpec(
            adapter=AdapterSpec(rank=rank, alpha_ratio=0.5, text_encoder=text and rank == 5),
            optimizer=OptimizerSpec(name="adamw", lr=lr, text_encoder_lr_ratio=1.0),
            objective=ObjectiveSpec(caption_dropout=0.5 if rank == 3 else 0.0),
            train=TrainingSpec(steps=STEPS, batch_size=2, seed=rank),
        )
        for rank in (2, 3, 5)
    ]


def doubled(base: Base) -> Base:
    for part in base.pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.double()
    base.dtype = torch.float64
    return base


def test_in_float64_a_packed_trial_is_the_same_alone_and_in_plain_peft(family: Family, tiny_dataset: Dataset) -> None:
    specs = trials(family.name)
    captions = [picture.caption for picture in tiny_dataset.train]
    losses, parameters = trained(doubled(family.copy()), family.data, specs)
    (alone,), (alone_own,) = trained(doubled(family.copy()), family.data, specs[1:2])
    assert losses[1] == pytest.approx(alone, abs=1e-10)
    assert_same(parameters[1], alone_own, 1e-8)
    for spec, ours, own in zip(specs, losses, parameters, strict=True):
        plain, plain_own = plain_family_training(family.spec, family.data, captions, spec, STEPS)
        assert ours == pytest.approx(plain, abs=5e-6)  # text is cached in float32
        assert_same(own, plain_own, 1e-3)
        assert own[1].abs().max() > 1e-3  # B starts at 0


@pytest.mark.parametrize("family", ["chroma"], indirect=True)
def test_activations_that_are_computed_again_are_the_same(family: Family) -> None:
    """diffusers leaves Chroma's mask out where it checkpoints."""
    specs = trials(family.name)[:1]
    (kept,), _ = trained(doubled(family.copy()), family.data, specs)
    (again,), _ = trained(doubled(family.copy()), family.data, specs, activation_checkpointing=True)
    assert again == pytest.approx(kept, abs=1e-12)


def test_captions_that_are_cut_are_counted(family: Family) -> None:
    base = family.base
    assert base.caption_tokens == (family.spec.max_tokens or base.pipeline.tokenizer.model_max_length)
    captions = [" ".join(["red"] * count) for count in range(1, base.caption_tokens + 2)]
    fit = captions[: -base.num_cut(captions)]
    shorter, longest, cut = fit[-2], fit[-1], captions[len(fit)]
    assert [base.num_cut([each]) for each in (shorter, longest, cut)] == [0, 0, 1]
    if family.spec.max_tokens is None:  # of the others a CLIP reads on where these few tokens end
        encoded = base.encode_texts([shorter, longest, cut])
        assert not torch.equal(encoded[0], encoded[1])
        assert torch.equal(encoded[1], encoded[2])


def test_pictures_of_a_pack_are_those_of_its_files_in_plain_diffusers(family: Family, tmp_path: Path) -> None:
    pack = Pack(family.copy(), family.data, num_slots=3)
    slots = [pack.admit(spec) for spec in trials(family.name, lr=0.5)]
    while not all(pack.is_finished(slot) for slot in slots):
        pack.step()
    with pack.acting(slots) as base:
        packed = drawn(base, copies=3)
    plain = DiffusionPipeline.from_pretrained(family.spec.path)
    before = picture(plain, family.name)
    for slot, ours in zip(slots, packed, strict=True):
        pack.save_adapter(slot, tmp_path / str(slot))
        plain.load_lora_weights(str(tmp_path / str(slot)), adapter_name=str(slot))
        plain.set_adapters(str(slot))
        theirs = picture(plain, family.name)
        learned = np.abs(theirs - before).mean()
        assert learned > 0.5
        assert np.abs(ours[1] - theirs).mean() < 0.05 * learned
    with pack.acting_file(tmp_path / str(slots[-1])) as base:
        (reloaded,) = drawn(base, copies=1)
    assert np.abs(reloaded[1] - packed[-1][1]).mean() < 0.05 * learned


def drawn(base: Base, copies: int) -> list[list[np.ndarray]]:
    """Both prompts with seed 7, of 0 to 255."""
    drawing = Drawing(steps=3, guidance_scale=3.0, batch_rows=64)
    images = sample_each(
        base.pipeline, [(prompt, 7) for prompt in PROMPTS], drawing, copies=copies, options=base.sampling
    )
    return [[np.asarray(image, dtype=float) for image in own] for own in images]


def picture(pipeline: Any, family: str) -> np.ndarray:
    """The second prompt as a user of diffusers would ask for it."""
    pipeline.set_progress_bar_config(disable=True)
    length = {"max_sequence_length": TOKENS[family]} if family in TOKENS else {}
    guidance = {"true_cfg_scale": 3.0, "negative_prompt": " "} if family == "qwen_image" else {"guidance_scale": 3.0}
    generator = torch.Generator().manual_seed(7)
    images = pipeline(
        prompt=PROMPTS[1], height=32, width=32, num_inference_steps=3, generator=generator, **guidance, **length
    ).images
    return np.asarray(images[0], dtype=float)
