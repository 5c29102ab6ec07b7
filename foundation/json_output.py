"""`--json`, which every command takes: one object on stdout when it ends, and nothing else there.

    exit_code   0 done, 1 failed, 2 bad input, 3 done but not shown in full, 130 Ctrl-C
    result      what the command is about, by name; null where it has no more to say than its lines
    lines       what it would have printed, in order
    errors      one line for each mistake; empty where there was none

What is printed meanwhile goes to stderr, that of other processes which it starts included.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TextIO, cast

from foundation.errors import first_line
from foundation.secrets import redact

FLAG: Final = "--json"
FAILED: Final = 1
"""The exit code after an error of ours."""
_INTERRUPTED: Final = 130


class JsonOutput:
    """Takes the place of stdout: keeps what is written there, and passes it on to stderr."""

    def __init__(self) -> None:
        self._real = _own_stdout()
        self._before, self._below = sys.stdout, sys.stderr
        self._text: list[str] = []
        self._errors: list[str] = []
        self._result: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def write(self, text: str) -> int:
        """Keep a text."""
        self._text.append(text)
        self._below.write(text)
        return len(text)

    def isatty(self) -> bool:
        """Whether something may be drawn: it may not."""
        return False

    def note_error(self, line: str) -> None:
        """Keep what went wrong."""
        self._errors.append(line)

    def give(self, values: dict[str, Any]) -> None:
        """Add values to the result."""
        self._result |= values

    def finish(self, code: int) -> None:
        """Print the object, and let stdout be what it was."""
        sys.stdout = self._before
        lines = "".join(self._text).splitlines()
        errors = self._errors or (lines[-1:] if code else [])
        said = {"exit_code": code, "result": self._result or None, "lines": lines, "errors": errors}
        with suppress(OSError, ValueError):  # whoever wanted it is gone
            self._real.write(json.dumps(_clean(said), allow_nan=False) + "\n")
            self._real.flush()


_current: list[JsonOutput] = []


def give(**values: Any) -> None:
    """Add to what `--json` prints as the result; without that flag nothing happens. NaN becomes null."""
    for each in _current:
        each.give(values)


def note_error(line: str) -> None:
    """Add to what `--json` prints as errors."""
    for each in _current:
        each.note_error(line)


def finish(code: int) -> None:
    """Print the object now, where one is wanted: the process is about to end at once."""
    while _current:
        _current.pop().finish(code)


def run_as_json(main: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """Run a command's `main` with the arguments; with `--json` among them, print its object; the exit code."""
    rest = [each for each in arguments if each != FLAG]
    if len(rest) == len(arguments) or _current:
        return main(rest)
    output = JsonOutput()
    _current.append(output)
    sys.stdout = cast(TextIO, output)
    code = FAILED
    try:
        code = main(rest)
    except SystemExit as error:  # Hydra's way to end
        code = error.code if isinstance(error.code, int) else FAILED if error.code else 0
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:
        traceback.print_exc()
        note_error(f"{type(error).__name__}: {first_line(error)}")
    finally:
        finish(code)
    return code


def _own_stdout() -> TextIO:
    """The stdout of this moment; where it is the process's, what others write there goes to stderr from here on."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return sys.stdout
    if number != 1:
        return sys.stdout
    sys.stdout.flush()
    real = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return real


def _clean(value: Any) -> Any:
    """Values for JSON, without secrets; what is not finite is null, and what JSON has no kind for is its text."""
    if isinstance(value, Mapping):
        return {redact(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, int) else redact(str(value))
