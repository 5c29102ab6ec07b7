"""Thumbnails keep what stands where, and leave exposure and casts aside where that is wanted."""

from __future__ import annotations

import torch
from PIL import Image, ImageChops

from eval.thumbnails import MASKED_WIDTH, SIDE, WIDTH, coarse, compositions, masked_compositions
from train.pocket.draw import draw_scene
from train.pocket.world import scenes

REAL = [draw_scene(scene, "pencil", 100 + i) for i, scene in enumerate(scenes(5, 4, held_out=True))]


def test_they_are_pixels_by_channel_and_nothing_gives_none() -> None:
    flat = compositions([Image.new("RGB", (40, 30), (255, 51, 0))])
    assert flat.reshape(3, -1).unique(dim=1)[:, 0].tolist() == [1.0, torch.tensor(51 / 255).item(), 0.0]
    assert compositions([]).shape == (0, WIDTH) and masked_compositions([]).shape == (0, MASKED_WIDTH)


def test_masks_come_after_the_colours() -> None:
    half = Image.new("L", (64, 64))
    half.paste(255, (0, 0, 32, 64))
    masked = masked_compositions(REAL[:1], [half])
    assert torch.equal(masked[:, :WIDTH], compositions(REAL[:1]))
    assert masked[0, WIDTH:].reshape(SIDE, SIDE)[5].tolist() == [1.0] * 16 + [0.0] * 16
    assert masked_compositions(REAL)[:, WIDTH:].eq(1).all()


def test_a_cast_and_a_size_change_nothing_in_coarse_ones() -> None:
    cast = ImageChops.add(REAL[0].point(lambda value: value // 2), Image.new("RGB", (64, 64), (10, 40, 90)))
    large = cast.resize((128, 128), Image.Resampling.NEAREST)
    seen = coarse(compositions([large, *REAL]))
    assert torch.allclose(seen.norm(dim=1), torch.ones(5)) and float(seen[0] @ seen[1]) > 0.99
    assert coarse(masked_compositions(REAL)[:, None]).shape == (4, 1, 192)
    assert coarse(compositions([])).shape == (0, 192)
    assert not coarse(compositions([Image.new("L", (40, 30), 128)])).any()
