"""Configs of other trainers from a disk: read as plain values, of a bounded size, and never run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from foundation.config.home import at_home
from foundation.data.text_files import decode_text
from foundation.errors import ConfigError, DataError
from foundation.files.documents import parse_json, parse_toml, parse_yaml
from sweeper.trainers.port import Document

LARGEST: Final = 1_000_000
"""Bytes of a config; the longest that were seen have thirty thousand."""
_LINE: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_]\w*)=(?P<value>.*)")


def read_documents(files: Iterable[str]) -> list[Document]:
    """Return what each file holds, with its name.

    Raises:
        ConfigError: a line for each that is not there, too large, or none of the formats.
    """
    found: list[Document] = []
    problems: list[str] = []
    for name in files:
        path = Path(at_home(name))
        try:
            found.append((name, _read(path)))
        except (OSError, DataError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            problems.append(str(reason) if str(path) in str(reason) else f"{name}: {reason}")
    if problems:
        raise ConfigError(problems)
    return found


def parse_document(name: str, data: bytes) -> Any:
    """What the bytes of a file of this name hold.

    Raises:
        DataError: with one line that names it.
    """
    suffix = name.lower().removesuffix(".example").rpartition(".")[2]
    reader = _READERS.get(suffix)
    if reader is None:
        known = ", ".join(f".{each}" for each in _READERS)
        raise DataError(f"{name} must be a config, its name ending in one of {known}")
    return reader(data, name)


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise DataError(f"{path} must be a config of at most {LARGEST} bytes, and is larger")
    return parse_document(str(path), data)


def _read_environment(data: bytes, where: str) -> Any:
    """`export NAME='value'` lines; a value that the shell would compute stays as it is written."""
    found: dict[str, Any] = {}
    for number, line in enumerate(decode_text(data, where).split("\n"), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        try:
            words = shlex.split(match["value"], comments=True) if match else []
        except ValueError as error:
            raise DataError(f"{where}, line {number}: {error}") from error
        if match is None:
            raise DataError(f"{where}, line {number} must be NAME=value, got {text[:60]!r}")
        found[match["name"]] = " ".join(words)
    return {ENVIRONMENT: found}


def _read_command(data: bytes, where: str) -> Any:
    r"""The arguments of `accelerate launch script.py --name=value …`; a line that ends in a backslash goes on."""
    text = decode_text(data, where).replace("\\\n", " ")
    lines = [line for line in text.split("\n") if re.search(r"\w+\.py\b", line) and not line.lstrip().startswith("#")]
    if not lines:
        raise DataError(f"{where} must hold a command that starts a script, SCRIPT.py --name=value …")
    try:
        words = shlex.split(lines[0], comments=True)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    start = next(number for number, word in enumerate(words) if word.endswith(".py"))
    return {SCRIPT: words[start].rpartition("/")[2], **_arguments(words[start + 1 :])}


def _arguments(words: list[str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found[name] = value if equals else True
        elif name:
            found[name] = word if found[name] is True else f"{found[name]} {word}"
    return found


SCRIPT: Final = "script.py"
"""Under which a command's document has the script's name; no argument is called so."""
ENVIRONMENT: Final = "environment variables"
"""Under which an environment file's document has its variables."""
_READERS: Final[Mapping[str, Callable[[bytes, str], Any]]] = {
    "json": parse_json,
    "toml": parse_toml,
    "yaml": parse_yaml,
    "yml": parse_yaml,
    "env": _read_environment,
    "sh": _read_command,
}
