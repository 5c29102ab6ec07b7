"""One trial's adapter inside the shared base. PEFT is the truth for names, initialisation and meaning."""

from train.adapters.adapter import Adapter
from train.adapters.part import Part

__all__ = ["Adapter", "Part"]
