"""docs/import.md: every field of every trainer that is known, from the same tables as the import and the export."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sweeper.trainers.port import Row, Trainer, Unused
from sweeper.trainers.reasons import OWN
from sweeper.trainers.registry import TRAINERS

COMMAND: Final = "python -m sweeper.trainers"
STATES: Final = {
    "carried": "carried over",
    "off": "without effect",
    "own": "in its own way",
    "left": "left out",
    "unknown": "unknown",
}
"""What may become of a field, and the head of its column."""
_INTRO: Final = f"""\
# From other trainers, and back

This page is made by `{COMMAND}` from the tables of the import and the export; change it there.

```sh
.venv/bin/sweeper import my_preset.json name=mine          # writes conf/experiment/mine.yaml
.venv/bin/sweeper import config.toml dataset.toml          # files that belong together
.venv/bin/sweeper export pencil recipe=onetrainer          # the winner's settings as a config of OneTrainer
```

`sweeper +experiment=mine` then runs a study whose first trial is their setting; `data.path=` names the pictures where
the config does not. Around it are searched: the rate (four times lower to four times higher, as layers feel it; of
Prodigy `d_coef`, three times), the rank (half, the same, twice) and alpha / rank (likewise). All else is as theirs. The
rates are not probed first (`study.probe=never`), which would move them away. Edit the file as any experiment.

Each field of a config is one of these, and all that are not carried over are listed when it is imported:

- carried over: it is a field of ours, or several together are;
- without effect: with this value it does nothing there either;
- done here in its own way: samples, saving, caching, tracking; nothing of what is learned;
- left out, with the reason: this is where the first trial differs from theirs;
- unknown: in none of the tables below.

What a config does not say is as the trainer has it by default, not as this project has. Configs are read as plain
data (JSON, TOML, YAML, `NAME=value`), of a megabyte at most; nothing in them is run, and no file that they name is
opened: give it beside them. A path is a text; one that is not there is said.

An export is read again by the import, and each setting that is then another one is a line `differs:`. A trial whose
settings a trainer has comes back as it was.
"""


def page(read: Iterable[Mapping[str, Any]]) -> str:
    """The page; `read` has a row for each public config that was read."""
    sections = [_INTRO, _public(list(read)), *(_section(each) for each in TRAINERS.values())]
    return "\n".join(sections)


def _public(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["repository", "path", "fields", *STATES.values()]
    lines = [
        [
            row["repository"],
            ", ".join(f"`{path}`" for path in row["paths"]),
            row["fields"],
            *(row["counts"][state] for state in STATES),
        ]
        for row in rows
        if "counts" in row
    ]
    refused = [
        f"- {row['repository']}, {', '.join(f'`{path}`' for path in row['paths'])}: {row['refused']}"
        for row in rows
        if "refused" in row
    ]
    words = (
        "## Public configs that were read\n\nHow many fields of each became what; counted by "
        f"`{COMMAND} count`, at the commits in docs/import_read.jsonl.\n"
    )
    tail = ["Refused, each in one line:\n", *refused, ""] if refused else []
    return "\n".join([words, _table(head, lines), *tail])


def _section(trainer: Trainer) -> str:
    rows = [[_names(row.theirs), _names(row.ours), _words(row)] for row in trainer.rows]
    unused = [[_names(each.theirs), each.why, _values(each)] for each in trainer.unused]
    remarks = "".join(f"- {remark}\n" for remark in trainer.remarks)
    return "\n".join(
        [
            f"## {trainer.name}\n\n{trainer.title}.\n",
            f"{remarks}",
            _table(["there", "here", "how"], rows),
            _table(["there", "nothing here, since", "without effect with"], unused),
        ]
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}…`" if name.endswith(".") else f"`{name}`" for name in dict.fromkeys(names))


def _words(row: Row) -> str:
    return row.words or "the same value"


def _values(each: Unused) -> str:
    own = "any" if each.why in OWN else ""
    return ", ".join(f"`{json.dumps(value)}`" for value in each.off if value != "") or own


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return "\n".join(_lines([head, ["---"] * len(head), *rows])) + "\n"


def _lines(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"
