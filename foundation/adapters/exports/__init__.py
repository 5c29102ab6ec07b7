"""Adapters as files for other programs: pure functions on state dicts and metadata, without any model library."""

from foundation.adapters.exports.about import About, about_of, file_title
from foundation.adapters.exports.adapter import SavedAdapter, read_adapter
from foundation.adapters.exports.formats import (
    FILE_FORMATS,
    KOHYA_FILE,
    readers_of,
    takes_base,
    write_format,
    write_full,
)
from foundation.adapters.exports.layers import BaseLayers
from foundation.adapters.exports.programs import Readers

__all__ = [
    "FILE_FORMATS",
    "KOHYA_FILE",
    "About",
    "BaseLayers",
    "Readers",
    "SavedAdapter",
    "about_of",
    "file_title",
    "read_adapter",
    "readers_of",
    "takes_base",
    "write_format",
    "write_full",
]
