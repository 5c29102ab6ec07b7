"""Adapters as files for other programs: pure functions on state dicts and metadata, without any model library."""

from train.exports.about import About, about_of, file_title
from train.exports.adapter import Adapter, read_adapter
from train.exports.formats import FILE_FORMATS, KOHYA_FILE, readers_of, takes_base, write_format, write_full
from train.exports.layers import BaseLayers
from train.exports.programs import Readers

__all__ = [
    "FILE_FORMATS",
    "KOHYA_FILE",
    "About",
    "Adapter",
    "BaseLayers",
    "Readers",
    "about_of",
    "file_title",
    "read_adapter",
    "readers_of",
    "takes_base",
    "write_format",
    "write_full",
]
