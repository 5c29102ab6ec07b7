"""Files and folders that the config names: found on a node, or fetched there once by the hash of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from foundation.bases.folder import EMBEDDED
from foundation.files.durable import new_folder
from foundation.files.sums import digest
from sweeper.launchers.ray.words import Asset
from sweeper.records.config import Config
from sweeper.records.lease import making

PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "base": ("path", "parts"),
    "data": ("path", "validation_path", "mask_path", "regularization_path"),
    "eval": ("clip", "image_features", "style_features", "identity_features"),
}
"""Fields that may name files which workers read."""
PIECE: Final = 64 * 2**20
"""Bytes that travel at once."""
Fetch = Callable[[str, int], bytes]
"""A piece of an asset's file, by its path there and the offset."""


def with_whole_paths(config: Config) -> Config:
    """The same with each path that is there absolute, as it holds in every folder."""
    for group, names in PATHS.items():
        own = getattr(config, group)
        found = {name: str(Path(getattr(own, name)).absolute()) for name in names if _is_there(getattr(own, name))}
        config = _with(config, group, found)
    folder = str(Path(config.study.folder).absolute())
    return replace(config, study=replace(config.study, folder=folder))


def assets_of(config: Config) -> tuple[Asset, ...]:
    """What the config names and what is there, with a hash of its content."""
    return tuple(
        _asset(group, name, Path(path))
        for group, names in PATHS.items()
        for name in names
        if _is_there(path := getattr(getattr(config, group), name))
    )


def with_assets(
    config: Config, assets: Sequence[Asset], store: Path, fetch: Callable[[int, str, int], bytes]
) -> Config:
    """The config as it holds on a node: each asset at its own place if it is the same there, else from `store`.

    `fetch` gets a piece: the asset's index, the path in it, the offset.
    """
    for index, asset in enumerate(assets):
        if not _is_same(asset):
            place = store / "assets" / asset.digest / asset.path.name
            with making(place.parent, lambda: None):
                if not place.exists():
                    _fetch(asset, place, lambda path, offset, index=index: fetch(index, path, offset))  # type: ignore[misc]
            config = _with(config, asset.group, {asset.name: str(place)})
    return config


def copy_in_pieces(files: Sequence[tuple[str, int]], place: Path, fetch: Fetch) -> None:
    """Write files of these sizes to a folder, or the one with an empty path to `place` itself."""
    for name, size in files:
        file = place / name if name else place
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            while out.tell() < size:
                out.write(fetch(name, out.tell()))


def sizes(path: Path) -> tuple[tuple[str, int], ...]:
    """The files of a folder by their paths there, or a file by an empty path, with their sizes."""
    if path.is_file():
        return (("", path.stat().st_size),)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return tuple((file.relative_to(path).as_posix(), file.stat().st_size) for file in files)


def _fetch(asset: Asset, place: Path, fetch: Fetch) -> None:
    with new_folder(place.parent) as fresh:
        copy_in_pieces(asset.files, fresh / place.name, fetch)


def _asset(group: str, name: str, path: Path) -> Asset:
    files = sizes(path)
    hashed = hashlib.sha256()
    for file, size in files:
        hashed.update(f"{file}\0{size}\0{digest(path / file if file else path)}\0".encode())
    return Asset(group, name, path, files, hashed.hexdigest()[:24])


def _is_same(asset: Asset) -> bool:
    """Whether the node has it at the same place: as far as names and sizes tell, else by its content."""
    try:
        if not asset.path.exists() or sizes(asset.path) != asset.files:
            return False
        return _asset("", "", asset.path).digest == asset.digest
    except OSError:
        return False


def _is_there(path: str | None) -> bool:
    return bool(path) and path not in EMBEDDED and Path(path or "").exists()


def _with(config: Config, group: str, values: Mapping[str, Any]) -> Config:
    return replace(config, **{group: replace(getattr(config, group), **values)}) if values else config
