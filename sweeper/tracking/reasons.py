"""Why a store could not be reached, in few words."""

from __future__ import annotations

from foundation.errors import first_line
from foundation.secrets import redact


def reason_of(error: BaseException) -> str:
    """What the system said where an error goes back to it, as "Connection refused"; else the error's first line.

    MLflow and what it asks servers with wrap it in several hundred characters. No secret is in it.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror and cause.filename is None:  # no file's, whose name matters
            return cause.strerror
        if isinstance(cause, ConnectionError | TimeoutError) and len(cause.args) == 1:
            return redact(first_line(cause))
        cause = cause.__cause__ or cause.__context__
    return redact(first_line(error))
