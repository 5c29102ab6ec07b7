"""The base that a LoRA was trained on, opened again where a file is computed from its weights, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from foundation.adapters.exports import BaseLayers, SavedAdapter
from foundation.bases.folder import EMBEDDED, is_file
from foundation.config.home import at_home
from foundation.errors import ConfigError
from foundation.quiet import quiet_libraries
from train.spec import BaseSpec


def location_of_base(config: Mapping[str, Any], named: str | None = None) -> str:
    """Where the base lies, as diffusers takes it: `named`, or what the trial's config names.

    Raises:
        ConfigError: neither does.
    """
    location = named or (config.get("base") or {}).get("path")
    if not location:
        raise ConfigError(["nothing beside the LoRA tells its base; name it: base=FOLDER or a hub id"])
    return str(EMBEDDED.get(location, at_home(location)))


def open_base(config: Mapping[str, Any], named: str | None = None) -> Any:
    """The whole pipeline, in float32, from a folder, a hub id or a checkpoint in one file.

    Raises:
        UserError: it is not known, or does not load.
    """
    location = location_of_base(config, named)
    quiet_libraries()  # before they are imported: some speak at import
    from foundation.adapters.merge.pipeline import open_pipeline
    from foundation.bases.registry import load_plain

    if not is_file(location):
        return open_pipeline(location)
    try:
        spec = TypeAdapter(BaseSpec).validate_python({**(config.get("base") or {}), "path": location})
    except ValidationError as error:
        raise ConfigError(
            [f"base {location} is one file, and the config beside the LoRA does not tell what it is"]
        ) from error
    return load_plain(spec)


def open_parts_of_base(adapter: SavedAdapter, config: Mapping[str, Any], named: str | None = None) -> Any:
    """Those of its models that the adapter is in.

    Raises:
        UserError: as `open_base`.
    """
    location = location_of_base(config, named)
    if is_file(location):
        return open_base(config, named)
    quiet_libraries()
    from foundation.adapters.merge.pipeline import open_parts

    return open_parts(location, adapter.parts)


def layers_of_base(adapter: SavedAdapter, config: Mapping[str, Any], named: str | None = None) -> BaseLayers:
    """Its layers, for a file that is computed from their weights, too.

    Raises:
        UserError: as `open_base`.
    """
    pipe = open_parts_of_base(adapter, config, named)
    from foundation.adapters.merge.difference import base_layers

    return base_layers(pipe)
