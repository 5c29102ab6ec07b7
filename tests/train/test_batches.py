"""Noise and captions are drawn as their sources do, and what is off draws nothing."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from tests.train.plain_objective import noise_like
from train.batches import draw_noise, with_coarser_noise
from train.spec import ObjectiveSpec
from train.tags import vary

SHAPE = (2, 4, 24, 16)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "spec",
    [
        ObjectiveSpec(noise_offset=0.1),
        ObjectiveSpec(multires_iterations=1),
        ObjectiveSpec(multires_iterations=10, multires_discount=0.8),
        ObjectiveSpec(noise_offset=0.1, multires_iterations=3),
    ],
)
def test_noise_is_that_of_the_training_scripts(spec: ObjectiveSpec) -> None:
    theirs = noise_like(torch.zeros(SHAPE), spec, generator())
    torch.testing.assert_close(draw_noise(spec, SHAPE, generator()), theirs)


def test_plain_noise_draws_nothing_else() -> None:
    one, other = generator(), generator()
    assert torch.equal(draw_noise(ObjectiveSpec(), SHAPE, one), torch.randn(SHAPE, generator=other))
    assert torch.equal(one.get_state(), other.get_state())


def test_coarser_noise_is_of_unit_size_and_neighbours_are_alike() -> None:
    noise = torch.randn(8, 4, 32, 32, generator=generator())
    coarser = with_coarser_noise(noise, 6, 0.9, generator(1))
    assert float(coarser.std()) == pytest.approx(1, abs=1e-5)

    def likeness(noise: torch.Tensor) -> float:
        return float((noise[..., 1:] * noise[..., :-1]).mean())

    assert abs(likeness(noise)) < 0.02
    assert likeness(coarser) > 0.2


def test_coarser_noises_are_fractions_of_the_latents_own_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise i is 2ⁱ to 4ⁱ times as small as the latents, not as the noise before it."""
    randn, sides = torch.randn, []

    def recorded(shape: tuple[int, ...], **options: torch.Generator) -> torch.Tensor:
        sides.append(shape[-2:])
        return randn(shape, **options)

    noise = torch.randn(1, 1, 256, 512, generator=generator())
    monkeypatch.setattr(torch, "randn", recorded)
    for seed in range(20):
        sides.clear()
        with_coarser_noise(noise, 10, 0.9, generator(seed))
        assert sides[0] == (256, 512) and min(sides[-1]) == 1 and len(sides) >= 5
        for i, (height, width) in enumerate(sides[:-1]):
            assert 256 / 4**i - 1 < height <= 256 / 2**i and 512 / 4**i - 1 < width <= 512 / 2**i


def test_how_much_of_coarser_noise_is_a_shift_of_the_whole() -> None:
    """The power at frequency 0 is that of the formula, and far from that of sides that shrink ever faster."""
    chance = generator(3)
    noises = [with_coarser_noise(torch.randn(1, 4, 64, 64, generator=chance), 6, 0.9, chance) for _ in range(400)]
    power = 64 * 64 * torch.stack([noise.mean((2, 3)) for noise in noises]).square().mean()
    theirs = ObjectiveSpec(multires_iterations=6, multires_discount=0.9)
    reference = [noise_like(torch.zeros(1, 4, 64, 64), theirs, chance).mean((2, 3)) for _ in range(400)]
    wanted = 64 * 64 * torch.stack(reference).square().mean()
    assert float(power) == pytest.approx(float(wanted), rel=0.15)


def test_a_constant_is_added_to_each_channel() -> None:
    spec = ObjectiveSpec(noise_offset=0.5)
    offset = draw_noise(spec, SHAPE, generator()) - torch.randn(SHAPE, generator=generator())
    assert float(offset.flatten(2).std(dim=2).max()) < 1e-6
    assert len(offset[:, :, 0, 0].unique()) == 8


CAPTION = "a cup, red,small,  in pencil style , blue"
TAGS = ["a cup", "red", "small", "in pencil style", "blue"]


def many(spec: ObjectiveSpec, trigger: str = "", count: int = 400) -> list[list[str]]:
    chance = generator()
    return [vary(CAPTION, spec, trigger, chance).split(", ") for _ in range(count)]


def test_shuffled_tags_are_all_there_in_every_order_after_the_kept_ones() -> None:
    drawn = many(ObjectiveSpec(shuffle_tags=True, keep_tags=2))
    assert all(tags[:2] == TAGS[:2] and sorted(tags) == sorted(TAGS) for tags in drawn)
    assert len({tuple(tags) for tags in drawn}) == 6


def test_a_share_of_the_tags_is_dropped_but_neither_the_kept_ones_nor_the_trigger() -> None:
    drawn = many(ObjectiveSpec(tag_dropout=0.3, keep_tags=1), "Pencil Style", 2000)
    counts = Counter(tag for tags in drawn for tag in tags)
    assert counts["a cup"] == counts["in pencil style"] == 2000
    for tag in ("red", "small", "blue"):
        assert counts[tag] / 2000 == pytest.approx(0.7, abs=0.04)
    assert all(tags == sorted(tags, key=TAGS.index) for tags in drawn)


def test_without_trigger_any_tag_may_drop_and_a_caption_may_end_empty() -> None:
    drawn = {vary(CAPTION, ObjectiveSpec(tag_dropout=0.9), "", generator(seed)) for seed in range(100)}
    assert "" in drawn
    assert vary("", ObjectiveSpec(tag_dropout=0.5, shuffle_tags=True), "x", generator()) == ""
