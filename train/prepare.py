"""`python -m train.prepare …`, which is `sweeper prepare …`."""

from __future__ import annotations

import sys

from foundation.command import run_command

if __name__ == "__main__":
    sys.exit(run_command("foundation.data.prepare.command", sys.argv[1:]))
