"""A study is judged by prompts that say something: captions stand in for none, and empty ones are no prompts."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from eval.prompts import captions_to_draw
from foundation.data.folder import Picture
from foundation.errors import ConfigError
from sweeper.records.config import Config
from sweeper.records.pictures import OF_CLASS, PROMPT, TRAINING, UNRELATED, sheet_name, sheets
from sweeper.search.space import plan
from sweeper.study.prompts import with_drawn_prompts
from sweeper.study.run import prepare, run_study
from tests.foundation.data.test_captions import image


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures with empty caption files."""
    for number in range(6):
        image(tmp_path / "set" / f"{number}.png", 40 * number).with_suffix(".txt").write_text("\n")
    return tmp_path / "set"


def prepared(folder: Path, *overrides: str) -> Config:
    return prepare(plan([f"data.path={folder}", f"study.folder={folder.parent / 'runs'}", *overrides]))[0]


def test_captions_that_are_all_empty_end_a_study_before_it_begins(pictures: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run_study([f"data.path={pictures}", f"study.folder={pictures.parent / 'runs'}"])
    assert str(caught.value) == (
        f"all 6 captions of data.path {pictures} are empty, so there is no prompt to judge by; write captions "
        "(sweeper prepare), set data.trigger, or eval.prompts=['…','…']"
    )
    assert not (pictures.parent / "runs").exists()


def test_a_trigger_or_prompts_of_ones_own_go_on_without_captions(pictures: Path) -> None:
    assert prepared(pictures, "data.trigger=in ink").eval.prompts == ("in ink",)
    assert prepared(pictures, "eval.prompts=[a cup]").eval.prompts == ("a cup",)


def test_empty_captions_among_others_are_no_prompts(pictures: Path) -> None:
    for number in range(5):
        (pictures / f"{number}.txt").write_text(f"cup {number}" if number % 2 else " ")
    assert set(prepared(pictures).eval.prompts) == {"cup 1", "cup 3"}


def test_copies_are_looked_for_by_captions_that_are_trained_on_and_no_prompts(pictures: Path) -> None:
    for number in range(6):
        (pictures / f"{number}.txt").write_text(f"cup {number}")
    prompt = "eval.prompts=[a star]"
    own = prepared(pictures, prompt, "eval.look_for_copies=3").eval
    dataset = prepare(plan([f"data.path={pictures}", f"study.folder={pictures.parent / 'runs'}"]))[1]
    assert own.training_captions == tuple(picture.caption for picture in dataset.train)[:3]
    assert len(prepared(pictures, prompt, "eval.look_for_copies=99").eval.training_captions) == len(dataset.train)
    assert prepared(pictures, prompt, "eval.look_for_copies=0").eval.training_captions == ()
    assert prepared(pictures, prompt, "eval.training_captions=[a cup]").eval.training_captions == ("a cup",)
    assert prepared(pictures).eval.training_captions == ()  # so few that all of their captions are prompts


def test_a_studys_pictures_are_found_by_their_names_without_its_captions(pictures: Path, tmp_path: Path) -> None:
    for number in range(6):
        (pictures / f"{number}.txt").write_text(f"cup {number} / 2, in ink")
    for own in ((), ("eval.prompts=[a star,'a ring, {trigger}']", "eval.look_for_copies=3")):
        asked = plan([f"data.path={pictures}", f"study.folder={tmp_path}", "data.trigger=in ink", *own]).config
        config = prepared(pictures, "data.trigger=in ink", *own)
        drawn = tmp_path / "drawn"
        drawn.mkdir(exist_ok=True)
        for kind, prompt in product((PROMPT, UNRELATED, TRAINING, OF_CLASS), range(9)):
            (drawn / sheet_name(kind, prompt)).touch()
        names = sheets(config.eval, "in ink", drawn)
        assert any(name.startswith("training captions/") for name, _ in names) == bool(own)
        again = with_drawn_prompts(asked, [name for name, _ in names])
        assert sheets(again.eval, "in ink", drawn) == names


def test_the_pictures_that_are_repeated_most_come_first() -> None:
    some = [Picture(Path(f"{name}.png"), name, name, repeats) for name, repeats in (("a", 1), ("b", 3), ("c", 3))]
    assert captions_to_draw([*some, *some], ["a"], "", 2) == ("b", "c")
    assert captions_to_draw(some, ["b"], "", 2) == ("c", "a")
    assert captions_to_draw([Picture(Path("d.png"), " ", "d")], [], "", 2) == ()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("eval.prompts=['{trigger}']", "eval.prompts: '{trigger}' says nothing without a trigger"),
        ("eval.final_prompts=['{trigger} ,']", "eval.final_prompts: '{trigger} ,' says nothing without a trigger"),
        ("eval.prompts=['a cup',' ']", "prompts must each say something"),
        ("eval.unrelated_prompts=['','a cup']", "unrelated_prompts must each say something"),
    ],
)
def test_prompts_that_say_nothing_are_refused(override: str, words: str, pictures: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run_study([f"data.path={pictures}", f"study.folder={pictures.parent / 'runs'}", override])
    assert words in str(caught.value)
    assert not (pictures.parent / "runs").exists()
