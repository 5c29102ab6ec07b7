"""What a `DataSpec` means for a folder, and that the drawn sets are such folders."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from foundation.data.dataset import for_refit, load_dataset, with_folders
from foundation.data.folder import HOLDOUT, read_folder, split
from foundation.errors import DataError
from train.drawn import NUM_UNSEEN, draw_set, with_drawn_folder
from train.pocket.world import BACKGROUNDS, RELATIONS, Scene, Thing, is_held_out
from train.spec import DataSpec


def write(folder: Path, captions: list[str], first: int = 0, key: str = "text") -> Path:
    """A folder of one-coloured pictures whose shades begin at `first`."""
    folder.mkdir()
    lines = []
    for i, caption in enumerate(captions, start=first):
        Image.new("RGB", (4, 4), (i, 255 - i, 7)).save(folder / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", key: caption}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def spec(folder: Path, **fields: object) -> DataSpec:
    return DataSpec(name="test", path=str(folder), **fields)  # type: ignore[arg-type]


def names(pictures: object) -> list[str]:
    return [picture.path.name for picture in pictures]  # type: ignore[attr-defined]


def test_a_share_is_held_out_as_the_plain_split_does_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", ["x"] * 20)
    pictures, _ = read_folder(folder, where="data")
    for fields, share in (({}, HOLDOUT), ({"holdout": 0.5}, 0.5)):
        dataset = load_dataset(spec(folder, **fields))
        assert (dataset.train, dataset.validation) == split(pictures, share)
    assert len(load_dataset(spec(folder)).validation) == 4


def test_a_validation_folder_is_held_out_whole_and_nothing_else(tmp_path: Path) -> None:
    train = write(tmp_path / "train", ["x"] * 6)
    held = write(tmp_path / "held", ["y"] * 2, first=100)
    dataset = load_dataset(spec(train, validation_path=str(held)))
    assert names(dataset.train) == [f"{i}.png" for i in range(6)]
    assert names(dataset.validation) == ["100.png", "101.png"]
    assert dataset.notes_of_reading == ()


def test_copies_of_held_out_pictures_are_not_trained_on_and_said(tmp_path: Path) -> None:
    train = write(tmp_path / "train", ["x"] * 6)
    held = write(tmp_path / "held", ["y"] * 2, first=100)
    shutil.copy(train / "3.png", held / "101.png")
    dataset = load_dataset(spec(train, validation_path=str(held)))
    assert names(dataset.train) == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    assert names(dataset.validation) == ["100.png", "101.png"]
    assert dataset.notes_of_reading == (
        f"data.path: 1 file left out, copies of held-out pictures, which are not trained on: 3.png (as {held}/101.png)",
    )


def test_a_validation_folder_that_holds_all_of_the_training_folder_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", ["x"] * 6)
    with pytest.raises(
        DataError, match=r"^data\.path .* has 0 images that data\.validation_path .* does not hold, too"
    ):
        load_dataset(spec(folder, validation_path=str(folder)))


def test_mistakes_name_the_folder_they_are_in(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", ["x"] * 6)
    gone = tmp_path / "none"
    with pytest.raises(DataError, match=rf"^data\.path {gone} is not a folder"):
        load_dataset(spec(gone))
    with pytest.raises(DataError, match=rf"^data\.validation_path {gone} is not a folder"):
        load_dataset(spec(folder, validation_path=str(gone)))
    with pytest.raises(DataError, match=r"has no caption \"say\" .* name it by data\.caption_column=text$"):
        load_dataset(spec(folder, caption_column="say"))
    with pytest.raises(DataError, match=r"data\.path is not set"):
        load_dataset(DataSpec(name="test", drawn="pencil"))


def test_fewer_than_three_images_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", ["x"] * 4)
    too_few = rf"^data\.path {folder} has 4 usable images; at least 5 are needed, or data\.holdout_at_least=1, "
    with pytest.raises(DataError, match=too_few):
        load_dataset(spec(folder, holdout_at_least=3))
    folder = write(tmp_path / "two", ["x"] * 2)
    with pytest.raises(DataError, match=rf"^data\.path {folder} has 2 usable images; at least 3 are needed$"):
        load_dataset(spec(folder))


@pytest.mark.parametrize(("count", "held"), [(3, 1), (5, 1), (7, 1), (8, 2), (12, 2), (13, 3), (30, 6)])
def test_of_a_handful_few_are_held_out(tmp_path: Path, count: int, held: int) -> None:
    dataset = load_dataset(spec(write(tmp_path / "data", ["x"] * count)))
    assert (len(dataset.train), len(dataset.validation)) == (count - held, held)


def test_that_one_picture_tells_less_than_two_is_said(tmp_path: Path) -> None:
    notes = load_dataset(spec(write(tmp_path / "data", ["x"] * 5))).notes(64)
    assert notes[0] == "pictures: 4 to train on, 1 held out"
    assert notes[1].startswith("one picture is held out, so what needs two is not measured: ")


def test_most_of_a_handful_held_out_is_said_with_what_to_do(tmp_path: Path) -> None:
    dataset = load_dataset(spec(write(tmp_path / "data", ["x"] * 5), holdout_at_least=3))
    assert len(dataset.train) == 2 and len(dataset.validation) == 3
    assert dataset.notes(64)[1].startswith("2 pictures are trained on and 3 held out; data.holdout_at_least=1 holds")


def test_beside_a_validation_folder_two_pictures_are_enough(tmp_path: Path) -> None:
    train = write(tmp_path / "train", ["x"] * 2)
    held = write(tmp_path / "held", ["y"], first=100)
    assert len(load_dataset(spec(train, validation_path=str(held))).train) == 2


def test_broken_images_are_refused_or_left_out_with_their_reason(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", ["x"] * 6)
    (folder / "2.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=rf"^{folder}/2\.png is not a readable image: .*data\.skip_broken=true$"):
        load_dataset(spec(folder))
    dataset = load_dataset(spec(folder, skip_broken=True))
    assert sorted(names((*dataset.train, *dataset.validation))) == ["0.png", "1.png", "3.png", "4.png", "5.png"]
    (why,) = dataset.notes_of_reading
    assert why.startswith("data.path: 1 file left out, broken: 2.png (")


def test_the_trigger_is_added_where_it_is_missing(tmp_path: Path) -> None:
    captions = ["a cup, in pencil style", "a cup In Pencil Style at night", "a star", "", "x"]
    folder = write(tmp_path / "data", captions, key="say")
    dataset = load_dataset(spec(folder, trigger="in pencil style", caption_column="say"))
    by_name = {picture.path.name: picture.caption for picture in (*dataset.train, *dataset.validation)}
    assert [by_name[f"{i}.png"] for i in range(5)] == [
        *captions[:2],
        "a star, in pencil style",
        "in pencil style",
        "x, in pencil style",
    ]
    plain = load_dataset(spec(folder, caption_column="say"))
    assert {picture.caption for picture in (*plain.train, *plain.validation)} == set(captions)


@pytest.fixture(scope="module")
def pencil(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    """The set of `+experiment=pencil`, drawn."""
    asked = DataSpec(name="pencil", drawn="pencil", trigger="in pencil style")
    return with_drawn_folder(asked, tmp_path_factory.mktemp("cache"))


def captions_of(folder: Path) -> list[str]:
    return [picture.caption for picture in read_folder(folder, where="data")[0]]


def parts_of(pencil: DataSpec) -> dict[str, list[str]]:
    parent = Path(str(pencil.path)).parent
    return {name: captions_of(parent / name) for name in ("train", "validation", "unseen")}


def scene_of(caption: str) -> Scene:
    """Read a caption back into the scene it tells of, without the world's own code for it."""
    one = r"an? (\w+) (\w+)"
    match = re.fullmatch(rf"{one}(?: ({'|'.join(RELATIONS)}) {one})? (on|in the|at) (\w+), in pencil style", caption)
    assert match is not None, caption
    colour, shape, relation, second_colour, second_shape, _, background = match.groups()
    assert background in BACKGROUNDS
    return Scene(background, Thing(colour, shape), relation, Thing(second_colour, second_shape) if relation else None)


def test_the_drawn_set_has_24_8_and_60_pictures_in_the_format_of_any_folder(pencil: DataSpec) -> None:
    assert NUM_UNSEEN == 60
    assert {name: len(captions) for name, captions in parts_of(pencil).items()} == {
        "train": 24,
        "validation": 8,
        "unseen": 60,
    }
    dataset = load_dataset(pencil)
    assert (len(dataset.train), len(dataset.validation), dataset.notes_of_reading) == (24, 8, ())
    assert {picture.open().size for picture in (*dataset.train, *dataset.validation)} == {(64, 64)}


def test_no_drawn_scene_comes_twice_and_the_pocket_models_never_trained_on_one(pencil: DataSpec) -> None:
    captions = list(chain(*parts_of(pencil).values()))
    found = [scene_of(caption) for caption in captions]
    assert len(set(found)) == len(found) == 92
    assert all(is_held_out(scene) for scene in found)
    assert [scene.caption("pencil") for scene in found] == captions


def test_the_drawn_set_is_the_same_wherever_it_is_drawn(drawn_folder: Path, tmp_path: Path) -> None:
    again = draw_set("pencil", 10, 4, tmp_path)
    files = sorted(path.relative_to(drawn_folder) for path in drawn_folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((again / file).read_bytes() == (drawn_folder / file).read_bytes() for file in files)


def test_a_drawn_set_is_drawn_once(tmp_path: Path) -> None:
    folder = draw_set("pencil", 5, 3, tmp_path)
    (folder / "mark").write_text("")
    assert draw_set("pencil", 5, 3, tmp_path) == folder and (folder / "mark").exists()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["train/000.png", "validation/metadata.jsonl"])
def test_a_damaged_drawn_set_is_drawn_anew(tmp_path: Path, name: str) -> None:
    file = draw_set("pencil", 5, 3, tmp_path) / name
    whole = file.read_bytes()
    file.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    draw_set("pencil", 5, 3, tmp_path)
    assert file.read_bytes() == whole


def test_only_a_drawn_set_gets_a_drawn_folder(pencil: DataSpec, tmp_path: Path) -> None:
    assert pencil.drawn is None and pencil.trigger == "in pencil style"
    own = DataSpec(name="own", path="somewhere")
    assert with_drawn_folder(own, tmp_path) == own
    assert with_drawn_folder(pencil, tmp_path) == replace(pencil)
    assert list(tmp_path.iterdir()) == []


def scene(folder: Path, number: int) -> Image.Image:
    """A drawn scene, which has something to show."""
    return Image.open(sorted(folder.rglob("*.png"))[number]).convert("RGB")


def captioned(folder: Path, images: list[Image.Image]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        image.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"scene {number}")
    return folder


def test_copies_stay_on_one_side_and_are_named(drawn_folder: Path, tmp_path: Path) -> None:
    images = [scene(drawn_folder, number) for number in range(8)]
    folder = captioned(tmp_path / "data", [*images, *(ImageOps.mirror(image) for image in images)])
    dataset = load_dataset(spec(folder, holdout=0.4))
    held = set(names(dataset.validation))
    assert len(held) == 6 and held == {f"{(int(name[:-4]) + 8) % 16}.png" for name in held}
    assert len(dataset.copies) == 8
    for line in dataset.copies:
        pair = line.rpartition(": ")[2].split(", ")
        side = "held out" if pair[0] in held else "trained on"
        assert line == f"copies of one picture, all {side}: {', '.join(pair)}"
        assert abs(int(pair[1][:-4]) - int(pair[0][:-4])) == 8


def test_what_looks_like_a_picture_of_the_validation_folder_is_not_trained_on(
    drawn_folder: Path, tmp_path: Path
) -> None:
    images = [scene(drawn_folder, number) for number in range(8)]
    train = captioned(tmp_path / "train", images)
    held = captioned(tmp_path / "held", [images[3].resize((90, 90)), scene(drawn_folder, 9)])
    dataset = load_dataset(spec(train, validation_path=str(held)))
    assert names(dataset.train) == [f"{i}.png" for i in range(8) if i != 3]
    (line,) = dataset.notes_of_reading
    assert line.endswith(f"copies of held-out pictures, which are not trained on: 3.png (as {held}/0.png)")


def test_a_folder_of_copies_is_refused(drawn_folder: Path, tmp_path: Path) -> None:
    image = scene(drawn_folder, 0)
    folder = captioned(tmp_path / "data", [image.resize((side, side)) for side in range(64, 71)])
    with pytest.raises(DataError, match="has 7 images, but no 3 that are not copies of one another.*find_copies=false"):
        load_dataset(spec(folder))
    told_apart = load_dataset(spec(folder, find_copies=False))
    assert len(told_apart.validation) == 1 and told_apart.copies == ()


def test_the_fingerprint_tells_other_pictures_captions_and_sides(drawn_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(drawn_folder / "train", folder)

    def now(**fields: Any) -> dict[str, str]:
        return load_dataset(DataSpec(name="x", path=str(folder), **fields)).fingerprint

    first = now()
    assert first.keys() == {"data.train", "data.validation", "data.regularization"}
    assert first["data.train"].startswith("8 pictures (")
    assert now() == first
    assert now(validation_path=str(drawn_folder / "validation"))["data.train"].startswith("10 pictures (")
    table = folder / "metadata.jsonl"
    table.write_text(table.read_text().replace("a ", "one "))
    said = now()
    assert all(said[side] != first[side] for side in ("data.train", "data.validation"))
    (folder / "000.png").unlink()
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))
    assert now() != said


def test_repeats_multiply_kohyas_own_and_count_as_images(tmp_path: Path) -> None:
    for folder, first in (("2_cup", 0), ("5_star", 10)):
        (tmp_path / "data").mkdir(exist_ok=True)
        write(tmp_path / "data" / folder, ["x"] * 4, first=first)
        (tmp_path / "data" / folder / "metadata.jsonl").unlink()
    dataset = load_dataset(spec(tmp_path / "data", repeats=3))
    every = (*dataset.train, *dataset.validation)
    assert {(picture.caption, picture.repeats) for picture in every} == {("cup", 6), ("star", 15)}
    assert dataset.counts(64) == [sum(picture.repeats for picture in dataset.train)]


def test_archives_become_folders_in_the_cache(drawn_folder: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", drawn_folder / "train")
    asked = spec(Path(archive), validation_path=str(drawn_folder / "validation"))
    found = with_folders(asked, tmp_path / "cache")
    assert found.path is not None and Path(found.path).parent == tmp_path / "cache"
    assert found == replace(asked, path=found.path)
    plain = load_dataset(spec(drawn_folder / "train", validation_path=str(drawn_folder / "validation")))
    unpacked = load_dataset(found)
    assert [picture.digest for picture in unpacked.train] == [picture.digest for picture in plain.train]


def test_a_reading_ends_with_a_count_and_a_line_for_each_reason(tmp_path: Path) -> None:
    for name, first, count in (("10_cup", 0, 6), ("0_no", 10, 1), ("reg", 20, 2)):
        (tmp_path / "data").mkdir(exist_ok=True)
        write(tmp_path / "data" / name, ["x"] * count, first=first)
        (tmp_path / "data" / name / "metadata.jsonl").unlink()
    others = write(tmp_path / "others", ["y"] * 2, first=30)
    dataset = load_dataset(spec(tmp_path / "data", holdout_at_least=1, regularization_path=str(others)))
    train, held = len(dataset.train), len(dataset.validation)
    assert (train, held) == (5, 1)
    assert dataset.notes(64)[:3] == (
        "pictures: 5 to train on (50 an epoch: 5 × 10), 1 held out, 2 of regularisation",
        "data.path: 1 file left out, in folders with 0 repeats: 0_no/10.png",
        "data.path: 2 files left out, beside the N_concept folders (move them into one, as 1_name): "
        "reg/20.png, reg/21.png",
    )


def test_folders_of_other_settings_within_the_folder_are_not_read_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name, first in (("", 0), ("val", 20), ("masks of it", 40)):
        (folder / name).mkdir(parents=True)
        for i in range(first, first + 3):
            Image.new("RGB", (4, 4), (i, 255 - i, 7)).save(folder / name / f"{i}.png")
            (folder / name / f"{i}.txt").write_text("x")
    for i in range(3):
        Image.new("L", (4, 4), 255).save(folder / "masks of it" / f"{i}.png")
    dataset = load_dataset(
        spec(folder, validation_path=str(folder / "val"), mask="folder", mask_path=str(folder / "masks of it"))
    )
    assert names(dataset.train) == ["0.png", "1.png", "2.png"]
    assert names(dataset.validation) == ["20.png", "21.png", "22.png"]
    assert (
        "data.path: 6 files left out, of data.validation_path: val/20.png, val/20.txt, val/21.png …" in dataset.notes(8)
    )


def test_a_refit_learns_from_all_pictures_and_is_held_against_those_that_all_learn_from(tmp_path: Path) -> None:
    asked = spec(write(tmp_path / "data", ["x"] * 5))
    dataset = load_dataset(asked)
    everything = for_refit(dataset, asked)
    assert everything.train == (*dataset.train, *dataset.validation)
    assert everything.validation == dataset.train
    assert everything.num_images == 5
