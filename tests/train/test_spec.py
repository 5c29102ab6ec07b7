"""How long a trial trains, in steps or in epochs."""

from __future__ import annotations

import pytest

from train.spec import TrainingSpec


@pytest.mark.parametrize(
    ("num_images", "epochs", "batch_size", "accumulation", "steps"),
    [
        (24, 10, 4, 1, 60),
        (24, 10, 4, 3, 20),
        (25, 1, 4, 1, 7),  # the last batch is taken
        (30, 0.1, 3, 1, 1),
        (10, 0.01, 4, 1, 1),
        (7, 0.3, 1, 1, 3),
    ],
)
def test_epochs_are_images_by_epochs_over_the_images_of_a_step(
    num_images: int, epochs: float, batch_size: int, accumulation: int, steps: int
) -> None:
    spec = TrainingSpec(steps=None, epochs=epochs, batch_size=batch_size, gradient_accumulation=accumulation, seed=3)
    assert spec.for_images([num_images]) == TrainingSpec(
        steps=steps, batch_size=batch_size, gradient_accumulation=accumulation, seed=3
    )
    assert spec.for_images([num_images]).num_steps == steps


def test_steps_stay_what_they_are() -> None:
    assert TrainingSpec(steps=7).for_images([100]) == TrainingSpec(steps=7)


@pytest.mark.parametrize(("steps", "epochs", "got"), [(5, 2.0, "5 and 2"), (None, None, "null for both")])
def test_steps_or_epochs_and_not_both(steps: int | None, epochs: float | None, got: str) -> None:
    with pytest.raises(
        ValueError, match=f"one of train.steps and train.epochs must be set and the other null, got {got}"
    ):
        TrainingSpec(steps=steps, epochs=epochs)
