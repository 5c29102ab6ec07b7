"""Types and values in plain words, as a person writes them in YAML."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

_KINDS: Final[Mapping[str, str]] = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
}
"""JSON Schema's types in our words."""
_LONG: Final = 60
"""Characters of a value that a table shows whole."""


def type_words(hint: Any) -> str:
    """What a type takes, with its range: `whole number, 1 to 1024`; the range is pydantic's own account of it."""
    schema = TypeAdapter(hint).json_schema()
    return _words(schema, schema.get("$defs", {}))


def value_words(value: Any) -> str:
    """A value as YAML has it, on one line, as code; long texts and lists are cut."""
    text = _yaml(value)
    if len(text) <= _LONG or isinstance(value, str):
        return f"`{text if len(text) <= _LONG else text[: _LONG - 1] + '…'}`"
    first = value[0] if isinstance(value, Sequence) else dict([next(iter(value.items()))])
    return f"{len(value)}, the first `{_yaml(first).strip('{}')}`"


def _yaml(value: Any) -> str:
    if isinstance(value, str):
        return value if value and not value.isspace() else f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_yaml(each) for each in value) + "]"
    return f"{value:.12g}" if isinstance(value, float) else json.dumps(value)


def _words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _words(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        chosen = [each for each in schema["anyOf"] if _literals(each)]
        others = [_words(each, defs) for each in schema["anyOf"] if not _literals(each)]
        words = _words({"enum": [value for each in chosen for value in _literals(each)]}, defs)
        return " or ".join(dict.fromkeys([words, *others] if chosen else others))
    if _literals(schema):
        return ", ".join(f"`{_yaml(each)}`" for each in _literals(schema))
    kind = schema.get("type", "")
    if kind == "array":
        return _list_words(schema, defs)
    if kind == "object":
        return _mapping_words(schema, defs)
    return ", ".join([_KINDS.get(kind, "any value"), *_range_words(schema)])


def _literals(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))


def _list_words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        return "list: " + "; ".join(_words(each, defs) for each in schema["prefixItems"])
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    count = f" of {least} to {most}" if most else f" of {least} or more" if least else ""
    return f"list{count}, each: {_words(schema.get('items', {}), defs)}"


def _mapping_words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "properties" in schema:
        return "settings: " + ", ".join(f"`{name}`" for name in schema["properties"])
    values = schema.get("additionalProperties")
    return f"mapping of names, each to: {_words(values if isinstance(values, Mapping) else {}, defs)}"


def _range_words(schema: Mapping[str, Any]) -> list[str]:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        words = [f"{_end(low)} to {_end(high)}"]
    else:
        ends = (("≥", low), (">", above), ("≤", high), ("<", below))
        words = [f"{sign} {_end(end)}" for sign, end in ends if end is not None]
    if "multipleOf" in schema:
        words.append(f"a multiple of {_yaml(schema['multipleOf'])}")
    if "pattern" in schema:
        words.append(f"of the form `{schema['pattern']}`")
    if "maxLength" in schema:
        words.append(f"{schema.get('minLength', 0)} to {schema['maxLength']} characters")
    elif schema.get("minLength"):
        words.append("not empty" if schema["minLength"] == 1 else f"{schema['minLength']} characters or more")
    return words


def _end(number: float) -> str:
    """An end of a range; large powers of two, where seeds end, as such."""
    power = math.log2(number) if number > 0 else 0.0
    return f"2^{power:.0f}" if power > 16 and power == int(power) else _yaml(number)
