"""What makes one trial, and what all trials of a study share, as plain frozen data.

A config names things; code finds them in tables. Single fields carry their ranges in their type (`foundation.parse`
holds them to it); what two fields must be to each other is checked in `__post_init__`, where the fields live.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from foundation.errors import ConfigError

OptimizerName = Literal["adamw", "adamw8bit", "lion", "prodigy"]
LrSchedulerName = Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts"]
Precision = Literal["fp32", "bf16", "fp16"]

OPTIMIZER_MODULES: Final[Mapping[str, tuple[str, str]]] = {
    "adamw8bit": ("bitsandbytes", "bitsandbytes"),
    "lion": ("lion_pytorch", "lion-pytorch"),
    "prodigy": ("prodigyopt", "prodigyopt"),
}
"""For each optimizer that torch does not hold: the module to import, and what pip calls it."""

OPTIMIZER_SETTINGS: Final[Mapping[str, Mapping[str, type]]] = {
    "adamw": {"eps": float, "amsgrad": bool, "foreach": bool, "fused": bool},
    "adamw8bit": {"eps": float, "min_8bit_size": int, "is_paged": bool},
    "lion": {"use_triton": bool, "decoupled_weight_decay": bool},
    "prodigy": {"eps": float, "decouple": bool, "d0": float, "growth_rate": float, "slice_p": int},
}
"""What `optimizer.settings` may hold: arguments of each optimizer's constructor that have no field of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseSpec:
    """The frozen pretrained pipeline that every trial adapts."""

    name: str
    """What people call it."""
    family: Literal["stable_diffusion"] = "stable_diffusion"
    """Which code of `train/bases` runs it."""
    path: Annotated[str, Field(min_length=1)]
    """`pocket` for the embedded weights, else a diffusers folder or a hub id."""
    resolution: Annotated[int, Field(ge=16, multiple_of=8)]
    """Side of the training and sample images, pixels; a multiple of 8."""
    lr_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How much higher learning rates are here than on Stable Diffusion 1.5; `${lr:…}` in YAML multiplies by it."""
    guidance_scale: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 7.5
    """Classifier-free guidance of samples; 1 is none."""
    sample_steps: Annotated[int, Field(ge=1, le=1000)] = 30
    """Denoising steps of a sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """The pictures to learn from: a folder of the user's, or a set that the drawn world draws."""

    name: str
    """What people call it."""
    path: str | None = None
    """A folder of images with `metadata.jsonl`; None when the set is drawn."""
    validation_path: str | None = None
    """A folder of held-out images in the same format; None splits `holdout` off."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the images held out from training (at least 3 images)."""
    drawn: Literal["pencil"] | None = None
    """Which set the drawn world draws into the cache; None when there is a folder."""
    trigger: str = ""
    """The phrase in the captions that calls the learned style or subject; prompts say it as `{trigger}`."""
    caption_column: Annotated[str, Field(min_length=1)] = "text"
    """The key of the caption in `metadata.jsonl`."""
    skip_broken: bool = False
    """Go on without images that cannot be read, instead of refusing the folder."""
    num_train: Annotated[int, Field(ge=5)] = 24
    """Images of a drawn set to train on."""
    num_validation: Annotated[int, Field(ge=3)] = 8
    """Images of a drawn set held out."""

    def __post_init__(self) -> None:
        if self.path is None and self.drawn is None:
            raise ValueError("there is no folder; set data.path to a folder of images with metadata.jsonl")
        if self.path is not None and self.drawn is not None:
            raise ValueError(f"both data.path={self.path} and data.drawn={self.drawn} are set; leave one out")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterSpec:
    """The adapter that a trial trains; PEFT's `LoraConfig` gives the words their meaning."""

    name: Literal["lora"] = "lora"
    """The kind of adapter."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the update B·A, 1 to 1024."""
    alpha_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """alpha / rank: the update's scale (with rslora: alpha / √rank scales it)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    targets: Literal["attention", "attention+ff", "all"] | Annotated[tuple[str, ...], Field(min_length=1)] = "attention"
    """Which layers are adapted: attention projections, these and the feed-forward layers, all linear layers and
    convolutions of the blocks, or a list of module names."""
    init: Literal[True, "gaussian"] = True
    """How A starts (B is 0): PEFT's default or gaussian. PEFT's other ways change the base, which trials share."""
    rslora: bool = False
    """Scale by alpha / √rank instead of alpha / rank."""
    dora: bool = False
    """Learn each weight's magnitude apart from its direction (DoRA); slower, as such adapters share no product."""
    rank_pattern: dict[str, Annotated[int, Field(ge=1, le=1024)]] = field(default_factory=dict)
    """Other ranks for some layers: the end of a layer's name, or a regular expression, to its rank."""
    alpha_pattern: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = field(default_factory=dict)
    """Other alphas (not ratios) for some layers, named as in `rank_pattern`."""
    text_encoder: bool = False
    """Train the text encoder, too: its attention, and what else of `targets` it has."""
    text_encoder_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Rank in the text encoder, where that is trained; None is as `rank`."""

    @property
    def alpha(self) -> float:
        """alpha as PEFT and other tools know it."""
        return self.alpha_ratio * self.rank


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSpec:
    """The optimizer of a trial; `arguments()` is what its constructor takes."""

    name: OptimizerName = "adamw"
    """Which optimizer."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    """Learning rate; for prodigy a factor on the step size that it finds itself, near 1."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """Decoupled weight decay."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the running mean of gradients."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the running mean of squares (lion: of the momentum)."""
    beta3: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Prodigy only: decay of its step-size statistics; None is √beta2."""
    d_coef: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Prodigy only: factor on the step size that it estimates, usually .3 to 3; None is its own default."""
    safeguard_warmup: bool | None = None
    """Prodigy only: keep the warm-up's small steps out of the estimate; None is its own default."""
    use_bias_correction: bool | None = None
    """Prodigy only: Adam's bias correction; None is its own default."""
    text_encoder_lr_ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """Factor on the learning rate for the text encoder, where that is trained; with prodigy 1 (or 0)."""
    settings: dict[str, Any] = field(default_factory=dict)
    """More of the constructor's arguments, such as eps: see `OPTIMIZER_SETTINGS`."""

    def __post_init__(self) -> None:
        problems = [*self._foreign_fields(), *self._wrong_settings()]
        if self.name == "prodigy" and not 0.1 <= self.lr <= 10:
            problems.append(
                f"optimizer.lr must be between 0.1 and 10 for prodigy, which finds its own step size, got {self.lr:g}; "
                "leave it at 1, or choose among other optimizers"
            )
        if problems:
            raise ConfigError(problems)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the optimizer's constructor."""
        own = {name: value for name, value in self._prodigy_fields().items() if value is not None}
        return {
            "lr": self.lr,
            "betas": (self.beta1, self.beta2),
            "weight_decay": self.weight_decay,
            **own,
            **self.settings,
        }

    def _prodigy_fields(self) -> dict[str, float | bool | None]:
        return {
            "beta3": self.beta3,
            "d_coef": self.d_coef,
            "safeguard_warmup": self.safeguard_warmup,
            "use_bias_correction": self.use_bias_correction,
        }

    def _foreign_fields(self) -> list[str]:
        if self.name == "prodigy":
            return []
        return [
            f"optimizer.{name} is for prodigy only, got {value} with {self.name}; leave it out"
            for name, value in self._prodigy_fields().items()
            if value is not None
        ]

    def _wrong_settings(self) -> list[str]:
        allowed = OPTIMIZER_SETTINGS[self.name]
        problems = []
        for name, value in self.settings.items():
            if name not in allowed:
                known = ", ".join(sorted(allowed))
                problems.append(f"optimizer.settings.{name} is unknown to {self.name}; settings may hold {known}")
            elif type(value) not in ({int, float} if allowed[name] is float else {allowed[name]}):
                kind = {bool: "true or false", int: "a whole number", float: "a number"}[allowed[name]]
                problems.append(f"optimizer.settings.{name} must be {kind}, got {value!r}")
        return problems


@dataclass(frozen=True, kw_only=True, slots=True)
class LrSchedulerSpec:
    """How the learning rate moves over a trial's steps."""

    name: LrSchedulerName = "constant"
    """Shape of the curve after warm-up."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises from 0."""
    num_cycles: Annotated[int, Field(ge=1)] = 1
    """Cosine waves of cosine_with_restarts."""

    def __post_init__(self) -> None:
        if self.name == "constant" and self.warmup > 0:
            raise ValueError(
                f"lr_scheduler.warmup must be 0 for constant, got {self.warmup:g}; "
                "use lr_scheduler=constant_with_warmup"
            )
        if self.name != "cosine_with_restarts" and self.num_cycles != 1:
            raise ValueError(
                f"lr_scheduler.num_cycles must be 1 for {self.name}, got {self.num_cycles}; "
                "only cosine_with_restarts has several"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveSpec:
    """What the denoising loss is made of while training (validation loss is always the plain one)."""

    snr_gamma: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """min-SNR weighting with this gamma, usually 5; None is off."""
    noise_offset: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of a constant added to each channel's noise."""
    caption_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of captions replaced by the empty one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpec:
    """How long, how much at once, how exactly."""

    steps: Annotated[int, Field(ge=1)] = 200
    """Optimizer steps of a trial."""
    batch_size: Annotated[int, Field(ge=1)] = 4
    """Images per forward and backward pass."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Passes per optimizer step."""
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Largest gradient norm of one trial's adapter."""
    precision: Precision = "fp32"
    """Numbers that the base computes in; adapters and optimizers stay in fp32."""
    activation_checkpointing: bool = False
    """Compute activations twice instead of keeping them: about a third more time for much less memory."""
    compile: Literal["off", "regional"] = "off"
    """`regional`: compile the denoiser's repeated blocks for passes of a full pack; see docs/decisions/002."""
    compile_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Ranks up to this one share compiled code, a higher one compiles again; None is the largest that is searched."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seeds initialisation, data order, timesteps and noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSpec:
    """One trial: everything that a slot needs to know beside the base and the data."""

    adapter: AdapterSpec = AdapterSpec()
    """The adapter."""
    optimizer: OptimizerSpec = OptimizerSpec()
    """Its optimizer."""
    lr_scheduler: LrSchedulerSpec = LrSchedulerSpec()
    """Its learning-rate curve."""
    objective: ObjectiveSpec = ObjectiveSpec()
    """Its loss."""
    train: TrainingSpec = TrainingSpec()
    """Its steps."""

    @property
    def pack_key(self) -> str:
        """Trials of the same key can share a forward and backward pass."""
        return f"batch {self.train.batch_size}"

    @property
    def compiled_rank(self) -> int | None:
        """How wide a compiled pack is at least; None when it is not compiled."""
        if self.train.compile == "off":
            return None
        return self.train.compile_rank or self.adapter.rank

    def __post_init__(self) -> None:
        if self.optimizer.name != "prodigy":
            return
        restarts = self.lr_scheduler.name == "cosine_with_restarts"
        if restarts and not self.optimizer.safeguard_warmup:
            raise ValueError(
                "prodigy with cosine_with_restarts needs optimizer.safeguard_warmup=true: "
                "each restart's small steps would spoil its estimate of the step size"
            )
        ratio = self.optimizer.text_encoder_lr_ratio
        if self.adapter.text_encoder and ratio not in (0, 1):
            raise ValueError(
                "optimizer.text_encoder_lr_ratio must be 1 (or 0) for prodigy, which estimates one step size for all "
                f"that it trains, got {ratio:g}; set it to 1, or choose among other optimizers"
            )


def check_installed(optimizer: OptimizerSpec) -> None:
    """Raise unless the optimizer's package is installed; nothing is imported.

    Raises:
        ConfigError: with the name that pip knows.
    """
    if optimizer.name not in OPTIMIZER_MODULES:
        return
    module, package = OPTIMIZER_MODULES[optimizer.name]
    if importlib.util.find_spec(module) is None:
        problem = f"optimizer {optimizer.name} is not installed; run `pip install {package}` or choose another"
        raise ConfigError([problem])
