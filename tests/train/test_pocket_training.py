"""The pocket models' training really trains, is seeded, and goes on after a crash as if there had been none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from train.pocket import clip, unet, vae, world
from train.pocket.loop import EMA, in_stages, learning_rate_factor, train_loop


def fit(folder: Path, steps: int, stop_at: int | None = None) -> tuple[list[float], nn.Linear]:
    torch.manual_seed(0)
    module = nn.Linear(4, 1)
    ema = EMA(module.parameters())
    losses: list[float] = []

    def step(generator: torch.Generator) -> tuple[Tensor, str]:
        if stop_at is not None and len(losses) == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=generator)
        loss = (module(x) - x.sum(1, keepdim=True)).square().mean()
        losses.append(loss.item())
        return loss, ""

    train_loop("fit", {"linear": module}, step, num_steps=steps, lr=0.05, weight_decay=0.0,
               state_path=folder / "fit.pt", seed=1, ema=ema)  # fmt: skip
    ema.apply()
    return losses, module


def test_loop_that_was_cut_off_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, expected = fit(tmp_path / "a", 300)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "b", 300, stop_at=260)
    rest, resumed = fit(tmp_path / "b", 300)
    assert rest == whole[250:]
    assert torch.equal(resumed.weight, expected.weight)
    assert whole[-1] < 0.01 * whole[0]
    assert not (tmp_path / "b" / "fit.pt").exists()


def test_stages_that_were_done_are_read_back(tmp_path: Path) -> None:
    module, made = nn.Linear(2, 2), []

    def train(stage: float, number: int) -> None:
        made.append(number)
        if number == 1 and len(made) == 2:
            raise KeyboardInterrupt
        nn.init.constant_(module.weight, stage)

    with pytest.raises(KeyboardInterrupt):
        in_stages(module, [1.0, 2.0], train, tmp_path / "x.pt")
    nn.init.zeros_(module.weight)
    in_stages(module, [1.0, 2.0], train, tmp_path / "x.pt")
    assert made == [0, 1, 1]
    assert module.weight.unique().tolist() == [2.0]
    assert not list(tmp_path.glob("*"))


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    curve = [learning_rate_factor(step, 1000) for step in range(1000)]
    assert curve[0] == pytest.approx(0.01)
    assert max(curve) == curve[100] == 1.0
    assert curve[550] == pytest.approx(0.5)
    assert curve[-1] < 1e-4


def test_models_have_the_sizes_that_ship() -> None:
    def millions(module: nn.Module) -> float:
        return sum(parameter.numel() for parameter in module.parameters()) / 1e6

    assert millions(unet.build_unet()) == pytest.approx(1.80, abs=0.01)
    assert millions(vae.build_vae()) == pytest.approx(0.80, abs=0.01)
    assert millions(clip.build_clip()) == pytest.approx(1.48, abs=0.01)


def test_near_misses_differ_in_words_and_none_is_held_out() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(50):
        family = clip._family(rng)
        assert len({str(scene) for scene in family}) == clip.FAMILY_SIZE


def test_the_text_encoder_learns_to_tell_the_parts_of_a_caption(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unet, "WORD_BATCH", 32)
    torch.manual_seed(0)
    encoder = unet.build_text_encoder()
    unet.teach_words(encoder, seed=1, num_steps=100)
    first, last = (float(line.split()[-1]) for line in capsys.readouterr().out.splitlines())
    assert last < 0.7 * first


def test_parts_of_a_scene_name_every_choice() -> None:
    one = world.Scene("sand", world.Thing("red", "cup"))
    two = world.Scene("sand", world.Thing("red", "cup"), "above", world.Thing("blue", "star"))
    assert world.parts_of(one) == (1, 0, 8, 2, 8, 10)
    assert world.parts_of(two) == (1, 0, 8, 1, 4, 3)
    assert all(
        part < size for scene in (one, two) for part, size in zip(world.parts_of(scene), world.PART_SIZES, strict=True)
    )
