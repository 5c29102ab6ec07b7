"""The pocket models' tokenizer: CLIP's byte-level BPE with merges for the words of the world.

A word of the world is one token; any other word is spelt in pieces, down to bytes, so no caption is refused.
"""

from __future__ import annotations

from typing import Final

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from train.pocket import world

MAX_TOKENS: Final = 40
_START, _END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer() -> CLIPTokenizer:
    """A `CLIPTokenizer` of at most 40 tokens a caption, the same at every call."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=4096, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator(_words(), trainer)
    merges = [tuple(pair) for pair in _merges(bpe)]
    # CLIP's own order: bytes, bytes that end a word, merges, the two marks.
    tokens = alphabet + [f"{byte}</w>" for byte in alphabet] + ["".join(pair) for pair in merges]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*tokens, _START, _END]))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def _words() -> list[str]:
    sentence = " ".join([*world.SHAPES, *world.COLOURS, *world.RELATIONS, *world.BACKGROUNDS.values(), *world.STYLES])
    return sorted({*sentence.split(), "a", "an", "in", "style", "of", "picture"})


def _merges(bpe: Tokenizer) -> list[list[str]]:
    import json

    merges: list[list[str]] = json.loads(bpe.to_str())["model"]["merges"]
    return merges
