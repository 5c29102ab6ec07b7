"""The kinds of adapter, one entry each: which of PEFT's configs makes it, and what our fields are called there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

AdapterName = Literal["lora", "locon", "loha", "lokr", "ia3", "oft", "adalora"]

EVERY_KIND: Final = frozenset({"name", "targets", "exclude", "text_encoder", "bias", "modules_to_save"})
"""Fields that mean something for every kind. Those of `AdapterSpec` that an entry does not name are refused there."""
COMPUTED: Final = {"alpha": "alpha_ratio", "target_rank": "target_ratio"}
"""Properties of `AdapterSpec` that PEFT takes, and the field that stands for each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterKind:
    """One kind of adapter."""

    config: str
    """The name of its config class in PEFT."""
    arguments: Mapping[str, str]
    """Fields that it knows, or what is computed from them (`COMPUTED`), and what its config calls them."""
    also: frozenset[str] = frozenset()
    """Fields that it knows and that reach PEFT in another way."""
    always: Mapping[str, Any] = field(default_factory=dict)
    """What its config takes beside these."""
    convolutions: bool = False
    """Whether it adapts the convolutions of the denoiser's blocks beside `targets`."""
    as_lora: bool = False
    """Whether it is saved as a LoRA, which diffusers loads."""
    packed: bool = False
    """Whether its base's weights may be quantised by bitsandbytes, which packs them; by torchao they always may."""
    wide_windows: bool = True
    """Whether it can adapt convolutions whose window is wider than 1 × 1."""

    @property
    def fields(self) -> frozenset[str]:
        """All fields of `AdapterSpec` that mean something for it."""
        own = {COMPUTED.get(name, name) for name in self.arguments}
        ranked = {"text_encoder_rank"} if "rank" in own else set()
        return EVERY_KIND | own | ranked | self.also


_BLOCKS: Final = {"layers": "layers_to_transform", "layers_pattern": "layers_pattern"}
_PATTERNS: Final = {"rank_pattern": "rank_pattern", "alpha_pattern": "alpha_pattern"}
_CONVOLUTION_RANK: Final = frozenset({"conv_rank", "conv_alpha_ratio"})
_LORA: Final = {
    "rank": "r",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "init": "init_lora_weights",
    "rslora": "use_rslora",
    "dora": "use_dora",
    "lora_bias": "lora_bias",
    **_BLOCKS,
    **_PATTERNS,
}
_LYCORIS: Final = {
    "rank": "r",
    "alpha": "alpha",
    "dropout": "rank_dropout",
    "module_dropout": "module_dropout",
    "tucker": "use_effective_conv2d",
    **_BLOCKS,
    **_PATTERNS,
}

ADAPTER_KINDS: Final[Mapping[AdapterName, AdapterKind]] = {
    "lora": AdapterKind(config="LoraConfig", arguments=_LORA, also=_CONVOLUTION_RANK, as_lora=True, packed=True),
    "locon": AdapterKind(
        config="LoraConfig",
        arguments=_LORA,
        also=_CONVOLUTION_RANK,
        as_lora=True,
        packed=True,
        convolutions=True,
    ),
    "loha": AdapterKind(config="LoHaConfig", arguments=_LYCORIS, also=_CONVOLUTION_RANK),
    "lokr": AdapterKind(
        config="LoKrConfig",
        arguments={
            **_LYCORIS,
            "init": "init_weights",
            "factor": "decompose_factor",
            "decompose_both": "decompose_both",
        },
        also=_CONVOLUTION_RANK,
    ),
    "ia3": AdapterKind(
        config="IA3Config",
        arguments={},
        # As in its paper, feed-forward layers are scaled between their two halves: at the second one's input.
        always={"feedforward_modules": r".*\.(net\.2|fc2|wo)"},
    ),
    "oft": AdapterKind(
        config="OFTConfig",
        arguments={
            "block_size": "oft_block_size",
            "dropout": "module_dropout",
            "block_share": "block_share",
            **_BLOCKS,
        },
        wide_windows=False,
    ),
    "adalora": AdapterKind(
        config="AdaLoraConfig",
        arguments={
            "rank": "init_r",
            "target_rank": "target_r",
            "alpha": "lora_alpha",
            "dropout": "lora_dropout",
            "budget_every": "deltaT",
            "importance_beta1": "beta1",
            "importance_beta2": "beta2",
            "orthogonality": "orth_reg_weight",
            **_BLOCKS,
        },
        also=frozenset({"budget_warmup", "budget_final"}),
        as_lora=True,
    ),
}
