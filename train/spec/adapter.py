"""The adapter that a trial trains: the `adapter` group of the configuration."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field

from foundation.config.parse import did_you_mean, show
from foundation.errors import ConfigError
from train.spec.adapter_kinds import ADAPTER_KINDS, AdapterName

PRESETS: Final = ("attention", "attention+ff", "all-linear", "all")

_Rank = Annotated[int, Field(ge=1, le=1024)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, lt=1)]

_INITS: Final = ("gaussian", "orthogonal", "mica", "olora", "pissa")
_PISSA_BY_ITERATIONS: Final = r"pissa_niter_\d+"
_REFUSED_INITS: Final = {
    False: "it starts away from the base, which PEFT means for its own tests",
    "eva": "it wants the activations of a first pass over the data, and ranks that differ from layer to layer by them",
    "corda": "it wants the activations of a first pass over the data",
    "lora_ga": "it wants gradients of a first pass over the data",
    "loftq": "it quantises the base anew, which all trials share",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterSpec:
    """The adapter that a trial trains; PEFT gives the words their meaning.

    Each kind takes those of the fields that mean something for it, which are the keys of its file in `conf/adapter`.
    """

    name: AdapterName = "lora"
    """The kind of adapter. DoRA, rsLoRA, PiSSA and OLoRA are LoRA with `dora`, `rslora` or `init` set."""
    rank: _Rank = 16
    """Rank of the update B·A, 1 to 1024; usually 4 to 64 (loha: its two factors' rank, whose product has up to rank²;
    lokr: of the second factor where it is decomposed; adalora: before the budget falls)."""
    alpha_ratio: _Positive = 1.0
    """alpha / rank: the update's scale (with rslora: alpha / √rank scales it); usually 0.25 to 2."""
    dropout: _Share = 0.0
    """Dropout, usually 0 to 0.3: of the adapter's input (lora, locon, adalora), of rows of its update (loha, lokr), or
    of its blocks (oft)."""
    targets: str | tuple[str, ...] = "attention"
    """Which layers are adapted. `attention`: attention's projections; `attention+ff`: feed-forward layers, too;
    `all-linear`: every linear layer; `all`: all linear layers and convolutions of the blocks. Or a list of module
    names, or one regular expression over whole names, as '.*attn2[.]to_[kv]'."""
    exclude: str | tuple[str, ...] = ()
    """Layers of the denoiser that are left out, named as a list or a regular expression, as in `targets`."""
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of the denoiser's blocks that are adapted, counted in the list `layers_pattern`; none are all."""
    layers_pattern: str | None = None
    """The name of the list of blocks that `layers` counts in, as `transformer_blocks`; None: the first in a name."""
    init: bool | str = True
    """How a LoRA starts. true: PEFT's default, `gaussian`: A from a normal distribution, both with B = 0; `orthogonal`:
    A and B orthogonal; `mica`: B from the base's smallest singular vectors, and frozen; `pissa`, `pissa_niter_<n>` (by
    n subspace iterations, quicker) and `olora`: from the base's largest singular vectors or QR, the update is then what
    was learned beyond them. lokr: true or `lycoris`, which starts the other factor at 0."""
    rslora: bool = False
    """Scale by alpha / √rank instead of alpha / rank."""
    dora: bool = False
    """Learn each weight's magnitude apart from its direction (DoRA); slower, as such adapters share no product."""
    lora_bias: bool = False
    """Give B a bias of its own; slower, as such adapters share no product."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """PEFT's training of the base's own biases: only `none`, since all trials share the base; see `lora_bias`."""
    modules_to_save: tuple[str, ...] = ()
    """PEFT's training of whole modules: none, since all trials share the base."""
    rank_pattern: dict[str, _Rank] = field(default_factory=dict)
    """Other ranks for some layers: the end of a layer's name, or a regular expression, to its rank."""
    alpha_pattern: dict[str, _Positive] = field(default_factory=dict)
    """Other alphas (not ratios) for some layers, named as in `rank_pattern`."""
    conv_rank: _Rank | None = None
    """Rank in convolutions with a window wider than 1 × 1, where these are adapted; None is as `rank`."""
    conv_alpha_ratio: _Positive | None = None
    """alpha / rank in these; None is as `alpha_ratio`."""
    text_encoder: bool = False
    """Train the text encoder, too: its attention, and what else of a preset in `targets` it has."""
    text_encoder_rank: _Rank | None = None
    """Rank in the text encoder, where that is trained; None is as `rank`."""
    module_dropout: _Share = 0.0
    """loha, lokr: the chance that a layer's whole adapter is left out of a pass, usually 0 to 0.1."""
    tucker: bool = False
    """loha, lokr: decompose wide convolutions along their window, too: fewer parameters."""
    factor: Annotated[int, Field(ge=-1)] = -1
    """lokr: size of the first Kronecker factor, usually 4 to 16, -1 is near the root; smaller has more parameters."""
    decompose_both: bool = False
    """lokr: decompose the first factor, too, where that saves parameters."""
    block_size: Annotated[int, Field(ge=2, le=1024)] = 32
    """oft: width of the blocks that are rotated, usually 8 to 64; where it does not divide a layer's width, the next
    number that does."""
    block_share: bool = False
    """oft: one rotation for all blocks of a layer."""
    target_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """adalora: mean rank at the end / rank; usually 0.25 to 0.75."""
    budget_warmup: _Share = 0.1
    """adalora: share of the steps before ranks begin to fall."""
    budget_final: _Share = 0.3
    """adalora: share of the steps at the end, in which they stay."""
    budget_every: Annotated[int, Field(ge=1)] = 1
    """adalora: steps from one choice of ranks to the next, usually 1 to 10."""
    importance_beta1: Annotated[float, Field(gt=0, lt=1)] = 0.85
    """adalora: decay of the running mean of each weight's importance."""
    importance_beta2: Annotated[float, Field(gt=0, lt=1)] = 0.85
    """adalora: decay of the running mean of its uncertainty."""
    orthogonality: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """adalora: weight of the loss that keeps its singular vectors orthogonal, usually 0.1 to 0.5."""

    def __post_init__(self) -> None:
        checks = (
            self._foreign_fields(),
            self._wrong_targets(),
            self._shared_base(),
            self._wrong_init(),
            self._wrong_ranks(),
        )
        problems = [problem for check in checks for problem in check]
        if problems:
            raise ConfigError(problems)

    @property
    def alpha(self) -> float:
        """alpha as PEFT and other tools know it."""
        return self.alpha_ratio * self.rank

    @property
    def target_rank(self) -> int:
        """AdaLoRA's mean rank at the end: 1 or more, and below `rank`."""
        return max(1, int(self.target_ratio * self.rank))

    @property
    def starts_from_base(self) -> bool:
        """Whether it starts from parts of the base's own weights, which the update then leaves out."""
        return isinstance(self.init, str) and self.init.startswith(("pissa", "olora"))

    def _foreign_fields(self) -> Iterator[str]:
        known = ADAPTER_KINDS[self.name].fields
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            default = each.default_factory() if callable(each.default_factory) else each.default
            if each.name not in known and value != default:
                having = ", ".join(name for name, kind in ADAPTER_KINDS.items() if each.name in kind.fields)
                yield f"adapter.{each.name} means nothing for {self.name}, got {show(value)}; it is for {having}"

    def _wrong_targets(self) -> Iterator[str]:
        if not self.targets:
            yield "adapter.targets must name at least one layer, got none"
            return
        if isinstance(self.targets, str) and self.targets not in PRESETS:
            yield from _wrong_expression("targets", self.targets, PRESETS)
            if self.layers:
                yield "adapter.layers needs a preset or a list in adapter.targets; an expression names blocks itself"
        if isinstance(self.exclude, str):
            yield from _wrong_expression("exclude", self.exclude, ())
        if self.layers_pattern is not None and not self.layers:
            yield "adapter.layers_pattern needs adapter.layers, the numbers of the blocks in that list"
        if self.targets == "all" and not ADAPTER_KINDS[self.name].wide_windows:
            yield (
                f"adapter.targets must leave convolutions out for {self.name}: PEFT's rotates what overlapping windows "
                "share, which changes the base from the start; use all-linear"
            )

    def _shared_base(self) -> Iterator[str]:
        if self.bias != "none":
            yield (
                f"adapter.bias must be none, got {self.bias}: it trains the base's own biases, and all trials share "
                "one base; adapter.lora_bias=true gives a LoRA biases of its own"
            )
        if self.modules_to_save:
            yield (
                f"adapter.modules_to_save must be empty, got {', '.join(self.modules_to_save)}: it trains whole "
                "modules of the base, which all trials share, and a LoRA's file has no place for them; adapt them by "
                "adapter.targets"
            )

    def _wrong_init(self) -> Iterator[str]:
        if self.name == "lokr":
            if self.init not in (True, "lycoris"):
                yield f"adapter.init must be true or lycoris for lokr, got {show(self.init)}"
            return
        if self.init is True:
            return
        if self.init in _REFUSED_INITS:
            yield f"adapter.init must not be {show(self.init)} here: {_REFUSED_INITS[self.init]}; leave it at true"
        elif self.init not in _INITS and not re.fullmatch(_PISSA_BY_ITERATIONS, str(self.init)):
            known = ", ".join(_INITS)
            guess = did_you_mean(self.init, _INITS)
            yield f"adapter.init must be true, {known} or pissa_niter_<number>, got {show(self.init)}{guess}"
        if self.init == "gaussian":
            return
        if self.targets == "all" or self.name == "locon":
            yield f"adapter.init={self.init} is for linear layers, and convolutions are among these; use all-linear"
        if self.dora:
            yield f"adapter.init={self.init} does not go with adapter.dora, which starts from the base's weights itself"
        if self.dropout and self.starts_from_base:
            yield f"adapter.init={self.init} needs adapter.dropout=0: what it takes from the base must not drop out"

    def _wrong_ranks(self) -> Iterator[str]:
        ranks = [self.rank, *self.rank_pattern.values(), *filter(None, [self.text_encoder_rank])]
        if self.init == "orthogonal" and any(rank % 2 for rank in ranks):
            yield f"adapter.rank must be even with adapter.init=orthogonal, got {', '.join(map(str, ranks))}"
        if self.lora_bias and self.dora:
            yield "adapter.lora_bias does not go with adapter.dora; leave one out"
        if self.lora_bias and self.init is not True:
            yield f"adapter.lora_bias needs adapter.init=true, got {show(self.init)}"
        if self.name != "adalora":
            return
        if min(ranks) < 2:
            yield "adapter.rank must be 2 or more for adalora, which takes ranks away, got 1"
        if self.budget_warmup + self.budget_final >= 1:
            yield (
                "adapter.budget_warmup and adapter.budget_final must leave steps between them, "
                f"got {self.budget_warmup:g} and {self.budget_final:g}"
            )


def _wrong_expression(name: str, value: str, presets: tuple[str, ...]) -> Iterator[str]:
    """A regular expression over whole names has something in it that no plain word has."""
    if re.fullmatch(r"[\w+-]*", value):
        known = f"one of {', '.join(presets)}, " if presets else ""
        line = f"adapter.{name} must be {known}a list of names or a regular expression as .*attn2\\.to_k, got {value!r}"
        yield line + did_you_mean(value, presets)
        return
    try:
        re.compile(value)
    except re.error as error:
        yield f"adapter.{name} is no regular expression, got {value!r}: {error}"
