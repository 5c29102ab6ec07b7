"""`python -m train.prepare data=my/pictures out=my/prepared model=my/blip`: see `train.prepare.request.USAGE`."""

from __future__ import annotations

import sys

from foundation.quiet import quiet_libraries

if __name__ == "__main__":
    quiet_libraries()  # before the libraries are imported: some speak at import
    from train.prepare.command import main

    raise SystemExit(main(sys.argv[1:]))
