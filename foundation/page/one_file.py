"""A page in one file, to be sent: style and script in it, allowed by their digests alone; it asks no network."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

STYLE: Final = "page.css"
ICON: Final = "icon.svg"


@cache
def read_shared(name: str) -> str:
    """Return the text of `STYLE` or `ICON`."""
    return (Path(__file__).parent / name).read_text("utf-8")


def head_of(title: str, script: str = "", more_style: str = "") -> str:
    """Return the head's HTML: its policy of content, icon, title and style; no other script than `script` runs there.

    Pictures are taken from `data:` alone, nothing is fetched and nothing sent. `more_style` comes after ours.
    """
    style = read_shared(STYLE) + more_style
    scripts = f"script-src '{_digest(script)}'; " if script else ""
    policy = (
        f"default-src 'none'; img-src data:; {scripts}style-src '{_digest(style)}'; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<link rel="icon" href="data:image/svg+xml;base64,{base64_of(read_shared(ICON).encode())}">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>"
    )


def base64_of(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def _digest(text: str) -> str:
    return f"sha256-{base64_of(hashlib.sha256(text.encode()).digest())}"
