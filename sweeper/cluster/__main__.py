"""`python -m sweeper.cluster`, the same as `sweeper cluster`."""

import sys

from foundation.command import run_command

sys.exit(run_command("sweeper.cluster.command", sys.argv[1:]))
