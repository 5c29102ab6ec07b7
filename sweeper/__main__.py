"""`python -m sweeper …`: what the command `sweeper` does."""

from __future__ import annotations

import sys

from sweeper.cli import main

if __name__ == "__main__":
    sys.exit(main())
