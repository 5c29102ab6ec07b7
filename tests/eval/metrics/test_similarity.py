"""CLIP scores, prompt match and style fidelity on vectors whose answers are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics.functional.multimodal import clip_score as torchmetrics_clip_score

from eval.metrics import similarity


def unit(*shape: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


class FeatureModel:
    """Stands where torchmetrics expects a CLIP, and hands on features given as pictures (D, 1, 1)."""

    def to(self, _: torch.device) -> FeatureModel:
        return self

    def get_image_features(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1)


def processor(images: list[Tensor], **_: object) -> dict[str, Tensor]:
    return {"pixel_values": torch.stack(images)}


def as_pictures(x: Tensor) -> list[Tensor]:
    return [row[:, None, None] for row in x]


def by_torchmetrics(x: Tensor, y: Tensor) -> float:
    return float(torchmetrics_clip_score(as_pictures(x), as_pictures(y), lambda: (FeatureModel(), processor)))


def test_clip_score_equals_torchmetrics() -> None:
    x = unit(7, 5)
    y = normalize(x + unit(7, 5, seed=1), dim=-1)
    assert similarity.clip_score(x, y) == pytest.approx(by_torchmetrics(x, y), abs=1e-4)
    assert similarity.clip_score(x, -y) == by_torchmetrics(x, -y) == 0.0


def test_image_similarity_equals_torchmetrics_over_all_pairs() -> None:
    x, y = unit(4, 5).abs(), unit(3, 5, seed=1).abs()
    x, y = normalize(x, dim=-1), normalize(y, dim=-1)
    pairs = by_torchmetrics(x.repeat_interleave(3, 0), y.repeat(4, 1))
    assert 100 * similarity.image_similarity(x, y) == pytest.approx(pairs, abs=1e-4)


def test_clip_scores_are_cut_at_zero_one_by_one() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([[0.6, 0.8], [-1.0, 0.0]])
    assert similarity.clip_scores(x, y).tolist() == pytest.approx([60.0, 0.0])


def test_margin_is_own_match_less_the_others() -> None:
    texts = torch.eye(3)
    samples = torch.tensor([[[1.0, 0, 0]], [[0, 0.6, 0.8]], [[0, 0, 1.0]]])
    assert similarity.prompt_margins(samples, texts)[:, 0].tolist() == pytest.approx([100.0, 20.0, 100.0])
    assert similarity.prompt_matches(samples, texts)[:, 0].tolist() == pytest.approx([100.0, 60.0, 100.0])


def test_prompt_drop_follows_the_share_of_the_margin() -> None:
    texts = torch.eye(4)
    base = texts[:, None].repeat(1, 2, 1)
    samples = 0.7 * base
    assert similarity.prompt_drop(samples, base, texts) == pytest.approx(3.0)
    assert similarity.prompt_drop(base, base, texts) == pytest.approx(0.0)


def test_what_moves_all_texts_alike_is_no_drop() -> None:
    texts = normalize(torch.cat([torch.eye(4), torch.ones(4, 1)], dim=1), dim=-1)
    base = texts[:, None]
    styled = base.clone()
    styled[..., -1] -= 0.3
    assert similarity.prompt_drop(styled, base, texts) == pytest.approx(0.0, abs=1e-5)


def test_one_prompt_falls_back_to_plain_points() -> None:
    text = torch.tensor([[1.0, 0.0]])
    base, samples = torch.tensor([[[0.8, 0.6]]]), torch.tensor([[[0.76, 0.65]]])
    assert similarity.prompt_drop(samples, base, text) == pytest.approx(4.0, abs=1e-4)
    assert similarity.prompt_margins(samples, text).isnan().all()


def test_learning_a_style_alone_is_no_loss_of_content() -> None:
    style = torch.eye(12)[-1]
    texts = torch.eye(12)[:4]
    base = normalize(texts[:, None] + 0.3 * unit(4, 3, 12, seed=1) * (1 - style), dim=-1)
    styled = normalize(base + 1.5 * style, dim=-1)
    real = normalize(unit(200, 12, seed=2) * (1 - style) * 0.1 + style + base.mean((0, 1)), dim=-1)
    assert similarity.prompt_drop(styled, base, texts) > 3
    axis = similarity.style_axis(base, real)
    apart = [similarity.without_axis(x, axis) for x in (styled, base, texts)]
    assert abs(similarity.prompt_drop(*apart)) < 0.5


def test_what_lies_along_the_axis_goes_and_the_rest_stays() -> None:
    axis = similarity.style_axis(torch.zeros(3, 1, 3), torch.tensor([[0.0, 0.0, 2.0]]))
    assert axis is not None and axis.tolist() == [0, 0, 1]
    assert similarity.without_axis(torch.tensor([[0.6, 0.0, 0.8]]), axis).tolist() == [[1, 0, 0]]
    x = unit(3, 4)
    assert torch.equal(similarity.without_axis(x, None), x)
    assert similarity.style_axis(x[:, None], x[:0]) is None
    assert similarity.style_axis(x[:, None], x) is None
    assert similarity.style_axis(x[:2, None], x) is None


def test_nothing_to_compare_is_nan() -> None:
    assert math.isnan(similarity.clip_score(torch.zeros(0, 3), torch.zeros(0, 3)))
    assert math.isnan(similarity.image_similarity(unit(2, 3), torch.zeros(0, 3)))
    assert math.isnan(similarity.prompt_drop(torch.full((2, 1, 2), math.nan), torch.eye(2)[:, None], torch.eye(2)))
