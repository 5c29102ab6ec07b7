"""One trial's adapter inside the shared base. PEFT is the truth for names, initialisation and meaning."""

from train.adapters.adapter import TrialAdapter
from train.adapters.part import ModuleAdapter

__all__ = ["ModuleAdapter", "TrialAdapter"]
