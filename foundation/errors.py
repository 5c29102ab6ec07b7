"""The one tree of errors a person may see.

    UserError (ValueError)      one clear line: what, where, got, what to do; the command ends with exit code 2
    ├── ConfigError             the composed config does not parse; carries every problem found
    ├── DataError               a data folder, a caption file or an image
    ├── BaseModelError          a base path that is no pipeline, or a base that is not to be had
    ├── AdapterError            a LoRA file that cannot be read or does not fit
    └── StudyError              a study that cannot start or resume
        └── DeviceError         no device is left to go on with; ends with exit code 1, since the input was good

A command also says an OSError in one line (`SAID`): a full disk, a folder that may not be written to. Anything else
that escapes is a defect of ours and keeps its trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final


class UserError(ValueError):
    """Something a person can put right; the message is one clear line."""

    exit_code: ClassVar[int] = 2
    """What the command that says it ends with."""


class ConfigError(UserError):
    """The config is wrong in one or more places; `problems` holds one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(UserError):
    """A folder, caption file or image that cannot be trained on."""


class BaseModelError(UserError):
    """A base model that cannot be found or is no pipeline."""


class AdapterError(UserError):
    """A LoRA file that cannot be read or does not fit the base."""


class StudyError(UserError):
    """A study that cannot start or resume."""


class DeviceError(StudyError):
    """No device can be used: none was found fit, or all of them failed on the way."""

    exit_code: ClassVar[int] = 1


def first_line(error: object) -> str:
    """The first line of what an error says; its kind's name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


SAID: Final = (UserError, OSError)
"""What a command says in one line, without a trace, and ends with exit code 2."""
