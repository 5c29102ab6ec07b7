"""`python -m train.prepare …`, which is `sweeper prepare …`; see `train.prepare.request.USAGE`."""

from __future__ import annotations

import sys

from foundation.command import run_command

if __name__ == "__main__":
    sys.exit(run_command("train.prepare.command", sys.argv[1:]))
