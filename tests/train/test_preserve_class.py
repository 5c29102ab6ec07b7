"""Differential output preservation: packed as alone, and as plain PyTorch and PEFT have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foundation.bases.port import Base
from foundation.data.dataset import load_dataset
from foundation.errors import ConfigError
from tests.train.plain_training import plain_training
from tests.train.test_data import spec as data_spec
from tests.train.test_data import write
from tests.train.test_objectives_in_packs import asking, one
from tests.train.test_packed import STEPS, assert_same, doubled, trained
from train.caches import EncodedDataset, encode_dataset
from train.spec import BaseSpec, ObjectiveSpec, check_class

NewBase = Callable[[], Base]
SPECS = [
    one(1, preserve_class=0.7, prior_weight=0.0),
    one(2, preserve_class=2.0, prior_weight=0.0, loss="huber", input_perturbation=0.1, caption_dropout=0.3),
    one(3, text_encoder=True, preserve_class=0.5, prior_weight=0.0),
    one(4, preserve_class=0.3, prior_weight=0.4, unmasked_weight=0.2),
    one(5, prior_weight=0.4),
]
"""The last two share no pass with the others."""


@pytest.fixture(scope="module")
def data(tiny_data: EncodedDataset, loaded_base: Base) -> EncodedDataset:
    """With captions of a subject and of its class, masks, and regularisation pictures."""
    captions = [f"a sks dog on a {n}" for n in range(len(tiny_data.train))]
    classes = [caption.replace("sks dog", "dog") for caption in captions]
    masks = torch.ones(len(captions), 1, *tiny_data.train.means.shape[2:])
    masks[..., :2] = 0
    train = replace(
        tiny_data.train,
        captions=tuple(captions),
        embeddings=loaded_base.encode_texts(captions).cpu(),
        tokens=loaded_base.tokenize(captions),
        class_embeddings=loaded_base.encode_texts(classes).cpu(),
        class_tokens=loaded_base.tokenize(classes),
        masks=masks,
    )
    return replace(tiny_data, train=train, regularization=tiny_data.validation, trigger="sks dog")


@pytest.mark.parametrize("kind", ["epsilon", "flow"])
def test_in_float64_a_packed_trial_is_the_same_alone_and_in_plain_pytorch(
    kind: str, new_base: NewBase, tiny_spec: BaseSpec, data: EncodedDataset
) -> None:
    def fresh() -> Base:
        return asking(kind, doubled(new_base()))

    losses, parameters = trained(fresh(), data, SPECS)
    for spec, ours, own in zip(SPECS, losses, parameters, strict=True):
        (alone,), (alone_own,) = trained(fresh(), data, [spec])
        plain, plain_own = plain_training(tiny_spec, data, spec, STEPS, torch.float64, kind)
        assert ours == pytest.approx(alone, abs=1e-10)
        assert ours == pytest.approx(plain, abs=1e-10)
        assert_same(own, alone_own, 1e-8)
        assert_same(own, plain_own, 1e-8)


def test_with_weight_0_nothing_is_another(new_base: NewBase, data: EncodedDataset) -> None:
    bare = replace(data, train=replace(data.train, class_embeddings=None, class_tokens=None))
    with_words, without = (trained(new_base(), each, [one(5)]) for each in (data, bare))
    assert with_words[0] == without[0]


def test_trials_that_preserve_share_passes_with_their_like_alone() -> None:
    keys = {each.pack_key for each in (one(1), one(2, preserve_class=1.0), one(3, preserve_class=0.1))}
    assert keys == {"batch 2", "batch 2 with the class preserved"}


def test_the_captions_of_the_class_have_its_word_in_the_triggers_place(tmp_path: Path, tiny_base: Base) -> None:
    asked = data_spec(write(tmp_path / "data", ["a sks dog"] * 6), trigger="sks dog", class_word="dog")
    dataset = load_dataset(asked)
    wanted = [ObjectiveSpec(), ObjectiveSpec(preserve_class=0.5)]
    train = encode_dataset(tiny_base, dataset, tmp_path / "cache", wanted).train
    assert train.class_tokens is not None and train.class_embeddings is not None
    named = [caption.replace("sks dog", "dog") for caption in train.captions]
    assert torch.equal(train.class_tokens, tiny_base.tokenize(named))
    torch.testing.assert_close(train.class_embeddings, tiny_base.encode_texts(named).cpu())
    assert encode_dataset(tiny_base, dataset, tmp_path / "cache", wanted[:1]).train.class_tokens is None


@pytest.mark.parametrize(
    ("trigger", "class_word", "named"),
    [("", "dog", "data.trigger"), ("sks dog", " ", "eval.class_word"), ("", "", "data.trigger and eval.class_word")],
)
def test_without_a_trigger_or_a_class_word_it_is_refused_in_one_line(trigger: str, class_word: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_class([ObjectiveSpec(), ObjectiveSpec(preserve_class=1.0)], trigger, class_word)
    assert str(caught.value) == (
        f"objective.preserve_class puts the class word in the trigger's place; set {named}, or "
        "objective.preserve_class=0"
    )
    check_class([ObjectiveSpec()], trigger, class_word)
