"""Adapters as files for other programs: pure functions on state dicts and metadata, without any model library."""

from train.exports.about import About, about_of, file_title
from train.exports.adapter import Adapter, read_adapter
from train.exports.formats import FILE_FORMATS, KOHYA_FILE, write_format

__all__ = ["FILE_FORMATS", "KOHYA_FILE", "About", "Adapter", "about_of", "file_title", "read_adapter", "write_format"]
