"""What a batch is told: files and `each=`, and every mistake in one line before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from foundation.errors import ConfigError
from sweeper.batch.command import main, parse
from sweeper.batch.request import read_request


@pytest.fixture
def write(tmp_path: Path) -> object:
    def write_file(**content: object) -> str:
        (tmp_path / "night.yaml").write_text(yaml.safe_dump(content))
        return str(tmp_path / "night.yaml")

    return write_file


def test_a_file_gives_each_study_its_own_and_what_is_common(write: object) -> None:
    file = write(  # type: ignore[operator]
        common={"base": "sd15", "train": {"steps": 80}},
        studies={"cats": {"adapter.rank": "choice(4,8)", "data.trigger": "a, b"}, "dogs": ["base=sdxl"], "plain": None},
        at_once=2,
        devices=["cuda:0", "cuda:1"],
    )
    request = read_request([file, "study.seed=1", "folder=my runs"])
    assert (request.name, request.folder, request.at_once) == ("night", Path("my runs"), 2)
    assert request.devices == ("cuda:0", "cuda:1")
    own = {entry.name: entry.overrides for entry in request.entries}
    begin, end = ("base=sd15", "train.steps=80"), ("study.seed=1",)
    place = "study.folder='my runs'"
    assert own == {
        "cats": (*begin, "adapter.rank=choice(4,8)", "data.trigger='a, b'", *end, "study.name=cats", place),
        "dogs": (*begin, "base=sdxl", *end, "study.name=dogs", place),
        "plain": (*begin, *end, "study.name=plain", place),
    }


@pytest.mark.parametrize("values", ["my/cats,my/dogs", "[my/cats,my/dogs]", "choice(my/cats,my/dogs)"])
def test_each_value_is_a_study(values: str) -> None:
    request = read_request([f"data.path={values}", "base=sd15,sdxl", "each=data.path", "each=base", "adapter.rank=4,8"])
    own = {entry.name: [each.replace("'", "") for each in entry.overrides[:3]] for entry in request.entries}
    assert own == {
        f"{animal}-{base}": ["adapter.rank=4,8", f"data.path=my/{animal}", f"base={base}"]
        for animal in ("cats", "dogs")
        for base in ("sd15", "sdxl")
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a file of studies"),
        (["a.yaml", "b.yaml"], "name one file"),
        (["nowhere.yaml"], "there is no file nowhere.yaml"),
        (["each=data.path"], "there is no data.path=A,B"),
        (["each=data.path", "data.path=a/x,b/x"], "two studies would be called x"),
        (["each=base", "base=sd15,sdxl", "at_once=0"], "at_once must be"),
        (["each=base", "base=sd15,sdxl", "at_once=2", "at_once=3"], "given once"),
        (["each=base", "base=sd15,sdxl", "study.name=x"], "study.name is the batch's to say"),
        (["each=base", "base=sd15,sdxl", "name=.."], "a name must be"),
        (["each=base", "base=sd15,sdxl", "name=cache"], "must not be that of what else lies"),
    ],
)
def test_what_is_wrong_is_a_line(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_request(arguments)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"studies": {}}, "must name a study or more"),
        ({"studies": {"a": 3}}, "a must be a mapping of settings"),
        ({"studies": {"a": {}}, "comon": {}}, "comon is unknown; it takes common"),
        ({"studies": {"a/b": {}}}, "a name must be"),
        ({"studies": {"a": {"train.steps": [{}, {"x": float("nan")}]}}}, "train.steps must be a plain value"),
        ({"studies": {"a": {}}, "notify.urls": [3]}, "must be a list of addresses"),
    ],
)
def test_what_is_wrong_in_a_file_is_a_line(content: dict[str, object], words: str, write: object) -> None:
    with pytest.raises(ConfigError, match=words):
        read_request([write(**content)])  # type: ignore[operator]


def test_the_settings_of_every_study_are_checked_before_one_begins(
    write: object, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(studies={"good": {"+experiment": "pencil"}, "bad": {"adapter.rank": "x"}, "worse": ["optimizer=no"]})  # type: ignore[operator]
    assert main([file]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: bad: adapter.rank must be") and second.startswith("error: worse: optimizer must be")
    assert [each.name for each in tmp_path.iterdir()] == ["night.yaml"]


def test_the_words_of_the_documents_are_a_batch() -> None:
    assert [entry.name for entry in parse(["each=data.path", "data.path=my/cats,my/dogs", "base=sd15"]).entries] == [
        "cats",
        "dogs",
    ]
