"""Texts as editors save them: UTF-8, or UTF-16 that says so, with whatever ends their lines."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from foundation.errors import DataError

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(file: Path) -> str:
    r"""What a file says, its lines ended by `\n`.

    Raises:
        DataError: when it is neither UTF-8 nor UTF-16 with its mark.
    """
    return decode_text(file.read_bytes(), str(file))


def decode_text(data: bytes, where: str) -> str:
    """As `read_text`, of bytes that messages call `where`."""
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        wanted = encoding.upper().removesuffix("-SIG")
        raise DataError(f"{where} is not {wanted} ({error}); save it as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{where} is no plain text (it holds zero bytes); save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
