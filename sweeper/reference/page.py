"""The reference page as Markdown: an introduction, then a section for each group of the config."""

from __future__ import annotations

import re
import textwrap
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Final

from foundation.config.compose import groups
from foundation.data.spec import OF_TRIALS
from sweeper.records.config import TRIAL_GROUPS, Config
from sweeper.reference.conf import SearchedKey, default_of, default_options, documented_options, searched_keys
from sweeper.reference.fields import MISSING, ConfigField, fields_of
from sweeper.reference.tables import Table, tables_of
from sweeper.reference.words import type_words, value_words
from sweeper.search.space import searchable

COMMAND: Final = "python -m sweeper.reference"
_SETS: Final = {
    "kind": "What each `data.kind` sets in the other groups; it is chosen by that.",
    "experiment": "Sets of overrides.",
}
"""Groups that are no part of the config themselves."""
_WRITTEN: Final = 40
"""Characters of an interpolation that is shown beside the value it comes to."""
_ABOUT: Final = """\
This page is made by `{command}` from the dataclasses and the YAML in `conf/`; change it there. What a study is and \
how to start one is in the [README](../README.md)."""
_QUOTING: Final = """\
Lists, mappings and texts with blanks or commas are quoted for the shell: `'eval.seeds=[0,1]'`, \
`"data.trigger='in my style'"`. `null` is none. A sweep counts for fields of {trial}; the other groups are one for the \
whole study."""
_SPACE: Final = """\
What is searched by default stands in `study.space` and in the `space` of each chosen option; on the \
command line a sweep replaces a dimension or adds one, and a plain value removes it. `${{lr:x}}` is x times \
`base.lr_factor`: learning rates are written for Stable Diffusion 1.5 and hold on any base."""
_DEFAULTS: Final = """\
Defaults are those of the config that `sweeper` composes by itself ({defaults}); what an option sets \
otherwise is listed with it. `sweeper --cfg job` prints what a command line comes to."""
GRAMMAR: Final[Sequence[tuple[str, str]]] = (
    ("optimizer=lion", "this option of a group: the file `conf/optimizer/lion.yaml`"),
    ("adapter.rank=8", "this value in every trial"),
    ("+experiment=pencil", "what is in `conf/experiment/pencil.yaml`, on top of the defaults"),
    ("+adapter.rank_pattern.to_q=4", "a key that is not in the config yet, with `+`"),
    ("adapter.rank=4,8", "searched: one of these; `choice(4,8)` is the same"),
    ("optimizer=choice(adamw,lion)", "searched: one of these options, each with its own space"),
    ("optimizer=glob(adamw*)", "searched: every option of the group whose name fits; `glob(*)` is all"),
    ("train.batch_size=range(1,4)", "searched: 1, 2 and 3; the end is left out"),
    ("objective.noise_offset=interval(0.0,0.1)", "searched: any number between, both ends included"),
    (
        "optimizer.weight_decay=tag(log,interval(1e-3,1e-1))",
        "searched: the same, evenly in the logarithm; `tag(log,layer,…)` of `optimizer.lr` are rates as layers feel "
        "them, by which rank and alpha set a trial's own ([why](decisions/021-layer-rates-and-recipes.md))",
    ),
    (
        "adapter.rank=tag(int,interval(4,32))",
        "searched: whole numbers, both ends included; `tag(log,int,…)` is both",
    ),
)
"""Each form of an override, and what it means."""


def page() -> str:
    """The whole page.

    Raises:
        ConfigError: one problem for each field without a docstring.
    """
    types: dict[str, type] = typing.get_type_hints(Config)
    of_config = {each.path.partition(".")[2]: each for each in fields_of(Config, "config")}
    order = dict.fromkeys([*default_options(), *types, *groups()])
    rows = [(group, of_config[group].meaning if group in types else _SETS[group]) for group in order]
    tables: dict[str, tuple[str, Table]] = {}  # a module that holds several groups shows its tables with the first
    for group in types:
        for table in tables_of(types[group]):
            tables.setdefault(table.name, (group, table))
    sections = []
    for group, meaning in rows:
        own = [table for owner, table in tables.values() if owner == group]
        sections.append(_section(group, types.get(group), meaning, own))
    return "\n".join([_head(rows), *sections])


def _head(rows: Sequence[tuple[str, str]]) -> str:
    trial = ", ".join(f"`{group}`" for group in TRIAL_GROUPS)
    defaults = ", ".join(f"`{group}={option}`" for group, option in default_options().items())
    parts = [
        "# Every field of the configuration\n",
        _paragraph(_ABOUT.format(command=COMMAND)),
        _table(["group", "what it is"], [(f"[{group}](#{group})", meaning) for group, meaning in rows]),
        "## How values are written\n",
        "The command line and the YAML take [Hydra's](https://hydra.cc) grammar.\n",
        _table(["written", "means"], [(f"`{written}`", means) for written, means in GRAMMAR]),
        *(_paragraph(text.format(trial=trial, defaults=defaults)) for text in (_QUOTING, _SPACE, _DEFAULTS)),
    ]
    return "\n".join(parts)


def _paragraph(text: str) -> str:
    """Text in lines of the house's width, with no break inside code."""
    held = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)
    return textwrap.fill(held, width=120, break_on_hyphens=False, break_long_words=False).replace("\0", " ") + "\n"


def _section(group: str, tp: type | None, meaning: str, tables: Sequence[Table]) -> str:
    parts = [f"## {group}\n"]
    if tp is None:
        parts.append(f"{meaning}\n")
    else:
        parts.append(f"{_first_paragraph(tp)}\n")
        if group == "data":
            several = ", ".join(f"`data.{name}`" for name in OF_TRIALS)
            parts.append(f"One for the whole study; not searched, but for {several}, which may differ by trial.\n")
        elif group not in TRIAL_GROUPS:
            parts.append("One for the whole study; not searched.\n")
        parts.append(_fields_table(group, fields_of(tp, group)))
    return "\n".join([*parts, _options_table(group), *map(_code_table, tables)])


def _first_paragraph(tp: type) -> str:
    return " ".join((tp.__doc__ or "").split("\n\n")[0].split())


def _fields_table(group: str, fields: Sequence[ConfigField]) -> str:
    trial = group in TRIAL_GROUPS
    paths = [each.path for each in fields]
    head = ["field", "meaning", "values", "default", *(["searched"] if trial else [])]
    rows = []
    for each in fields:
        row = [f"`{each.path}`", each.meaning, type_words(each.hint), _default_words(each)]
        rows.append([*row, _searched_words(group, each, paths)] if trial else row)
    return _table(head, rows)


def _default_words(field: ConfigField) -> str:
    if field.holds is not None:
        return ""
    value, written = default_of(field)
    if value is MISSING:
        return "must be set"
    return value_words(value) + (f", from `{written}`" if written and len(written) <= _WRITTEN else "")


def _searched_words(group: str, field: ConfigField, paths: Sequence[str]) -> str:
    own = [each for each in searched_keys() if _belongs(each.key, field.path, paths)]
    chooses = field.path == f"{group}.name" and len(documented_options(group)) > 1
    if chooses:
        own += [each for each in searched_keys() if each.key == group]
    if own:
        return "; ".join(_dimensions(own, field.path))
    if not searchable(field.path):
        return "no"
    return f"can be, by its option: `{group}=a,b`" if chooses else "can be"


def _belongs(key: str, path: str, paths: Sequence[str]) -> bool:
    """Whether a dimension is this field's, or that of a key within its mapping."""
    return key == path or (key not in paths and key.startswith(f"{path}."))


def _dimensions(dimensions: Iterable[SearchedKey], path: str) -> list[str]:
    """One text for each sweep, with the options that it counts with."""
    options: dict[tuple[str, str], list[str]] = {}
    for each in dimensions:
        options.setdefault((each.key, each.sweep), []).extend([each.option] if each.option else [])
    return [
        (f"with {', '.join(names)}: " if names else "") + f"`{sweep if key == path else f'{key}={sweep}'}`"
        for (key, sweep), names in options.items()
    ]


def _options_table(group: str) -> str:
    rows = []
    for option in documented_options(group):
        chosen = default_options().get(group) == option.name
        own = "; ".join(f"{path}: {value_words(value)}" for path, value in option.own.items())
        rows.append([f"`{option.name}`" + (" (default)" if chosen else ""), option.comment, own])
    choice = group if group in default_options() else f"+{group}"
    head = [f"`{choice}=`", "what it is", "other values than the default's"]
    if not any(row[2] for row in rows):
        head, rows = head[:2], [row[:2] for row in rows]
    return _table(head, rows)


def _code_table(table: Table) -> str:
    said = [f"`{column}`: {meaning}" for column, meaning in table.columns.items() if meaning]
    head = "\n".join(_paragraph(text) for text in [f"`{table.name}`: {table.meaning}", " ".join(said)] if text)
    return f"{head}\n{_table(['entry', *table.columns], table.rows)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return f"{_rows([head, ['---'] * len(head)])}\n{_rows(rows)}\n"


def _rows(rows: Iterable[Sequence[Any]]) -> str:
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)
