"""`python -m train.merge …`, which is `sweeper merge …`."""

from __future__ import annotations

import sys

from foundation.command import run_command

if __name__ == "__main__":
    sys.exit(run_command("foundation.adapters.merge.command", sys.argv[1:]))
