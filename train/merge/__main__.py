"""`python -m train.merge combine lora=… lora=… out=…`: see `train.merge.request` for its words."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from foundation.errors import SAID
from foundation.quiet import quiet_libraries
from train.merge.request import USAGE, parse


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when it is done, 2 with one clear line for each mistake a person can put right."""
    if not arguments or {"-h", "--help", "help"} & set(arguments):
        print(USAGE)
        return 0 if arguments else 2
    try:
        request = parse(arguments)
        quiet_libraries()  # before the libraries are imported: some speak at import
        from train.merge.command import run  # diffusers takes seconds; help and mistakes need it not

        run(request, Console())
    except SAID as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
