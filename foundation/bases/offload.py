"""What of a base leaves the device while it is not at work.

Whole parts (denoiser, text encoders, autoencoder) come when they are called and go when another one is. The denoiser's
blocks may come and go one by one instead, by diffusers' group offloading: its hooks, its streams. Which modules are a
block, and in what order they come in a backward pass, is decided here; diffusers offloads for sampling alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from diffusers.hooks.group_offloading import (
    GroupOffloadingConfig,
    GroupOffloadingHook,
    GroupOffloadingType,
    LazyPrefetchGroupOffloadingHook,
    ModuleGroup,
)
from diffusers.hooks.hooks import HookRegistry
from torch import nn

from foundation.devices import CPU, KINDS

_GROUP: Final = "group_offloading"
_PREFETCH: Final = "lazy_prefetch_group_offloading"
"""What diffusers calls its hooks, by which it finds them."""


class Parts:
    """Parts of a pipeline that are on the device only while they are at work, at most one of them at a time."""

    def __init__(self, parts: Sequence[nn.Module], device: torch.device) -> None:
        self._parts = list(parts)
        self._device = device
        self._present: nn.Module | None = None
        for part in self._parts:
            part.to(CPU)
            add_hook_to_module(part, _Arrival(self, device))

    def enter(self, part: nn.Module) -> None:
        """Bring a part to the device; another one leaves before."""
        if part is self._present or part not in self._parts:
            return
        self.leave()
        part.to(self._device)
        self._present = part

    def make_room(self, module: nn.Module, _: Any) -> None:
        """Before a module runs: let it be on the device if it is one of the parts, else none of them."""
        self.enter(module) if module in self._parts else self.leave()

    def leave(self) -> None:
        """Let none be on the device."""
        if self._present is not None:
            self._present.to(CPU)
            self._present = None

    def keep(self, module: nn.Module) -> None:
        """Let all parts that are in a module, or are it, stay on the device from now on: they are trained."""
        within = set(module.modules())
        for part in [part for part in self._parts if part in within]:
            self._parts.remove(part)
            if part is self._present:
                self._present = None
            part.to(self._device)


class _Arrival(ModelHook):  # type: ignore[misc]
    """Before a part runs it comes to the device. Autoencoders call this before `encode` and `decode`, too."""

    def __init__(self, parts: Parts, device: torch.device) -> None:
        self._parts, self._device = parts, device

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        self._parts.enter(module)
        return send_to_device(args, self._device), send_to_device(kwargs, self._device)


class Blocks:
    """Blocks of a module that are on the device only while they are at work; the next one is on its way meanwhile.

    All else of the module is on the device. In training blocks must be checkpoints of activations: autograd needs a
    block's weights for its gradients, and finds them where the block has just run again.
    """

    def __init__(self, module: nn.Module, blocks: Mapping[str, nn.Module], device: torch.device) -> None:
        stream = _new_stream(device)
        self._config = GroupOffloadingConfig(
            onload_device=device,
            offload_device=CPU,
            offload_type=GroupOffloadingType.BLOCK_LEVEL,
            non_blocking=stream is not None,
            record_stream=stream is not None,  # autograd lets go of weights that the device may still read
            low_cpu_mem_usage=False,
            stream=stream,
        )
        self._module = module
        self._is_backward = False
        self._last: ModuleGroup | None = None
        """In a backward pass the block that ran last, whose gradients may still be computed."""
        held = set()
        for name, block in blocks.items():
            self._hook(block, name, list(block.parameters()), list(block.buffers()))
            held |= {*block.parameters(), *block.buffers()}
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor not in held:
                tensor.data = tensor.data.to(device)
        if stream is not None:  # it learns from the first pass in what order they come
            self._hook(module, "", [], [])
            HookRegistry.check_if_exists_or_initialize(module).register_hook(
                LazyPrefetchGroupOffloadingHook(), _PREFETCH
            )

    def _hook(self, module: nn.Module, name: str, parameters: list[Any], buffers: list[Any]) -> None:
        """Tensors are named one by one: what is put on a block later, an adapter, stays on the device."""
        group = ModuleGroup(
            modules=[],
            parameters=parameters,
            buffers=buffers,
            offload_device=CPU,
            onload_device=self._config.onload_device,
            offload_leader=module,
            onload_leader=module,
            non_blocking=self._config.non_blocking,
            stream=self._config.stream if name else None,
            record_stream=self._config.record_stream if name else False,
            group_id=name,
        )
        registry = HookRegistry.check_if_exists_or_initialize(module)
        registry.register_hook(_BlockHook(group, self), _GROUP)

    @property
    def config(self) -> GroupOffloadingConfig:
        """Of all of them."""
        return self._config

    @property
    def is_backward(self) -> bool:
        """Whether a block that runs now does so for its gradients, which are computed after it has ended."""
        return self._is_backward

    def run_again(self, group: ModuleGroup | None) -> None:
        """Note that a block is about to run again, or that none is: gradients of the one before have been computed.

        Autograd computes them in the reverse order of the forward pass, as far as one device is concerned.
        """
        last, self._last = self._last, group
        if last is not None and last is not group:
            last.offload_()

    @contextmanager
    def backward(self) -> Iterator[None]:
        """Within the block a backward pass runs: each block lets the one before it come, not the one after it."""
        hooks = self._in_order()
        self._is_backward = True
        after = [hook.next_group for hook in hooks]
        before = None
        for hook in hooks:
            hook.next_group, before = before, hook.group
        try:
            yield
        finally:
            self._is_backward = False
            self.run_again(None)
            for hook, group in zip(hooks, after, strict=True):
                hook.next_group = group

    def _in_order(self) -> list[GroupOffloadingHook]:
        """Of the blocks, as the first forward pass came to them; none without streams, which nothing is fetched by."""
        found: list[GroupOffloadingHook] = []
        group = _hook_of(self._module).next_group if self._config.stream is not None else None
        while group is not None:
            found.append(_hook_of(group.onload_leader))
            group = found[-1].next_group
        return found


def _new_stream(device: torch.device) -> Any:
    """One on which weights come while the device computes; None where there are none to be had."""
    has = device.type in KINDS and device.type != "mps"
    return torch.get_device_module(device).Stream(device) if has else None


class _BlockHook(GroupOffloadingHook):  # type: ignore[misc]
    """diffusers' own, but in a backward pass, where a block has not ended when its forward has."""

    def __init__(self, group: ModuleGroup, blocks: Blocks) -> None:
        super().__init__(group, config=blocks.config)
        self._all = blocks

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if self._all.is_backward:
            self._all.run_again(self.group)
        return super().pre_forward(module, *args, **kwargs)

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        return output if self._all.is_backward else super().post_forward(module, output)


def _hook_of(module: Any) -> GroupOffloadingHook:
    hook: GroupOffloadingHook = HookRegistry.check_if_exists_or_initialize(module).get_hook(_GROUP)
    return hook


def blocks_of(module: nn.Module, pattern: str) -> dict[str, nn.Module]:
    """The modules whose whole name fits the pattern."""
    return {name: each for name, each in module.named_modules() if re.fullmatch(pattern, name)}


def executing_on(pipeline: Any, device: torch.device) -> Any:
    """The pipeline, which makes latents and embeddings on this device wherever its parts are."""
    own = type(pipeline)
    pipeline.__class__ = type(own.__name__, (own,), {"_execution_device": property(lambda _: device)})
    return pipeline
