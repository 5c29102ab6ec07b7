"""Updates that no kind of PEFT's holds, as other programs write them: what each adds to a layer's weight.

W is a layer's weight, (out, in) or (out, in, k, k); ΔW is what a change adds to it at strength 1.

Sources: KohakuBlueleaf/LyCORIS lycoris/modules/{locon,loha,lokr,ia3,diag_oft,full}.py; ComfyUI
comfy/weight_adapter/{lora,loha,lokr,oft}.py; Liu et al. 2024, DoRA, equation 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

ALPHA: Final = "alpha"
MAGNITUDE: Final = "dora_scale"
BIAS: Final = "diff_b"
"""What is added to the layer's bias."""
NORMS_ENTRY: Final = "dora_scale_norms"
BASE_NORMS: Final = "base"
"""Our own header entry, and its value where the norms of outputs' magnitudes are of W, as ComfyUI and Forge take them.

Without it they are of W + ΔW, which is what LyCORIS and kohya's trainers train.
"""
_SQUARE_BLOCKS: Final = 3
"""Dimensions of OFT's blocks; BOFT's have one more."""


@dataclass(frozen=True, slots=True)
class LayerShare:
    """Which outputs of a layer of another program's model are those of one of diffusers' layers."""

    number: int
    shares: tuple[int, ...]
    """Outputs of each of the layers that are one there, in widths of the input."""

    def rows(self, width: int) -> slice:
        """The rows of the fused weight, whose input has `width` features."""
        start = sum(self.shares[: self.number]) * width
        return slice(start, start + self.shares[self.number] * width)


@dataclass(frozen=True, slots=True)
class Change:
    """What a file says of one layer."""

    kind: str
    """One of `CHANGE_KINDS`."""
    tensors: Mapping[str, Tensor]
    """By their names in the file, without the layer's."""
    share: LayerShare | None = None
    """Set where the file's layer is several of diffusers'."""
    swapped: bool = False
    """Whether the file has the two halves of the outputs in the other order."""
    base_norms: bool = False
    """Whether the norms of outputs' magnitudes are of W, not of W + ΔW."""

    def update(self, weight: Tensor) -> Tensor:
        """ΔW, in float32 or better and the weight's shape.

        Raises:
            ValueError, RuntimeError: the tensors are not such as this weight could have.
        """
        own = {name: tensor.to(weight.device, torch.float32) for name, tensor in self.tensors.items()}
        base = weight.detach().float()
        added = self._in_place(CHANGE_KINDS[self.kind].update(own, base), base)
        if (magnitude := own.get(MAGNITUDE)) is None:
            return added
        return self._with_magnitude(base + added, magnitude, base) - base

    def bias(self, width: int) -> Tensor | None:
        """What is added to the bias of the layer, whose input has `width` features."""
        if (bias := self.tensors.get(BIAS)) is None:
            return None
        return self._own_outputs(bias.flatten(), width)

    def _own_outputs(self, tensor: Tensor, width: int) -> Tensor:
        """The rows of the file's layer that are this one's, in its order."""
        own = tensor if self.share is None else tensor[self.share.rows(width)]
        return torch.cat(own.chunk(2)[::-1]) if self.swapped else own

    def _in_place(self, added: Tensor, base: Tensor) -> Tensor:
        """The update where diffusers has it, in the weight's shape."""
        added = self._own_outputs(added, base[0].numel())
        if added.numel() != base.numel() or len(added) != len(base):
            raise ValueError(f"{tuple(added.shape)} is no update of {tuple(base.shape)}")
        return added.reshape(base.shape)

    def _with_magnitude(self, changed: Tensor, magnitude: Tensor, base: Tensor) -> Tensor:
        """m · (W + ΔW) / ‖W + ΔW‖, norms over each output's weights, or over each input's where m is one for each."""
        outputs, inputs = changed.shape[:2]
        of_outputs = len(magnitude) == magnitude.numel()
        if of_outputs:
            magnitude = self._own_outputs(magnitude.flatten(), inputs)
        fused = self.share is not None or self.swapped
        if magnitude.numel() != (outputs if of_outputs else inputs) or (fused and not of_outputs):
            raise ValueError(f"{tuple(magnitude.shape)} is no magnitude of {tuple(changed.shape)}")
        axes = tuple(range(1, changed.ndim)) if of_outputs else (0, *range(2, changed.ndim))
        normed = base if self.base_norms and of_outputs else changed
        norm = torch.linalg.vector_norm(normed, dim=axes, keepdim=True)
        decomposed: Tensor = magnitude.reshape(norm.shape) * changed / norm
        return decomposed


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """One way to say what is added to a weight."""

    title: str
    """What people call it."""
    needs: frozenset[str]
    """Tensors without which it is not this kind."""
    may: frozenset[str]
    """Tensors that it may have beside these."""
    update: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    """ΔW of its tensors and W, with as many rows as the file's layer has outputs."""
    fuses: bool = True
    """Whether the rows of ΔW hang on no others, so that a fused layer's can be split."""


def scale_of(tensors: Mapping[str, Tensor], rank: int) -> float:
    """alpha / rank; 1 where the file has no alpha, as all programs take it."""
    return float(tensors[ALPHA].double()) / rank if ALPHA in tensors else 1.0


def _locon(t: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """Down to the rank, a small convolution there, and up."""
    down, mid, up = t["lora_A"].flatten(1), t["lora_mid"], t["lora_B"].flatten(1)
    return torch.einsum("oi,ijkl,jn->onkl", up, mid, down) * scale_of(t, len(down))


def _lora(t: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    down, up = t["lora_A"].flatten(1), t["lora_B"].flatten(1)
    return up @ down * scale_of(t, len(down))


def _loha(t: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    one, other = (_product(t.get(f"hada_t{i}"), t[f"hada_w{i}_a"], t[f"hada_w{i}_b"]) for i in (1, 2))
    return one * other * scale_of(t, len(t["hada_w1_b"]))


def _lokr(t: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """The Kronecker product of two factors, each whole or a product; the scale is 1 where both are whole."""
    first = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
    second = t["lokr_w2"] if "lokr_w2" in t else _product(t.get("lokr_t2"), t["lokr_w2_a"], t["lokr_w2_b"])
    rank = next((len(t[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in t), None)
    first = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim))
    return torch.kron(first, second.contiguous()) * (1.0 if rank is None else scale_of(t, rank))


def _product(core: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
    return a @ b if core is None else torch.einsum("ijkl,jr,ip->prkl", core, b, a)


def _full(t: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    return t["diff"]


def _ia3(t: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """A factor for each input or output, less 1."""
    factor = t["weight"].flatten()
    along = 1 if bool(t["on_input"]) else 0
    return weight * factor.reshape([-1 if axis == along else 1 for axis in range(weight.ndim)])


def _oft(t: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """Blocks of outputs, each turned by Cayley's map of its skew part; alpha bounds the norm of all, 0 does not."""
    blocks = t["oft_blocks"]
    if blocks.ndim != _SQUARE_BLOCKS:
        raise ValueError("these are blocks of BOFT")
    skew = blocks - blocks.mT
    bound = float(t[ALPHA]) * len(weight) if ALPHA in t else 0.0
    norm = float(skew.norm())
    if 0 < bound < norm:
        skew = skew * (bound / norm)
    eye = torch.eye(skew.shape[-1], device=skew.device)
    turn = (eye + skew) @ torch.linalg.inv(eye - skew)
    rows = weight.reshape(*blocks.shape[:2], -1)
    turned = torch.einsum("knm,knp->kmp", turn, rows).reshape(weight.shape)
    if "rescale" in t:
        turned = turned * t["rescale"].reshape(-1, *[1] * (weight.ndim - 1))
    return turned - weight


_SCALED: Final = frozenset({ALPHA, MAGNITUDE, BIAS})
CHANGE_KINDS: Final[Mapping[str, ChangeKind]] = {
    "lora": ChangeKind("LoRA", frozenset({"lora_A", "lora_B"}), _SCALED, _lora),
    "locon": ChangeKind("LoCon with a core", frozenset({"lora_A", "lora_B", "lora_mid"}), _SCALED, _locon),
    "loha": ChangeKind(
        "LoHa",
        frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
        _SCALED | {"hada_t1", "hada_t2"},
        _loha,
    ),
    "lokr": ChangeKind(
        "LoKr",
        frozenset(),
        _SCALED | {f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
        _lokr,
    ),
    "full": ChangeKind("full change", frozenset({"diff"}), frozenset({BIAS}), _full),
    "ia3": ChangeKind("IA3", frozenset({"weight", "on_input"}), frozenset(), _ia3, fuses=False),
    "oft": ChangeKind("OFT", frozenset({"oft_blocks"}), frozenset({ALPHA, "rescale"}), _oft, fuses=False),
}
"""By the names that LyCORIS gives them; tensors by PEFT's names where it has such."""
