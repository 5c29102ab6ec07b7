"""Models and configs that bring code of their own are refused before any of it is looked at.

A model's folder may name code in it (`auto_map`, for transformers; a component's own module, for diffusers, which
imports whatever a `model_index.json` names, also from the folder one works in). A command line of Hydra's may name
any callable there is. Nothing of this is ever needed here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from foundation.errors import BaseModelError, ConfigError
from foundation.files.documents import as_mapping, read_json

NO_CODE: Final = {"trust_remote_code": False}
"""For every `from_pretrained`: without it transformers asks whether to run what it finds."""
_END: Final = ", which is never run; name a model that transformers and diffusers know by themselves"
_LIBRARIES: Final = ("diffusers", "transformers")
"""Where the classes of models come from."""
NOT_FOR_US: Final = "Hydra's own settings are not for this command; it needs none of them"
_KEY: Final = "auto_map"
_INDEX: Final = "model_index.json"
_HYDRAS: Final = ("mode", "verbose")
"""What of Hydra's own config may be set."""
_SHOWING: Final = ("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "--resolve", "-p", "--package")
_RUNNING: Final = ("-i", "--info", "-m", "--multirun", "-r", "--run")
"""Hydra's flags that read no other files than ours."""


def refuse_models_code(location: str, what: str) -> None:
    """Look through the configs of a model's or a pipeline's folder; what is no folder here is left to its loader.

    `what` is what a person calls it, such as `base.path`.

    Raises:
        BaseModelError: one of them asks for code that is not transformers' or diffusers'.
    """
    folder = Path(location)
    if not folder.is_dir():
        return
    for file in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        config = _read(file)
        if _KEY in config:
            raise BaseModelError(
                f"{what} {location}: {file.relative_to(folder)} asks for code of its own ({_KEY}){_END}"
            )
        if file.name == _INDEX:
            refuse_pipelines_code(config, f"{what} {location}")


def refuse_pipelines_code(index: Mapping[str, Any], who: str) -> None:
    """Look through what a `model_index.json` holds.

    Raises:
        BaseModelError: it names a class that is not transformers' or diffusers'.
    """
    for part, said in index.items():
        named = said if isinstance(said, list) else [said] if part == "_class_name" else None
        if not named:
            continue
        library = named[0] if part != "_class_name" else ("diffusers" if len(named) == 1 else named[0])
        if library is not None and not _is_known(str(library)):
            raise BaseModelError(f"{who}: {_INDEX} asks for code of {library} as its {part}{_END}")


def refuse_hydras_code(arguments: Iterable[str]) -> None:
    """Look through a command line before Hydra does.

    Raises:
        ConfigError: a line for each argument that changes what Hydra runs or where it reads.
    """
    if problems := [line for argument in arguments if (line := _problem(argument))]:
        raise ConfigError(problems)


def changes_hydra(key: str, package: str | None = None) -> bool:
    """Whether an override of this key, or a group put into this package, changes what Hydra itself does."""
    return any(_is_hydras(name) for name in (key, package or ""))


def refuse_configs_code(config: Any, hydras: Any) -> None:
    """Look through a composed config for what Hydra would run.

    `hydras` is its part `hydra` as our own files alone make it.

    Raises:
        ConfigError: that part is another one, or a key is Hydra's `_target_`.
    """
    problems = [f"{key} must be left out: a config names no code" for key in _targets(config) if key[:6] != "hydra."]
    if changed := [key for key, value in config["hydra"].items() if hydras.get(key) != value]:
        problems.append(f"a config sets hydra.{changed[0]}: {NOT_FOR_US}")
    if problems:
        raise ConfigError(problems)


def _targets(value: Any, path: str = "") -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        if key == "_target_":
            yield f"{path}{key}"
        yield from _targets(each, f"{path}{key}.")


def _is_hydras(name: str) -> bool:
    first, _, rest = name.replace("/", ".").strip(".").partition(".")
    return (first == "hydra" and rest not in _HYDRAS) or "_target_" in name.split(".")


def _problem(argument: str) -> str | None:
    said, _, value = argument.partition("=")
    if argument.startswith("-"):
        known = said in (*_SHOWING, *_RUNNING)
        return None if known else f"{argument}: {said} is no flag of this command"
    if "=" not in argument and not argument.startswith("~"):
        return None  # a flag's value; as an override it is none
    key, _, package = said.lstrip("+~").partition("@")
    if changes_hydra(key, package.rpartition(":")[2]):
        return f"{argument}: {NOT_FOR_US}"
    if "." not in key and ".." in value.split("/"):
        return f"{argument}: an option is a file of conf/{key}, got a path out of it"
    return None


def _is_known(library: str) -> bool:
    """Whether it is one of the libraries, or one of diffusers' pipelines, which have models of their own."""
    if library in _LIBRARIES:
        return True
    found = importlib.util.find_spec("diffusers")
    places = (found.submodule_search_locations or []) if found else []
    return library.isidentifier() and any((Path(place) / "pipelines" / library).is_dir() for place in places)


def _read(file: Path) -> Mapping[str, Any]:
    """What a config holds; nothing where it is a list, such as some tokenizers have.

    Raises:
        BaseModelError: it cannot be read. Its loader might read it all the same, and what was not seen is not run.
    """
    value = read_json(file, BaseModelError)
    if isinstance(value, dict):
        return value
    if file.name.endswith(("config.json", _INDEX)):
        as_mapping(value, str(file), BaseModelError)
    return {}
