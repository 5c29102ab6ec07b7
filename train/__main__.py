"""`python -m train …`, which is `sweeper train …`: train one LoRA, without a study and without a judge."""

from __future__ import annotations

import sys

from foundation.command import run_command

if __name__ == "__main__":
    sys.exit(run_command("train.command", sys.argv[1:]))
