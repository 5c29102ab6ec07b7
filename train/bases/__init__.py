"""Model families: what the pack needs to know of a base, behind one port."""

from train.bases.port import Base
from train.bases.registry import load_base

__all__ = ["Base", "load_base"]
