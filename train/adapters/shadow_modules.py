"""Twins of modules: PEFT changes a twin's tree, and the shared base keeps its own."""

from __future__ import annotations

from torch import nn


def shadow_module(module: nn.Module) -> nn.Module:
    """A tree of modules like this one, which holds the very same parameters and buffers, and costs next to nothing.

    What is put into the twin's tree is not in the module's. The twin is for looking into, not for running: its
    modules have lost what was set on a module as its own `forward`.
    """
    return _twin_of(module, {})


def _twin_of(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    if id(module) in made:
        return made[id(module)]
    twin = made[id(module)] = module.__class__.__new__(module.__class__)
    twin.__dict__.update(module.__dict__)
    twin.__dict__.pop("forward", None)
    twin.__dict__["_modules"] = {
        name: None if child is None else _twin_of(child, made) for name, child in module._modules.items()
    }
    return twin
