"""How much of a caption a pipeline's text encoders read: what stands behind that is cut off, and should be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def caption_reader(pipeline: Any) -> Any:
    """The tokenizer of a pipeline that reads the most: where there are several, the last."""
    parts = pipeline.components
    return [parts[name] for name in sorted(parts) if name.startswith("tokenizer") and parts[name] is not None][-1]


def num_longer(reader: Any, captions: Sequence[str], most: int) -> int:
    """How many captions have more tokens than `most`, those that begin and end them counted in."""
    return sum(len(each) > most for each in reader(list(captions), verbose=False).input_ids) if captions else 0


def words_on_cut(num_cut: int, num_captions: int, most: int) -> tuple[str, ...]:
    """A line on captions that are cut; none where none is."""
    if not num_cut:
        return ()
    said = f"{num_cut} of {num_captions} captions {'is' if num_cut == 1 else 'are'} longer than the {most} tokens"
    return (f"{said} that this base reads; what stands behind them is not learned",)
