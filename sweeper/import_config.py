"""The command `sweeper import FILE …`: see `sweeper.import_request` for its words."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from foundation.command import run_main, run_with_usage
from foundation.config.keyed import as_override
from foundation.config.presets import CONF, search_presets
from foundation.console import say
from foundation.errors import ConfigError
from foundation.files.durable import write_text
from foundation.json_output import give
from sweeper.import_request import USAGE, ImportRequest, parse


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: say(*_import(parse(arguments))), arguments, needs_arguments=True)


def _import(request: ImportRequest) -> list[str]:
    """Write the experiment, whole or not at all; what is said of it."""
    if (CONF / "experiment" / request.file.name).exists() and not _is_own(request):
        raise ConfigError([f"name {request.name} is a built-in experiment; name yours otherwise: name=NAME"])
    if request.file.exists() and not request.overwrite:
        raise ConfigError(
            [f"{request.file} exists already; name=NAME calls yours otherwise, overwrite=true replaces it"]
        )
    from sweeper.trainers.bases import missing_paths  # what composes a config takes a second; help needs it not
    from sweeper.trainers.documents import read_documents
    from sweeper.trainers.experiment import experiment_of
    from sweeper.trainers.reading import lines_of, read
    from sweeper.trainers.registry import trainer_of

    search_presets([])
    documents = read_documents(request.files)
    trainer, kinds = trainer_of(documents, request.trainer)
    reading = read(trainer, trainer.flatten(documents))
    source = f"Made by `sweeper import` of {trainer.name}: {', '.join(kinds)}. Its setting is the first trial."
    made = experiment_of(reading, request.name, source)
    write_text(request.file, made.text)
    give(file=request.file, trainer=trainer.name, settings=dict(reading.settings), space=dict(made.space))
    searched = ", ".join(f"{path} {sweep}" for path, sweep in made.space.items() if sweep)
    return [
        f"{request.file}: {', '.join(kinds)}; {reading.tally}",
        *lines_of(reading),
        *(f"note: {line}" for line in missing_paths(reading.settings)),
        f"searched around it: {searched}",
        *_next(request, reading.settings.get("data.path")),
    ]


def _is_own(request: ImportRequest) -> bool:
    """Whether the file that is there was made by an import, in a checkout whose conf/ is ours."""
    return request.file.exists() and "`sweeper import`" in request.file.read_text(encoding="utf-8")[:300]


def _next(request: ImportRequest, pictures: object) -> Iterator[str]:
    where = "" if str(request.folder) == "conf" else f"{as_override('--config-dir', request.folder)} "
    path = "" if pictures else " data.path=PICTURES"
    yield f"now: sweeper {where}+experiment={request.name}{path}"


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
