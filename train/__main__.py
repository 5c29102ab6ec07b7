"""`python -m train +experiment=pencil adapter.rank=8`: train one LoRA, without a study and without a judge."""

from __future__ import annotations

import sys

from foundation.quiet import quiet_libraries

if __name__ == "__main__":
    quiet_libraries()  # before the libraries are imported: some speak at import
    from train.command import main

    raise SystemExit(main(sys.argv[1:]))
