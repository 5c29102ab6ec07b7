"""What commands about one study are given: its name, and keys beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foundation.config.keyed import is_keyed, read_keyed


def read_named_study(arguments: Sequence[str], known: Sequence[str]) -> tuple[str, dict[str, str], list[str]]:
    """Read a study's name and the `known` keys, with a line for each mistake; the name is empty where it is one."""
    words = [argument for argument in arguments if not is_keyed(argument)]
    keys, problems = read_keyed([argument for argument in arguments if is_keyed(argument)], known, (), ("folder",))
    if len(words) == 1:
        return words[0], keys, problems
    return "", keys, [*problems, f"name one study, got {', '.join(words) or 'none'}"]


def read_switch(keys: Mapping[str, str], name: str, problems: list[str]) -> bool:
    """Whether a key is true, false where it is not given; what is neither is noted in `problems`."""
    value = keys.get(name, "false")
    if value not in ("true", "false"):
        problems.append(f"{name} must be true or false, got {value}")
    return value == "true"
