"""`sweeper prepare` shows what it would do, does it when told to, and leaves originals as they were."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, BlipProcessor

from foundation.data.captions import read_captions
from foundation.data.prepare.command import main, shrunk
from foundation.data.prepare.request import read_request

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "of", "cup", "star", "red", "blue", "moon"]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP of a few thousand random weights that knows a handful of words, as transformers saves it."""
    folder = tmp_path_factory.mktemp("blip")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    torch.manual_seed(1)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        "vocab_size": len(WORDS),
        "encoder_hidden_size": 16,
        "bos_token_id": 2,
        "sep_token_id": 3,
        "eos_token_id": 3,
    }
    text |= {"pad_token_id": 0, "max_position_embeddings": 80, "projection_dim": 16}
    config = BlipConfig(text_config={**size, **text}, vision_config={**size, "image_size": 32, "patch_size": 16})
    BlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A large picture with tags, a small one without a caption, in a folder of kohya's."""
    inner = tmp_path / "data/3_cup"
    inner.mkdir(parents=True)
    Image.linear_gradient("L").convert("RGB").resize((400, 200)).save(inner / "large.jpg")
    (inner / "large.txt").write_text("Red, a cup, watermark")
    Image.radial_gradient("L").convert("RGB").resize((20, 30)).save(inner / "small.png")
    return tmp_path / "data"


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def prepare(folder: Path, *arguments: str) -> int:
    return main([f"data={folder}", f"out={folder.parent / 'out'}", *arguments])


TAGS = ["strip=watermark,RED", "add=drawing,a cup", "trigger=in my style", "side=100"]


def test_a_preview_shows_each_change_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(folder.parent)
    assert prepare(folder, *TAGS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "data: 1 picture without a caption file, so the folder's name is the caption: 3_cup/small.png",
        "3_cup/large.jpg  400×200 → 200×100  'Red, a cup, watermark' → 'a cup, drawing, in my style'",
        "3_cup/small.png  20×30  'cup' → 'cup, drawing, a cup, in my style'",
        f"2 pictures would go to {folder.parent}/out; nothing was written, add apply=true to do it",
    ]
    assert state(folder.parent) == before


def test_applied_it_writes_a_folder_that_training_reads_and_touches_no_original(folder: Path) -> None:
    before = state(folder)
    assert prepare(folder, *TAGS, "apply=true") == 0
    assert state(folder) == before
    out = folder.parent / "out"
    entries = {each.name: (each.caption, each.repeats) for each in read_captions(out, "text", "data").entries}
    assert entries == {
        "3_cup/large.jpg": ("a cup, drawing, in my style", 3),
        "3_cup/small.png": ("cup, drawing, a cup, in my style", 3),
    }
    assert Image.open(out / "3_cup/large.jpg").size == (200, 100)
    assert (out / "3_cup/small.png").read_bytes() == (folder / "3_cup/small.png").read_bytes()


def test_a_model_captions_what_has_none_or_all_with_the_words_asked_for(blip: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, name in enumerate(["a.png", "b.png", "c.png"]):
        Image.new("RGB", (40, 40), (80 * number, 9, 200)).save(tmp_path / "data" / name)
    (tmp_path / "data/b.txt").write_text("my own words")

    def captions(out: str, *arguments: str) -> list[str]:
        assert main([f"data={tmp_path / 'data'}", f"out={tmp_path / out}", f"model={blip}", *arguments]) == 0
        return [each.caption for each in read_captions(tmp_path / out, "text", "data").entries]

    some, every = captions("one", "apply=true"), captions("two", "recaption=true", "prefix=a photo of", "apply=true")
    assert some[1] == "my own words"
    assert set(" ".join([some[0], some[2], *every]).split()) <= set(WORDS)
    assert all(caption.startswith("a photo of") for caption in every)
    assert captions("three", "recaption=true", "prefix=a photo of", "apply=true") == every


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sid=4"], "arguments must be key=value, got 'sid=4'; did you mean side=?"),
        (["side=4"], "side must be ≥ 16, got 4"),
        (["side=big"], "side must be "),
        (["apply=maybe"], "apply must be true or false, got 'maybe'"),
        (["apply=true", "apply=false"], "apply must be given once, got it again as 'apply=false'"),
        (["apply"], "arguments must be key=value, got 'apply'; did you mean apply=?"),
        (["recaption=true"], "recaption, prefix and prompt are for a captioning model; name one by model="),
        (["model=/none"], "model /none is no captioning model that transformers loads ("),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "3_cup").rename(folder / "set")
    before = state(folder.parent)
    assert prepare(folder, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {words}") and said.count("\n") == 1
    assert state(folder.parent) == before


def test_out_must_be_new_and_elsewhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out, words in ((folder, "exists already"), (folder / "new", "is inside")):
        assert main([f"data={folder}", f"out={out}", "apply=true"]) == 2
        assert words in capsys.readouterr().err
    Image.new("RGB", (9, 9)).save(folder / "3_cup/large.png")
    assert prepare(folder) == 2
    assert "would share 3_cup/large.txt; rename one" in capsys.readouterr().err


def test_keys_become_fields() -> None:
    request = read_request(["data=a=b", "out=c", "strip=x, y ,", "trigger=7", "apply=true", "side=64"])
    assert (request.data, request.strip, request.trigger, request.apply, request.side) == (
        "a=b",
        ("x", "y"),
        "7",
        True,
        64,
    )


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((400, 200), 100, (200, 100)), ((200, 401), 100, (100, 200)), ((50, 90), 100, (50, 90)), ((9, 9), None, (9, 9))],
)
def test_pictures_shrink_to_the_short_side_and_never_grow(
    size: tuple[int, int], side: int | None, expected: tuple[int, int]
) -> None:
    assert shrunk(size, side) == expected
