"""`python -m eval …`, which is `sweeper eval …`; see `eval.request.USAGE`."""

from __future__ import annotations

import sys

from foundation.command import run_command

if __name__ == "__main__":
    sys.exit(run_command("eval.command", sys.argv[1:]))
