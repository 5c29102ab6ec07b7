"""A path that markup, URLs, formats, globs, Markdown, shells and mathtext would each misread."""

from __future__ import annotations

from typing import Final

HOSTILE: Final = "-whät? [v2] [/a] {1} {} 50%41 %s #1 'q' \"d\" $a_b$ *x* `c` <b> &amp; a=b, 日本 😀"


def quoted(value: object) -> str:
    """A value as Hydra's grammar takes it whatever it holds."""
    return "'" + str(value).replace("'", "\\'") + "'"
