"""Adapters as files for other programs: pure functions on state dicts and metadata, without any model library."""

from train.exports.about import About, about_of, file_title
from train.exports.adapter import Adapter, read_adapter
from train.exports.formats import FILE_FORMATS, KOHYA_FILE, kohya_web_uis, write_format

__all__ = [
    "FILE_FORMATS",
    "KOHYA_FILE",
    "About",
    "Adapter",
    "about_of",
    "file_title",
    "kohya_web_uis",
    "read_adapter",
    "write_format",
]
