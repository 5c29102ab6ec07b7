"""Files between a node and the supervisor: what is new travels, whole, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.launchers.ray.travel import Shipments, relocate, to_go_on, with_whole_paths_of, write_parts
from sweeper.records.attempts import SupersededError, begin_attempt, must_be_latest, note_attempt
from sweeper.records.messages import Draw, Ready, Shutdown
from sweeper.records.paths import checkpoint_of, pictures_of, state_of


def write(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)


def trial_on(root: Path) -> Path:
    folder = root / "study" / "trials" / "0003"
    for step in (20, 40):
        write(checkpoint_of(folder, step), weights=f"w{step}", sums=f"s{step}")
        write(pictures_of(folder, step), picture=f"p{step}")
    write(pictures_of(folder, 40).with_name("final-step-000040"), picture="final")
    write(folder, steps="1 2", evaluations="e", attempt="7")
    write(folder, **{"config.yaml": "mine", ".hidden": "no"})
    write(state_of(folder), state="s")
    return folder


def texts(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_what_is_new_travels_once_and_the_state_comes_last(tmp_path: Path) -> None:
    folder, there = trial_on(tmp_path / "node"), tmp_path / "supervisor"
    shipments = Shipments(tmp_path / "node")
    parts = shipments.news_of_trial(folder)
    assert parts[-1].path.endswith("state/state")
    write_parts(there, parts)
    kept = {name: text for name, text in texts(tmp_path / "node").items() if Path(name).name[0] not in ".ac"}
    assert texts(there) == kept
    assert shipments.news_of_trial(folder) == ()
    write(checkpoint_of(folder, 40), weights="another")
    (part,) = shipments.news_of_trial(folder)
    assert (part.path, dict(part.files)) == (
        "study/trials/0003/checkpoints/step-000040",
        {"weights": b"another", "sums": b"s40"},
    )
    assert shipments.news([tmp_path / "node" / "nothing"]) == ()


def test_a_trial_goes_on_with_all_but_the_pictures_of_earlier_evaluations(tmp_path: Path) -> None:
    parts = to_go_on(tmp_path, trial_on(tmp_path))
    pictures = [part.path for part in parts if "samples" in part.path]
    assert pictures == ["study/trials/0003/samples/step-000040"]
    node = Shipments(tmp_path / "node")
    node.write(parts)
    assert node.news_of_trial(tmp_path / "node" / "study" / "trials" / "0003") == ()  # the other side has them
    node.forget(tmp_path / "node" / "study" / "trials" / "0003")
    assert texts(tmp_path / "node") == {}


def test_paths_in_messages_are_those_of_the_side_that_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = Draw(checkpoint=Path("runs/a/x"), prompts=2, seed=1, out=Path("/elsewhere"), strength=1.0)
    moved = relocate(with_whole_paths_of(draw), tmp_path / "runs", Path("/node"))
    assert (moved.checkpoint, moved.out) == (Path("/node/a/x"), Path("/elsewhere"))
    ready = Ready(
        num_slots=1, device="cpu", num_train=1, num_validation=1, seconds=1.0, base_images=(("a", Path("/node/b")),)
    )
    assert relocate(ready, Path("/node"), Path("/here")).base_images == (("a", Path("/here/b")),)
    assert relocate(Shutdown(), Path("/node"), Path("/here")) == Shutdown()


def test_an_older_attempt_may_not_write_any_more(tmp_path: Path) -> None:
    must_be_latest(tmp_path, 1)  # nobody has begun any
    first = begin_attempt(tmp_path)
    must_be_latest(tmp_path, first)
    second = begin_attempt(tmp_path)
    must_be_latest(tmp_path, second)
    must_be_latest(tmp_path, 0)
    with pytest.raises(SupersededError):
        must_be_latest(tmp_path, first)
    note_attempt(tmp_path / "node", second)
    must_be_latest(tmp_path / "node", second)
