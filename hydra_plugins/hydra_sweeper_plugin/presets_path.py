"""Lets Hydra list and print a person's own options, too, where it shows our config."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from foundation.config.config_files import PROVIDER
from foundation.config.presets import CONF, folders


class PresetsPath(SearchPathPlugin):
    """Adds the folders of `foundation.config.presets` after our own; other programs' configs are left alone."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """See `SearchPathPlugin`."""
        mains = [each.path.removeprefix("file://") for each in search_path.get_path() if each.provider == "main"]
        for folder in folders() if str(CONF) in mains else ():
            search_path.append(provider=PROVIDER, path=str(folder))
