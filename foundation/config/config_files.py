"""Hydra's reading of the YAML: ours in `conf/`, and that of the folders which are searched after it."""

from __future__ import annotations

import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathElement
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf, open_dict

from foundation.config.own_code import refuse_configs_code
from foundation.config.presets import CONF, folders

CONFIG: Final = "config"
"""The root config's name."""
HYDRA_VERSION: Final = "1.3"
"""Whose defaults Hydra keeps to."""
PROVIDER: Final = "presets"
"""What Hydra's search path calls the folders that are not ours."""


class Composed(NamedTuple):
    """What choices of groups make, before values."""

    config: bytes
    """The config, pickled: reading that is six times as fast as a deep copy."""
    options: dict[str, str]
    """The option that counts of each group."""


def config_loader() -> ConfigLoaderImpl:
    """Hydra's own loader of all that is searched now."""
    return _loader(folders())[0]


@lru_cache
def options_of(group: str, searched: tuple[Path, ...]) -> tuple[str, ...]:
    """The options of a config group."""
    return tuple(_loader(searched)[0].get_group_options(group, ObjectType.CONFIG))


def defaults(overrides: tuple[str, ...], searched: tuple[Path, ...] = ()) -> DefaultsList:
    """Which files make the config, in their order; `overrides` choose options of groups."""
    return create_defaults_list(
        repo=_loader(searched)[1],
        config_name=CONFIG,
        overrides_list=OverridesParser.create().parse_overrides(list(overrides)),
        prepend_hydra=True,
        skip_missing=False,
    )


@lru_cache(maxsize=256)
def compose_groups(overrides: tuple[str, ...], searched: tuple[Path, ...]) -> Composed:
    """Return the config of these choices."""
    chosen = defaults(overrides, searched)
    config = _merge(chosen, searched)
    if searched:  # others' files may say what ours never do
        refuse_configs_code(OmegaConf.to_container(config), _hydras())
    OmegaConf.set_struct(config, True)  # an override of a key that is not there is a mistake
    ConfigLoaderImpl._apply_overrides_to_config(chosen.config_overrides, config)
    with open_dict(config):
        del config["hydra"]
    known = chosen.overrides.known_choices
    return Composed(pickle.dumps(config), {group: option for group, option in known.items() if option is not None})


@lru_cache
def _hydras() -> Any:
    """Hydra's own part of the config as our files alone make it."""
    return OmegaConf.to_container(_merge(defaults(()), ()))["hydra"]  # type: ignore[call-overload,index]


def _merge(chosen: DefaultsList, searched: tuple[Path, ...]) -> DictConfig:
    loader, files = _loader(searched)
    return loader._compose_config_from_defaults_list(defaults=chosen.defaults, repo=files)


class _Copies(CachingConfigRepository):
    """A memory of the YAML files of which each reader gets a copy: what is merged first becomes the config itself."""

    def __init__(self, delegate: IConfigRepository) -> None:
        super().__init__(delegate)
        self.pickled: dict[str, bytes] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self.pickled:
            self.pickled[config_path] = pickle.dumps(self.delegate.load_config(config_path))
        found: ConfigResult | None = pickle.loads(self.pickled[config_path])
        return found


@lru_cache
def _loader(searched: tuple[Path, ...] = ()) -> tuple[ConfigLoaderImpl, CachingConfigRepository]:
    """Hydra's loader of `conf/` and of the folders to search after it, and a memory of the YAML files it has read."""
    version.setbase(HYDRA_VERSION)
    path = create_config_search_path(str(CONF))
    *before, schema = (each for each in path.get_path() if each.provider != PROVIDER)
    path.get_path()[:] = [*before, *(SearchPathElement(PROVIDER, str(folder)) for folder in searched), schema]
    loader = ConfigLoaderImpl(path)
    loader.ensure_main_config_source_available()
    return loader, _Copies(loader.repository)
