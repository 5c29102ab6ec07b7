"""`python -m sweeper.batch`, the same as `sweeper batch`."""

import sys

from foundation.command import run_command

sys.exit(run_command("sweeper.batch.command", sys.argv[1:]))
