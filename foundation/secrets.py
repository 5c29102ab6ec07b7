"""Secrets, in addresses and in the environment: known to this process's memory alone.

Addresses are written and said with `***` in the place of theirs. What is written as it is must hold none: `Held` tells.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO, cast
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN: Final = "***"
_USER: Final = re.compile(r"(?P<before>\w[\w+.-]*:/{1,2}[^:/?#]*:)(?P<secret>.+)(?P<after>@)")
"""One slash is what a path makes of two. A user may have a space, or the `@` of a mail address."""
_USER_IN_TEXT: Final = re.compile(_USER.pattern.replace(".+", r"\S+").replace("?#]", r"?#\s]"))
_TOKEN: Final = re.compile(
    r"(?P<before>https?:/{1,2})(?P<secret>[^:/?#@\s]+)(?P<after>(?::(?:x-oauth-basic)?)?@)(?![^/?#\s]*@)"
)
"""Alone before the `@`, or as a user without a password."""
_QUERY: Final = re.compile(
    r"(?P<before>[?&;#](?!viewStateShareKey=)[\w.-]*(?:pass|pwd|secret|token|key|sig|sas|credential|auth|jwt|bearer|odbc_connect)[\w.-]*=)"
    r"(?P<secret>[^&;#\s'\"]+)(?P<after>)",
    re.IGNORECASE,
)
"""In a query; the saved view that a link of MLflow's opens is none."""
_SHORTEST: Final = {_USER: 4, _TOKEN: 12, _QUERY: 8}
"""What has fewer characters is hidden where it stands in an address only: elsewhere it may be any word."""
_OF_ENVIRONMENT: Final = re.compile(r".*(PASSWORD|PASSWD|PWD|TOKEN|SECRET|API_KEY|ACCESS_KEY)", re.IGNORECASE)
"""Variables that hold one, by the end of their names; the shell's own for folders are none."""
_FOLDERS: Final = ("PWD", "OLDPWD")
_SWITCHES: Final = ("true", "false")
_SHORTEST_IN_TEXT: Final = 8
"""A secret with fewer characters may stand in a text by chance."""

_ARGUMENTS: Final = slice(45, 47)
"""Of the fields behind the name in `/proc/self/stat`."""

_WHOLE: Final = re.compile(rb"\+{0,2}notify[\w.]*=")
"""Arguments that are secrets as a whole begin so."""

_in_full: dict[str, str] = {}
_known: set[str] = set()


def hide(address: str) -> str:
    """The address without its password, key or token. `in_full` gives it back, in this process only."""
    remember([address])
    shown = _mask(address, _USER)
    if shown != address:
        _in_full[shown] = address
    return shown


def in_full(shown: str) -> str:
    """The address that `hide` made this of; itself where it had nothing to hide."""
    return _in_full.get(shown, shown)


def remember(texts: Iterable[str]) -> None:
    """Note the passwords of all addresses in these texts, so that `redact` finds them where they stand alone, too."""
    _known.update(form for text in texts for each in _in_addresses(text) for form in _forms(each))


def remember_whole(secret: str) -> None:
    """Note a text that is a secret as a whole, such as the address of a messenger, and the parts that it is made of."""
    parts = (each for each in re.split(r"[/?&=@:#]+", secret) if len(each) >= _SHORTEST_IN_TEXT)
    _known.update(form for each in (secret, *parts) for form in _forms(each))


def redact(text: str) -> str:
    """Text with every password, of an address in it or noted before, as `***`."""
    text = _mask(text, _USER_IN_TEXT)
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def guard_output() -> None:
    """From here on nothing that this process prints to stdout or stderr, a trace of an error included, tells one.

    Those that its environment holds count, too.
    """
    remember(os.environ.values())
    for _, value in _of_environment():
        if len(value) >= _SHORTEST[_USER]:
            _known.update(_forms(value))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Guarded):
            setattr(sys, name, cast(TextIO, _Guarded(stream)))


def hide_arguments() -> None:
    """Overwrite the secrets of addresses in this process's own arguments, where a list of processes shows them.

    On Linux alone; elsewhere nothing is done. Until this is called they were to be seen.
    """
    try:
        stat = Path("/proc/self/stat").read_text()
        begin, end = map(int, stat.rpartition(")")[2].split()[_ARGUMENTS])  # proc(5): arg_start, arg_end
        shown = Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if not 0 < begin < end or len(shown) != end - begin:
        return
    for argument in shown.split(b"\0"):
        if whole := _WHOLE.match(argument):
            shown = shown.replace(argument, whole[0] + b"*" * (len(argument) - len(whole[0])))
        for secret in _in_addresses(argument.decode(errors="surrogateescape")):
            for form in _forms(secret):
                shown = shown.replace(form.encode(errors="surrogateescape"), b"*" * len(os.fsencode(form)))
    ctypes.memmove(begin, shown, len(shown))


class Held:
    """The secrets that the environment holds at this moment, to be looked for in what will be written."""

    def __init__(self) -> None:
        alone = list(_of_environment())
        inside = [(name, each) for name, value in os.environ.items() for each in _in_addresses(value)]
        self._variables = {
            form: name
            for name, secret in (*inside, *alone)
            if len(secret) >= _SHORTEST_IN_TEXT
            for form in _forms(secret)
        }

    def secret_in(self, text: str) -> str:
        """Which secret a text holds, in words that tell nothing of it; empty where it holds none."""
        variables = [name for secret, name in self._variables.items() if secret in text]
        if variables:
            return f"the secret of {variables[0]}"
        return "the password of an address" if any(_in_addresses(text)) else ""


def _of_environment() -> Iterator[tuple[str, str]]:
    """The environment's variables that are secrets by their names, and what they hold."""
    for name, value in os.environ.items():
        if name not in _FOLDERS and _OF_ENVIRONMENT.fullmatch(name) and value.lower() not in _SWITCHES:
            yield name, value


def _in_addresses(text: str) -> Iterator[str]:
    """The secrets of all addresses in a text, without those that may be any word."""
    for form in {text, unquote_plus(text)}:  # ODBC's has names and values inside
        for pattern in (_USER, _TOKEN, _QUERY):
            for found in pattern.finditer(form):
                plain = {found["secret"], unquote(found["secret"]), unquote_plus(found["secret"])} - {HIDDEN}
                yield from (each for each in plain if len(each) >= _SHORTEST[pattern])


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}


def _mask(text: str, of_user: re.Pattern[str]) -> str:
    for pattern in (_TOKEN, of_user, _QUERY):
        text = pattern.sub(rf"\g<before>{HIDDEN}\g<after>", text)
    return text


class _Guarded:
    """A stream that redacts what is written to it, and is the one below in all else."""

    def __init__(self, below: TextIO) -> None:
        self._below = below

    def write(self, text: str) -> int:
        self._below.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)
