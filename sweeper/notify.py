"""Messages when a study ends, fails or waits (`notify.urls`), by the library apprise, to whatever it knows.

An address of apprise's is a secret as a whole: its tokens may stand anywhere in it. It is taken from the command line
before anything reads that, kept in this process's memory, and never part of a config, a log or an error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from foundation.console import say
from foundation.errors import ConfigError
from foundation.secrets import redact, remember_whole

KEY: Final = "notify.urls"
VARIABLE: Final = "SWEEPER_NOTIFY_URLS"
"""The environment's variable for the same, several with spaces between."""
_GIVEN: Final = re.compile(r"\+{0,2}(?P<key>notify[\w.]*)=(?P<value>.*)", re.DOTALL)
_urls: list[str] = []


def take_urls(arguments: Sequence[str]) -> list[str]:
    """Keep the addresses that arguments or the environment name, and return the other arguments.

    The variable is taken out of the environment, so that no worker inherits it.

    Raises:
        ConfigError: the key is another one, apprise is not installed, or it does not know an address.
    """
    found, rest = os.environ.pop(VARIABLE, "").split(), []
    for argument in arguments:
        given = _GIVEN.fullmatch(argument)
        if given is None:
            rest.append(argument)
        elif given["key"] != KEY:  # what stands behind it may be an address: it is not repeated
            raise ConfigError([f"{given['key']} is unknown; notify takes urls: {KEY}=[…]"])
        else:
            found += _split(given["value"])
    set_urls(found)
    return rest


def set_urls(urls: Sequence[str]) -> None:
    """Send this process's messages to these addresses from now on.

    Raises:
        ConfigError: apprise is not installed, or does not know one of them.
    """
    for url in urls:
        remember_whole(url)
    if urls:
        _service(urls)
    _urls[:] = urls


def environment() -> Mapping[str, str]:
    """What a process that is started gets into its environment, so that it sends its messages there, too."""
    return {VARIABLE: " ".join(_urls)} if _urls else {}


def notify(title: str, body: str = "") -> None:
    """Send a message, if there is somewhere to send it to; where that fails, one line says so, and that is all."""
    if not _urls:
        return
    try:
        sent = _service(_urls).notify(title=redact(title), body=redact(body or title), body_format="text")
    except Exception:  # whatever a service's plugin raises; it may tell the address
        sent = False
    if not sent:
        say("a message could not be sent to all of notify.urls; the study goes on", to=sys.stderr)


def notify_wait(words: str, say_it: Callable[[str], None] = say) -> None:
    """Say what a study waits for, and send it."""
    say_it(words)
    notify("sweeper waits", words)


def notify_end(study: Path, how: str) -> None:
    """Send how the study in a folder ended."""
    if _urls:
        from sweeper.best import read_best

        best = read_best(study)
        words = f"trial {best.training} at step {best.step}: score {best.score:.1f}; {best.folder}" if best else ""
        notify(f"sweeper: study {study.name} {how}", words)


def _service(urls: Sequence[str]) -> Any:
    try:
        import apprise
    except ImportError:
        raise ConfigError([f"{KEY} needs the library apprise: pip install 'sweeper[notify]'"]) from None
    import logging

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines tell addresses
    service = apprise.Apprise()
    unknown = [number for number, url in enumerate(urls, start=1) if not service.add(url)]
    if unknown:
        which = ", ".join(map(str, unknown))
        raise ConfigError([f"{KEY}: apprise knows no service for address {which} of {len(urls)} (not repeated here)"])
    return service


def _split(value: str) -> list[str]:
    """The addresses of `[a,b]`, or of one alone; quotes around them are the shell's or Hydra's."""
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    parts = re.split(r",\s*(?=['\"]?[a-z][\w+.-]*://)", inner)
    return [part.strip().strip("'\"") for part in parts if part.strip().strip("'\"")]
