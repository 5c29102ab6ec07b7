"""Model families: what the pack needs to know of a base, behind one port."""

from train.bases.folder import base_location
from train.bases.port import Base, Saved
from train.bases.registry import check_base, load_base

__all__ = ["Base", "Saved", "base_location", "check_base", "load_base"]
