"""`python -m sweeper.guardian COMMAND…`: runs a command that must not outlive whoever started it.

Its stdin is a pipe of theirs. However they end, by kill -9 too, the pipe closes, and the command and all that it has
started ends. The guardian leads a process group of its own (`OF_ITS_OWN`), and ends with the command's code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

from foundation.processes import end_group

PATIENCE_S: Final = 5.0
"""How long the command may take to end before it is killed."""


def main() -> int:
    """Run the command; its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # it is for the command, whose end is waited for
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    return command.wait()


def _end_with_starter() -> None:
    os.read(sys.stdin.fileno(), 1)  # nobody writes: it returns when the pipe closes
    end_group(os.getpid(), at_once=False)
    time.sleep(PATIENCE_S)
    end_group(os.getpid(), at_once=True)


if __name__ == "__main__":
    sys.exit(main())
