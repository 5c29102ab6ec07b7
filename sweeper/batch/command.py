"""`sweeper batch FILE` and `sweeper batch each=KEY …`: its help, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from foundation.command import EXIT_INTERRUPTED, run_with_usage
from foundation.config.presets import search_presets
from foundation.console import say
from foundation.errors import ConfigError, UserError
from foundation.json_output import give, note_error
from sweeper.batch.request import KEYS as KEYS
from sweeper.batch.request import BatchRequest, read_request
from sweeper.notify import notify, take_urls

USAGE: Final = """\
sweeper batch studies.yaml [KEY=VALUE …] [STUDY …]          many studies, each of its own, one after another
sweeper batch each=data.path data.path=a,b,c [STUDY …]      a study for each value; of several keys, for each pair

  STUDY        what all of them are told, as after `sweeper`: base=sd15 study.num_trials=20
  each=        of which settings each value is a study of its own; give it as often as needed
  at_once=     how many run at the same time; devices are dealt to them in turn (default: 1, on all devices)
  devices=     cuda:0,cuda:1 … to be dealt (default: all that are there)
  folder=      where studies go (default: multirun)
  name=        what the batch is called (default: the file's name, or batch)
  notify.urls= addresses of the library apprise, [tgram://…,mailto://…]: a message when a study ends, fails or waits

The file:

  common: {base: sd15, study.num_trials: 20}       # or a list: [base=sd15, study.num_trials=20]
  studies:
    cats: {data.path: my/cats, data.trigger: a sks cat}
    dogs: [data.path=my/dogs, "adapter.rank=choice(4,8)"]
  at_once: 2                                       # and devices, folder, name, notify.urls, if wanted

One that fails does not stop the others. The same command goes on: what is finished is passed over. The folder
multirun/batches/NAME has summary.html, summary.json, and what each study said. Exit code 1: a study failed.

  sweeper batch studies.yaml at_once=2
  sweeper batch each=data.path data.path=my/cats,my/dogs base=sd15"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, 1 where a study failed, 130 after Ctrl-C, or 2 with one line for each mistake."""
    return run_with_usage(USAGE, lambda: _batch(arguments), arguments, needs_arguments=True)


def parse(arguments: Sequence[str]) -> BatchRequest:
    """Read what is wanted; each study is composed and checked.

    Raises:
        ConfigError: with every mistake at once, also of the studies'.
    """
    request = read_request(search_presets(take_urls(arguments)))
    _check(request)
    return request


def _batch(arguments: Sequence[str]) -> int:
    request = parse(arguments)
    from sweeper.batch.running import run_batch  # psutil and the page's reading, which mistakes need not wait for

    outcome = run_batch(request)
    page = request.own_folder / "summary.html"
    give(**outcome.to_json(), page=page)
    for each in outcome.entries:
        if each.state in ("failed", "stopped"):
            note_error(f"{each.name}: {each.errors[0] if each.errors else each.state}")
    say(outcome.words, f"all of it on one page: {page}")
    notify(f"sweeper: batch {request.name}: {outcome.words}", f"{page}")
    if outcome.was_stopped:
        return EXIT_INTERRUPTED
    return 1 if outcome.num_failed else 0


def _check(request: BatchRequest) -> None:
    """Compose and check every study now: a mistake at midnight would be found in the morning."""
    from sweeper.study.taste import plan_by_taste

    problems = []
    for entry in request.entries:
        try:
            plan_by_taste(entry.overrides)
        except ConfigError as error:
            problems += [f"{entry.name}: {line}" for line in error.problems]
        except UserError as error:
            problems.append(f"{entry.name}: {error}")
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
