"""Which real picture stands beside a prompt."""

from __future__ import annotations

from foundation.data.dataset import Dataset
from sweeper.results.nearest import nearest, real_pictures


def test_the_caption_that_shares_the_rarest_words_is_taken_and_each_once() -> None:
    captions = [
        "a blue cup on sand, in pencil style",
        "a red star on grass, in pencil style",
        "ein roter Stern",
        "红色的杯子",
    ]
    assert nearest(["a red star at night, in pencil style", "a blue cup in the sky, in pencil style"], captions) == [
        1,
        0,
    ]
    assert nearest(["a red star", "a red star", "杯子"], captions) == [1, 0, 3]
    assert nearest(["x", "x", "x"], ["one", "two"]) == [0, 1, 0]


def test_real_pictures_are_those_of_the_data_set(tiny_dataset: Dataset) -> None:
    picture = tiny_dataset.validation[1]
    (real,) = real_pictures([picture.caption], tiny_dataset)
    assert real.caption == picture.caption
    assert real.picture.tobytes() == picture.open().tobytes()
    assert real_pictures(["a cup"], Dataset(train=(), validation=())) == []
