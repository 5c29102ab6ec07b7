"""Captioning models of each kind, tiny and random: what is asked, what is answered, what comes of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from foundation.data.prepare.captioner import PROMPT, Captioner
from foundation.errors import BaseModelError

WORDS = [
    "[PAD]",
    "[UNK]",
    "[BOS]",
    "[EOS]",
    "<image>",
    "answer:",
    "What",
    "is",
    "it?",
    "a",
    "red",
    "blue",
    "cup",
    "star",
    "on",
    "grass",
]
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ '<image> ' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} answer: {% endif %}"
)


def tokenizer_of(words: list[str], **special: str) -> PreTrainedTokenizerFast:
    made = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = WhitespaceSplit()
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[EOS]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **names, **special)


def make_loud(model: torch.nn.Module) -> None:
    """Weights as they are initialized say the same of every picture; no answer ends before it has begun."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(20)
            if "lm_head" in name or name.endswith("shared.weight"):
                parameter[:6] = 0


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA, which is what JoyCaption is."""
    folder = tmp_path_factory.mktemp("llava")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = {"vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**size, image_size=32, patch_size=16),
        text_config=LlamaConfig(**size, **tokens, num_key_value_heads=2),
        image_token_index=WORDS.index("<image>"),
        image_seq_length=4,
    )
    model = LlavaForConditionalGeneration(config)
    make_loud(model)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 3, 0
    model.save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    tokenizer = tokenizer_of(WORDS, additional_special_tokens=["<image>"])  # type: ignore[arg-type]
    LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    gradients = [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (64, 64), 30)]
    return [each.convert("RGB").resize((50, 40)) for each in gradients]


def greedy(folder: Path, image: Image.Image, text: str, steps: int) -> str:
    """The words that are likeliest one after another, by whole passes without a cache."""
    processor: Any = LlavaProcessor.from_pretrained(folder)
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    inputs = processor(images=[image], text=[text], return_tensors="pt")
    tokens = inputs["input_ids"]
    said: list[int] = []
    with torch.no_grad():
        for _ in range(steps):
            mask = torch.ones_like(tokens)
            logits = model(input_ids=tokens, pixel_values=inputs["pixel_values"], attention_mask=mask).logits
            said.append(int(logits[0, -1].argmax()))
            if said[-1] == 3:
                break
            tokens = torch.cat([tokens, torch.tensor([[said[-1]]])], dim=1)
    return " ".join(processor.batch_decode([said], skip_special_tokens=True)[0].split())


def test_one_that_chats_answers_its_prompt_as_plain_passes_do(llava: Path, pictures: list[Image.Image]) -> None:
    captioner = Captioner(str(llava), prompt="What is it?", max_tokens=5)
    said = captioner.captions(pictures)
    expected = [greedy(llava, each, "<image> What is it? answer: ", 5) for each in pictures]
    assert said == expected and len(set(said)) > 1
    assert [captioner.captions([each])[0] for each in pictures] == said
    begun = captioner.captions(pictures[:1], prefix="a red")[0]
    assert begun == f"a red {greedy(llava, pictures[0], '<image> What is it? answer: a red', 5)}"


def test_one_that_chats_is_asked_by_a_prompt_of_ours_where_nobody_names_one(llava: Path) -> None:
    assert Captioner(str(llava))._prompt == PROMPT


def test_florence_answers_a_task_alone(florence: Path, pictures: list[Image.Image]) -> None:
    captioner = Captioner(str(florence), max_tokens=6)
    said = captioner.captions(pictures)
    assert captioner.captions(pictures[::-1]) == said[::-1]
    assert len(set(said)) > 1 and not any("Describe" in each or "<" in each for each in said)
    assert captioner.captions(pictures[:1], prefix="in my style:")[0] == f"in my style: {said[0]}"


def test_a_picture_that_a_prompt_does_not_go_with_is_a_line(llava: Path, pictures: list[Image.Image]) -> None:
    captioner = Captioner(str(llava), prompt="<image> What is it?")  # two places, one picture
    with pytest.raises(BaseModelError, match="model cannot caption a picture with this prompt"):
        captioner.captions(pictures[:1])


def test_a_library_that_a_model_needs_is_named(monkeypatch: pytest.MonkeyPatch, llava: Path) -> None:
    """As Qwen-VL's processor asks for torchvision."""

    def refuse(*_: object, **__: object) -> None:
        raise ImportError("\nIts video processor requires the Torchvision library but it was not found. See\nelsewhere")

    monkeypatch.setattr("foundation.data.prepare.captioner.AutoProcessor.from_pretrained", refuse)
    with pytest.raises(BaseModelError, match="needs a library that is not installed: Its .* it was not found$"):
        Captioner(str(llava))


@pytest.fixture(scope="module")
def florence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Florence-2, whose processor turns a task into a prompt."""
    from transformers import BartConfig, Florence2Config, Florence2ForConditionalGeneration, Florence2Processor
    from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

    folder = tmp_path_factory.mktemp("florence")
    torch.manual_seed(0)
    words = [
        *WORDS[:4],
        "<image>",
        "Describe",
        "in",
        "detail",
        "what",
        "is",
        "shown",
        "the",
        "image.",
        "a",
        "cup",
        "red",
    ]
    text = BartConfig(
        vocab_size=len(words),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=3,
        forced_bos_token_id=None,
        forced_eos_token_id=None,
    )
    vision = Florence2VisionConfig(
        depths=(1, 1),
        embed_dim=(8, 16),
        num_heads=(2, 2),
        num_groups=(2, 2),
        patch_size=(7, 3),
        patch_stride=(4, 2),
        patch_padding=(3, 1),
        patch_prenorm=(False, True),
        window_size=2,
        projection_dim=16,
        max_temporal_embeddings=4,
        max_position_embeddings=8,
    )
    config = Florence2Config(text_config=text.to_dict(), vision_config=vision.to_dict(), image_token_id=4)
    model = Florence2ForConditionalGeneration(config)
    make_loud(model)
    model.save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    images.image_seq_length = 17
    tokenizer = tokenizer_of(words, additional_special_tokens=["<image>"], image_token="<image>")  # type: ignore[arg-type]
    Florence2Processor(image_processor=images, tokenizer=tokenizer, num_additional_image_tokens=0).save_pretrained(
        folder
    )
    return folder
