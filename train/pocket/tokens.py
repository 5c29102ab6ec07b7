"""The pocket models' tokenizer: CLIP's byte-level BPE with merges for the words of the world.

A word of the world is one token; any other word is spelt in pieces, down to bytes, so no caption is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

MAX_TOKENS: Final = 40
_START, _END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer() -> CLIPTokenizer:
    """A `CLIPTokenizer` of at most 40 tokens a caption, the same at every call and in every process.

    `merges.txt` is what BPE training over the words of the world gave once, in the order of its ranks. Trained anew it
    would break ties among equally frequent pairs by lot, and models of different processes would read different tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [tuple(line.split(" ")) for line in (Path(__file__).parent / "merges.txt").read_text().splitlines()]
    # CLIP's own order: bytes, bytes that end a word, merges, the two marks.
    tokens = alphabet + [f"{byte}</w>" for byte in alphabet] + ["".join(pair) for pair in merges]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*tokens, _START, _END]))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)
