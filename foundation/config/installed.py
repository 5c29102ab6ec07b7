"""What other installed packages bring, by their entry points; a registry holds these beside what is built in.

A package names its things in its `pyproject.toml`:

    [project.entry-points."sweeper.optimizers"]
    adan = "acme.optimizers:ADAN"

Nothing of a package is imported before its thing is chosen, so a broken one is in the way of nobody else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from foundation.errors import ConfigError, first_line

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Installed:
    """One entry point of a package."""

    point: EntryPoint

    @property
    def value(self) -> str:
        """What it points at: `package.module:name`, or a package."""
        return self.point.value

    @property
    def origin(self) -> str:
        """Which package brings it, for messages."""
        package = self.point.dist.name if self.point.dist is not None else "an unknown package"
        return f"the package {package} (its entry point {self.point.name} of {self.point.group})"

    def load(self) -> Any:
        """Import it.

        Raises:
            ConfigError: in one line, whatever it raised.
        """
        try:
            return self.point.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise ConfigError([f"{self.origin} cannot be loaded: {reason}"]) from error


def entry_points_of(group: str) -> Mapping[str, Installed]:
    """The entry points of a group by name; of two of one name the first in what Python searches counts."""
    return _entry_points_of(group, tuple(sys.path))


@lru_cache
def _entry_points_of(group: str, _: tuple[str, ...]) -> Mapping[str, Installed]:
    found: dict[str, Installed] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, Installed(point))
    return found


class Registry(Mapping[str, T], Generic[T]):
    """What is built in and what packages bring, by name. A built-in name is never another package's."""

    def __init__(self, group: str, kind: type[Any], built_in: Mapping[str, T | EntryPoint]) -> None:
        """`group` is that of the entry points, `kind` what each must be; built-in ones may be imported late, too."""
        self.group: Final = group
        self._kind = kind
        self._own = built_in
        self._loaded: dict[Installed, T] = {}

    @property
    def built_in(self) -> tuple[str, ...]:
        """The names of this project."""
        return tuple(self._own)

    def origin(self, name: str) -> str:
        """Which package brings the thing of a name that is not built in, for messages."""
        return entry_points_of(self.group)[name].origin

    def __getitem__(self, name: str) -> T:
        """Return the thing, of a package's imported now.

        Raises:
            KeyError: nothing of this name is there.
            ConfigError: the package's cannot be loaded, or is of another kind.
        """
        own = self._own.get(name)
        if own is not None and not isinstance(own, EntryPoint):
            return own
        point = Installed(own) if own is not None else entry_points_of(self.group)[name]
        if point not in self._loaded:
            value = point.load()
            if not isinstance(value, self._kind):
                kind = f"{self._kind.__module__}.{self._kind.__qualname__}"
                raise ConfigError([f"{point.origin} must be a {kind}, got {point.value}, a {type(value).__name__}"])
            self._loaded[point] = cast(T, value)
        return self._loaded[point]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in entry_points_of(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._own, *entry_points_of(self.group))))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __eq__(self, other: object) -> bool:
        return self is other  # it is part of a field's type, and types are compared; that loads nothing

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True, slots=True)
class NameIn:
    """For a field's type, `Annotated[str, NameIn(REGISTRY)]`: a name in the registry as it is when it is checked."""

    registry: Registry[Any]
    other: str | None = None
    """A word that is allowed beside them."""
    counts: Callable[[Any], bool] | None = None
    """Which of the built-in things may be named, None for all; a package's are not checked, which would import them."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check as pydantic checks a literal, with its type of error."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the built-in names, by which the reference page lists them."""
        names = self._names(self.registry.built_in)
        return {"enum": names, "type": "string"} if names else {"type": "string"}

    def _names(self, names: Iterable[str]) -> list[str]:
        """Those of the registry's names that may be given, and the other word."""
        own, counts = self.registry.built_in, self.counts
        found = [each for each in names if counts is None or each not in own or counts(self.registry[each])]
        return found if self.other is None else [*found, self.other]

    def _check(self, value: object) -> str:
        allowed = self._names(self.registry)
        if not allowed:
            words = "Input should be an entry point of {group}, and no installed package has one"
            raise PydanticCustomError("nothing_installed", words, {"group": self.registry.group})
        if not isinstance(value, str) or value not in allowed:
            known = [repr(name) for name in allowed]
            expected = " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return value
