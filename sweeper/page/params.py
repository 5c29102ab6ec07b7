"""Hyperparameters under one name for all trials: Optuna's dimensions, one for each option, are one axis here."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final

from foundation.data.text_files import read_text
from foundation.errors import UserError
from foundation.files.documents import as_mapping, parse_yaml
from sweeper.page.view import ParamView
from train.spec.layer_lr import LAYER_LR

_CHOICE: Final = re.compile(r"choice\((.*)\)")
_CONFIG: Final = "config.yaml"


def short_names(dimensions: Sequence[str]) -> dict[str, str]:
    """Return a name for each dimension: its last word, or all of it where two that can both count would be one.

    `optimizer=lion:weight_decay` and `optimizer=adamw8bit:weight_decay` are never both there: they are weight_decay.
    A learning rate that layers feel is shown as the learning rate that follows.
    """
    last = {name: _last_word(name) for name in dimensions}
    alone = Counter(word for name, word in last.items() if ":" not in name)
    conditional = {word for name, word in last.items() if ":" in name}
    return {
        name: name if alone[word] > 1 or (alone[word] and word in conditional) else word for name, word in last.items()
    }


def trial_params(params: Mapping[str, object], names: Mapping[str, str], lr: float | None) -> dict[str, object]:
    """Return a trial's parameters by their short names; `lr` stands for the one that layers feel."""
    own = {}
    for name, value in params.items():
        is_felt = name.endswith(LAYER_LR)
        own[names.get(name, name)] = lr if is_felt and lr is not None else value
    return own


def read_rate(trial: Path) -> float | None:
    """Return the learning rate of a trial's config; None where it cannot be read.

    Only the section that holds it is parsed: all of the file takes ten times as long, and there may be 200.
    """
    try:
        section = _section(read_text(trial / _CONFIG), "optimizer")
        values = as_mapping(parse_yaml(section, str(trial)) or {}, str(trial))
        rate = as_mapping(values.get("optimizer") or {}, str(trial)).get("lr")
    except (UserError, OSError):
        return None
    return float(rate) if isinstance(rate, int | float) else None


def param_views(
    space: Mapping[str, str],
    names: Mapping[str, str],
    trials: Sequence[Mapping[str, object]],
    shares: Mapping[str, float],
) -> list[ParamView]:
    """Return the parameters that were searched, the most important first.

    `space` says in words what each dimension may be, `names` how it is called here; `trials` are the trials'
    parameters by those names, `shares` the dimensions' importances.
    """
    dimensions = defaultdict(list)
    for name, short in names.items():
        dimensions[short].append(name)
    found = []
    for short, own in dimensions.items():
        words = [space[name] for name in own if name in space]
        taken = [trial[short] for trial in trials if trial.get(short) is not None]
        is_number = bool(taken) and all(isinstance(each, int | float) and not isinstance(each, bool) for each in taken)
        choices = [match[1].split(", ") for each in words if (match := _CHOICE.fullmatch(each))]
        known = [name for name in own if name in shares]
        found.append(
            ParamView(
                name=short,
                kind="number" if is_number else "choice",
                log=is_number and _is_log(words, taken),
                values=sorted(_numbers(choices)) if is_number else _words(choices, taken),
                words="; ".join(_words_on(name, space, len(own) > 1) for name in own if name in space),
                share=sum(shares[name] for name in known) if known else None,
            )
        )
    return sorted(found, key=lambda each: -(each.share or 0.0))


def _words(choices: Sequence[Sequence[str]], taken: Sequence[object]) -> list[str]:
    """What is chosen among, and what was taken, should that be anything else."""
    return list(dict.fromkeys([*chain.from_iterable(choices), *map(_text, taken)]))


def _numbers(choices: Sequence[Sequence[str]]) -> set[float]:
    """Those of what is chosen among that are numbers."""
    found = set()
    for word in chain.from_iterable(choices):
        with suppress(ValueError):
            found.add(float(word))
    return found


def _words_on(name: str, space: Mapping[str, str], is_one_of_many: bool) -> str:
    return f"{name}: {space[name]}" if is_one_of_many else space[name]


def _is_log(words: Sequence[str], taken: Sequence[object]) -> bool:
    """Whether an axis is even in the logarithm: as it is drawn, or, of choices, as they multiply."""
    numbers = [float(each) for each in taken if isinstance(each, int | float)]
    if not numbers or min(numbers) <= 0:
        return False
    return any("log" in each.partition(" to ")[0] for each in words) or (
        all(_CHOICE.fullmatch(each) for each in words) and max(numbers) / min(numbers) >= 4
    )


def _last_word(name: str) -> str:
    word = name.split(":")[-1].split(".")[-1]
    return "lr" if name.endswith(LAYER_LR) else word


def _section(text: str, name: str) -> str:
    """The lines of a section of a YAML file as we write it: its head, and what is indented below."""
    found = re.search(rf"^{name}:.*\n(?:[ ].*\n)*", f"{text}\n", re.MULTILINE)
    return found[0] if found else ""


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
