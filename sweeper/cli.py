"""The command `sweeper`: a study, or one of the other commands by its name."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from foundation.command import EXIT_BAD_INPUT, run_command
from foundation.console import complain, say
from foundation.json_output import note_error, run_as_json
from sweeper import __version__
from sweeper.own_packages import put_first


@dataclass(frozen=True, slots=True)
class Command:
    """A command beside the study."""

    module: str
    """Its `main` takes the arguments and returns the exit code; `--help` is one of them."""
    does: str
    keys: str = ""
    """A module whose `KEYS` it takes as `key=`; empty where it takes the config's, as a study does."""


_PREPARE: Final = "foundation.data.prepare"
_MERGE: Final = "foundation.adapters.merge"
COMMANDS: Final[Mapping[str, Command]] = {
    "train": Command("train.command", "train one LoRA, without a search"),
    "eval": Command("eval.command", "judge a LoRA, whoever trained it", "eval.request"),
    "prepare": Command(f"{_PREPARE}.command", "caption, tag and shrink pictures", f"{_PREPARE}.request"),
    "import": Command("sweeper.import_config", "begin from another trainer's config", "sweeper.import_request"),
    "export": Command("sweeper.export", "write a LoRA for other programs", "sweeper.export_request"),
    "merge": Command(f"{_MERGE}.command", "merge, combine and resize LoRAs", f"{_MERGE}.request"),
    "batch": Command("sweeper.batch.command", "run many studies, as over night", "sweeper.batch.command"),
    "report": Command("sweeper.report", "list a study's trials, best first", "sweeper.report"),
    "choose": Command("sweeper.choose", "make a checkpoint the best by hand, or undo it", "sweeper.choose"),
    "votes": Command("sweeper.votes", "say what votes between pairs of pictures say", "sweeper.votes"),
    "track": Command("sweeper.track", "show a study's runs that MLflow lacks", "sweeper.track"),
    "dashboard": Command("sweeper.dashboard", "show every study, trial and picture", "sweeper.dashboard"),
    "cluster": Command("sweeper.cluster.command", "write files for Slurm and Kubernetes", "sweeper.cluster.command"),
    "clean": Command("sweeper.clean", "free what old studies hold on the disk", "sweeper.clean"),
}
_STUDY: Final = "sweeper.study_command"
_MULTIRUN: Final = {"-m", "--multirun"}
"""What a study is anyway."""
_IMPORT: Final = "import="
"""`sweeper import=FILE`, as people write who know a study's arguments."""
_COMPLETION: Final = ("-sc", "--shell-completion")
USAGE: Final = "\n".join(
    [
        "sweeper [+experiment=NAME] [group=option] [path=value …]     find the best LoRA",
        "",
        "  sweeper +experiment=pencil                                            the embedded example, in minutes",
        "  sweeper data.path=my/pictures base=sd15 \"data.trigger='in my style'\"  your own pictures",
        "",
        "The same command goes on where it was stopped. forecast=true: only say what it will take. Other commands:",
        "",
        *(f"  sweeper {name:<11}{command.does}" for name, command in COMMANDS.items()),
        "",
        "--json prints one object instead of lines, with any command (docs/python.md has it, and the exit codes).",
        "`sweeper COMMAND --help` tells of each; `sweeper --help` lists all groups, options and defaults of a study,",
        "docs/reference.md every field with its meaning. `python -m sweeper` is the same command.",
    ]
)


def main() -> int:
    """Run what the command line asks for; the exit code."""
    put_first()
    return run_as_json(_run, sys.argv[1:])


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first.startswith(_IMPORT):
        return run_command(COMMANDS["import"].module, [first.removeprefix(_IMPORT), *arguments[1:]])
    if first in COMMANDS:
        return run_command(COMMANDS[first].module, arguments[1:])
    if first in _COMPLETION:
        return run_command("sweeper.completion", arguments[1:])
    if "--version" in arguments:
        say(f"sweeper {__version__}")
        return 0
    if first == "help":
        say(USAGE)
        return 0
    if not set(arguments) - _MULTIRUN:
        say(USAGE)
        note_error("arguments are missing; the lines say which there are")
        return EXIT_BAD_INPUT
    if first.isidentifier():
        complain(_no_command(first))
        return EXIT_BAD_INPUT
    return run_command(_STUDY, arguments)


def _no_command(word: str) -> str:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{word} is no command; there are {', '.join(COMMANDS)}, and a study takes key=value{hint}"
