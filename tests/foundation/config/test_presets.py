"""A person's own options are options like ours, from wherever they are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.config.compose import compose, is_option, options
from foundation.config.presets import CONF, folders, package_folder, search_presets
from foundation.errors import ConfigError

OWN = {
    "adapter": "defaults: [lora, _self_]\nrank: 3\n",
    "base": "defaults: [pocket, _self_]\nlr_factor: 2.0\n",
    "data": "defaults: [folder, _self_]\npath: pictures\n",
    "eval": "defaults: [default, _self_]\nevery: 7\n",
    "experiment": "# @package _global_\ndefaults: [{override /optimizer: own}]\ntrain: {steps: 9}\n",
    "launcher": "defaults: [local, _self_]\ndevices: [cpu]\n",
    "lr_scheduler": "defaults: [cosine, _self_]\nwarmup: 0.3\n",
    "objective": "defaults: [default, _self_]\nsnr_gamma: 5.0\n",
    "optimizer": "defaults: [adamw, _self_]\nlr: ${lr:3e-4}\n",
    "study": "defaults: [default, _self_]\nnum_trials: 3\n",
    "tracking": "defaults: [mlflow, _self_]\nexperiment: mine\n",
    "train": "defaults: [default, _self_]\nbatch_size: 2\n",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def written(folder: Path, files: dict[str, str]) -> Path:
    for group, text in files.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        (folder / group / "own.yaml").write_text(text)
    return folder


def problems(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        search_presets(arguments)
    return caught.value.problems


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config-dir", "TREE/own"],
        ["--config-dir=TREE/own"],
        ["-cd", "../own"],
        ["-cd=../own"],
        ["hydra.searchpath=[file://TREE/own]"],
        ["++hydra.searchpath=[../own]"],
        ["hydra.searchpath=['file://TREE/empty', pkg://eval.metrics]", "-cd", "TREE/own"],
    ],
)
def test_each_way_to_name_a_folder_gives_its_options_in_every_group(arguments: list[str], elsewhere: Path) -> None:
    written(elsewhere / "own", OWN)
    (elsewhere / "empty").mkdir()
    given = ["a=b", *(each.replace("TREE", str(elsewhere)) for each in arguments), "--cfg", "job"]
    assert search_presets(given) == ["a=b", "--cfg", "job"]
    assert all("own" in options(group) and is_option(group, "own") for group in OWN)
    config = compose(["+experiment=own", *(f"{group}=own" for group in OWN if group != "experiment")])
    assert config["optimizer"]["lr"] == 6e-4  # in terms of the base that is their own, too
    found = [config["adapter"]["rank"], config["data"]["path"], config["eval"]["every"], config["train"]["steps"]]
    assert found == [3, "pictures", 7, 9]
    assert (config["launcher"]["devices"], config["study"]["num_trials"]) == (["cpu"], 3)
    assert (config["tracking"]["experiment"], config["objective"]["snr_gamma"]) == ("mine", 5.0)
    assert (config["lr_scheduler"]["warmup"], config["train"]["batch_size"]) == (0.3, 2)


def test_a_conf_beside_the_study_is_read_and_only_by_commands_from_there(elsewhere: Path) -> None:
    written(elsewhere / "work" / "conf", {"optimizer": OWN["optimizer"]})
    search_presets([])
    assert "own" in options("optimizer")
    with pytest.raises(ConfigError, match=r"lion8bit, own, prodigy.*got 'onw'; did you mean own\?"):
        compose(["optimizer=onw"])
    (elsewhere / "work" / "conf").rename(elsewhere / "gone")
    search_presets([])
    assert "own" not in options("optimizer")


def test_our_own_conf_is_not_searched_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF.parent)
    search_presets([])
    assert folders() == ()


def test_the_first_folder_with_an_option_counts(elsewhere: Path) -> None:
    for number, name in enumerate(["first", "second", "work/conf"]):
        written(elsewhere / name, {"train": f"defaults: [default, _self_]\nseed: {number + 1}\n"})
    first, second = (str(elsewhere / name) for name in ("first", "second"))
    search_presets([f"hydra.searchpath=[{second}]", "-cd", first])
    assert compose(["train=own"])["train"]["seed"] == 1
    search_presets([f"hydra.searchpath=[{second}]"])
    assert compose(["train=own"])["train"]["seed"] == 2
    search_presets([])
    assert compose(["train=own"])["train"]["seed"] == 3


def test_names_of_ours_are_refused_in_a_named_folder_and_passed_over_beside_the_study(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = elsewhere / "work" / "conf"
    (own / "train").mkdir(parents=True)
    (own / "optimizer").mkdir()
    (own / "train" / "default.yaml").write_text("epochs: 3\n")
    (own / "optimizer" / "lion.yaml").write_bytes((CONF / "optimizer" / "lion.yaml").read_bytes())  # ours as it is
    file = own / "train" / "default.yaml"
    assert problems("-cd", "conf") == (f"{file}: train=default is built in; give yours another name",)
    search_presets([])
    assert capsys.readouterr().err == f"note: {file} is not read: train=default is built in\n"
    assert compose()["train"]["epochs"] is None


def test_what_is_wrong_with_arguments_is_said_together(elsewhere: Path) -> None:
    (elsewhere / "work" / "file").touch()
    found = problems(
        "--config-dir=nope",
        "hydra.searchpath=nope",
        "hydra.searchpath=[pkg://no.such]",
        "hydra.searchpath=[s3://x]",
        "-cd=file",
        "-cd",
    )
    assert found == (
        f"--config-dir=nope: there is no folder {elsewhere}/work/nope",
        "hydra.searchpath=nope: a list is wanted: hydra.searchpath=[file://FOLDER,pkg://PACKAGE]",
        "hydra.searchpath=[pkg://no.such]: pkg://no.such is no package with a folder",
        "hydra.searchpath=[s3://x]: s3://x is neither file:// nor pkg://",
        f"-cd=file: there is no folder {elsewhere}/work/file",
        "-cd: -cd wants a folder",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr: [1,\n", "optimizer=own: TREE/own/optimizer/own.yaml, line 2: expected the node content"),
        ("- a\n", "optimizer must be a group of settings, got ['a']"),
        ("space: [a]\n", "optimizer.space must be a mapping, got ['a']"),
        ("defaults: [nope]\n", "optimizer=own: In 'optimizer/own': Could not load 'optimizer/nope'."),
        ("# @package _global_\nadapter: null\n", "adapter must be a group of settings, got null"),
    ],
)
def test_a_broken_file_is_one_line(text: str, words: str, elsewhere: Path) -> None:
    search_presets(["-cd", str(written(elsewhere / "own", {"optimizer": text}))])
    with pytest.raises(ConfigError) as caught:
        compose(["optimizer=own"])
    (line,) = caught.value.problems
    assert line.startswith(words.replace("TREE", str(elsewhere)))


def test_a_package_is_found_without_being_imported(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(elsewhere / "site" / "evilpack" / "inner", {"train": OWN["train"]})
    for folder in (elsewhere / "site" / "evilpack", elsewhere / "site" / "evilpack" / "inner"):
        (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(elsewhere / "site")
    assert package_folder("evilpack.inner") == elsewhere / "site" / "evilpack" / "inner"
    search_presets(["hydra.searchpath=[pkg://evilpack.inner]"])
    assert compose(["train=own"])["train"]["batch_size"] == 2
