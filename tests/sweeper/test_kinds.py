"""The kind of pictures: found in captions, said in one line, chosen by `data.kind`, refused where it lacks words."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from foundation.config.compose import compose
from foundation.errors import ConfigError
from sweeper.kinds import with_kind
from sweeper.records.config import parse_config

SUBJECT = ["data.kind=subject", "data.trigger='sks cup'", "eval.class_word='cup'"]


def folder(path: Path, captions: list[str]) -> str:
    path.mkdir()
    for number, caption in enumerate(captions):
        Image.new("RGB", (8, 8), (number * 30, 0, 0)).save(path / f"{number}.png")
        (path / f"{number}.txt").write_text(caption)
    return f"data.path={path}"


CUPS = ["a sks cup on grass", "a sks cup at night", "a ball left of a sks cup"]


def test_a_subject_is_found_and_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [folder(tmp_path / "cups", CUPS), f"study.folder={tmp_path}"]
    found = with_kind(given)
    assert found[: len(given)] == given
    config = parse_config(compose(found))
    assert (config.data.kind, config.data.trigger, config.eval.class_word) == ("subject", "sks cup", "cup")
    assert config.eval.kind == "subject" and config.data.holdout_at_least == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        'data.kind is subject, data.trigger is sks cup, eval.class_word is cup: all 3 captions say "sks cup"; '
        "data.kind=style changes that"
    )


def test_what_was_found_is_not_looked_for_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = with_kind([folder(tmp_path / "cups", CUPS), f"study.folder={tmp_path}"])
    capsys.readouterr()
    assert with_kind(found) == found and capsys.readouterr().out == ""


def test_a_person_without_an_identity_eye_is_a_subject(tmp_path: Path) -> None:
    found = with_kind([folder(tmp_path / "men", ["ohwx man here", "ohwx man there"]), f"study.folder={tmp_path}"])
    assert found[2:] == ["data.kind='subject'", "data.trigger='ohwx man'", "eval.class_word='man'"]


@pytest.mark.parametrize("said", ["data.kind=style", "kind=style"])
def test_what_a_person_says_of_the_kind_holds(tmp_path: Path, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [folder(tmp_path / "cups", CUPS), said]
    assert with_kind(given) == given and capsys.readouterr().out == ""


def test_words_that_a_person_left_out_are_filled_in(tmp_path: Path) -> None:
    found = with_kind([folder(tmp_path / "cups", CUPS), "data.kind=subject", "data.trigger=sks"])
    assert found[3:] == ["data.trigger='sks cup'", "eval.class_word='cup'"]


@pytest.mark.parametrize(
    ("captions", "line"),
    [
        (["a cup, in pencil style"] * 3, 'data.kind is style: all 3 captions say "in pencil style"'),
        (["a cup", "a star"], "data.kind is style: no phrase in all captions calls a subject; data.kind=subject"),
    ],
    ids=["named", "not clear"],
)
def test_a_style_stays_one(tmp_path: Path, captions: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [folder(tmp_path / "set", captions)]
    assert with_kind(given) == given
    assert capsys.readouterr().out.startswith(line)


@pytest.mark.parametrize(
    "given", [[], ["+experiment=pencil"], ["data.path=/nowhere"], ["data.kind=nose"], ["optimizer=none"]], ids=str
)
def test_drawn_sets_and_mistakes_are_left_as_they_are(given: list[str]) -> None:
    assert with_kind(given) == given


@pytest.mark.parametrize("kind", ["style", "subject", "face"])
@pytest.mark.parametrize("key", ["kind", "data.kind"])
def test_either_key_chooses_all_that_goes_with_a_kind(kind: str, key: str) -> None:
    config = compose([f"{key}={kind}"])
    assert config["data"]["kind"] == config["eval"]["kind"] == kind
    assert config["data"]["holdout_at_least"] == (None if kind == "style" else 1)
    assert config["eval"]["thresholds"]["val_rise"]["warn"] == (0.02 if kind == "style" else 0.05)
    assert bool(config["eval"]["prompts"]) == (kind != "style")  # a style draws its held-out captions


def test_what_a_kind_sets_can_be_set_otherwise() -> None:
    own = ["eval.prompts=['a {trigger}']", "data.holdout_at_least=2", "eval.thresholds.copy.warn=0.01"]
    config = parse_config(compose([*SUBJECT, *own]))
    assert config.eval.prompts == ("a {trigger}",) and config.data.holdout_at_least == 2
    assert (config.eval.thresholds.copy.warn, config.eval.thresholds.copy.alarm) == (0.01, 0.1)


def test_two_answers_to_what_kind_it_is_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.kind must be that of kind=subject, got face"):
        compose(["kind=subject", "data.kind=face"])


def test_composing_one_config_leaves_the_next_as_it_is() -> None:
    plain = compose([])
    compose(["+experiment=pencil_ranks"])
    assert compose(["study.seed=0"]) == plain


@pytest.mark.parametrize(("kind", "example"), [("subject", "dog"), ("face", "person")])
def test_a_kind_without_its_words_is_a_line_for_each(kind: str, example: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(compose([f"data.kind={kind}", "data.trigger=", "eval.identity_features=/some"]))
    assert list(caught.value.problems) == [
        f"data.kind={kind} needs the phrase that calls it: \"data.trigger='sks {example}'\"",
        f"data.kind={kind} needs the word for what it is one of: eval.class_word={example}",
    ]


def test_a_face_is_not_judged_without_an_eye_for_faces() -> None:
    overrides = ["data.kind=face", "data.trigger='ohwx man'", "eval.class_word=man"]
    with pytest.raises(ConfigError, match=r"eval\.identity_features=FOLDER .*; data\.kind=subject judges without one"):
        parse_config(compose(overrides))
    assert parse_config(compose([*overrides, "eval.identity_features=/some"])).data.kind == "face"


def test_prompts_of_a_subject_on_a_real_base_put_it_elsewhere() -> None:
    for kind in ("subject", "face"):
        found = compose([f"data.kind={kind}", "data.path=/some"])["eval"]
        prompts = [*found["prompts"], *found["final_prompts"]]
        assert len(set(prompts)) == 20 and all(prompt.count("{trigger}") == 1 for prompt in prompts)
