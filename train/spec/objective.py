"""The training loss of a trial: the `objective` group of the configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from foundation.errors import ConfigError

LossName = Literal["mse", "huber", "smooth_l1"]
HuberSchedule = Literal["constant", "exponential", "snr"]
FlowDensity = Literal["logit_normal", "uniform"]
_Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveSpec:
    """What the denoising loss is made of while training (validation loss is always the plain one)."""

    loss: LossName = "mse"
    """What an error d costs: `mse` d²; `huber` 2c·(√(d² + c²) - c), and `smooth_l1` the same without the factor c,
    which weigh outliers less."""
    huber_c: Annotated[float, Field(gt=0, le=1)] = 0.1
    """huber, smooth_l1: the error c where the cost turns from square to straight, above 0 to 1."""
    huber_schedule: HuberSchedule = "constant"
    """huber, smooth_l1: `constant`: c is `huber_c`; `exponential`: it falls from 1 without noise to `huber_c` at pure
    noise; `snr`: as exponential, by the signal-to-noise ratio."""
    snr_gamma: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """min-SNR weighting with this gamma, usually 5; None is off. For bases that predict epsilon or v."""
    debiased: bool = False
    """Debiased estimation: timesteps weigh 1/√SNR (v: 1/(SNR + 1)); not with `snr_gamma`, nor for flows."""
    noise_offset: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of a constant added to each channel's noise, 0 to 1; 0 is off, usually 0.03 to 0.1."""
    multires_iterations: Annotated[int, Field(ge=0, le=10)] = 0
    """Multi-resolution noise: so many coarser noises are added, 0 to 10; 0 is off, usually 6 to 10."""
    multires_discount: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Multi-resolution noise: each coarser noise weighs so much of the one before, above 0 to 1."""
    input_perturbation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of extra noise that only the denoiser's input has, 0 to 1; 0 is off, usually 0.1."""
    zero_terminal_snr: bool = False
    """Train with a schedule that ends in pure noise; for bases that predict v. Draw with `rescale_betas_zero_snr` and
    `timestep_spacing="trailing"` in the scheduler then; the judge draws with the base's own."""
    flow_density: FlowDensity = "logit_normal"
    """Flows: how times are drawn, `logit_normal` (the middle most) or `uniform`."""
    flow_logit_mean: Annotated[float, Field(ge=-5, le=5)] = 0.0
    """Flows, logit_normal: mean of the logit of σ, -5 to 5; above 0 favours noise."""
    flow_logit_std: Annotated[float, Field(gt=0, le=5)] = 1.0
    """Flows, logit_normal: its standard deviation, above 0 to 5."""
    flow_shift: Annotated[float, Field(gt=0, le=100)] | None = None
    """Flows: times move towards noise by this factor, above 0 to 100, 1 is unmoved; None is as the base was made."""
    caption_dropout: _Share = 0.0
    """Share of captions replaced by the empty one, 0 to below 1."""
    shuffle_tags: bool = False
    """Put the comma-separated tags of a caption in a new order each time it comes."""
    tag_dropout: _Share = 0.0
    """Share of a caption's tags left out each time it comes, 0 to below 1; the one with `data.trigger` stays."""
    keep_tags: Annotated[int, Field(ge=0)] = 0
    """The first so many tags of a caption neither move nor drop out."""
    prior_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Weight of the loss on regularisation pictures, of which each step takes as many as pictures, where `data` has
    any; 0 leaves them out."""
    preserve_class: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Weight of differential output preservation, usually 0.1 to 1, 0 is off: with the class word in the trigger's
    place the same noisy pictures must be what the base makes of them. Needs `data.trigger` and `eval.class_word`; a
    step takes more than twice as long."""
    unmasked_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    """With `data.mask`: weight of what the mask leaves out, 0 to 1; 1 ignores the masks."""

    def num_parts(self, has_regularization: bool) -> int:
        """How many equal parts a trial's rows have: pictures, regularisation pictures, pictures as of their class."""
        return 1 + (has_regularization and self.prior_weight > 0) + (self.preserve_class > 0)

    @property
    def varies_captions(self) -> bool:
        """Whether captions differ each time they come."""
        return self.shuffle_tags or self.tag_dropout > 0

    def __post_init__(self) -> None:
        if self.snr_gamma is not None and self.debiased:
            raise ValueError(
                "objective.snr_gamma and objective.debiased both weigh timesteps by their noise, got both; "
                "set snr_gamma=null or debiased=false"
            )


def check_class(specs: Iterable[ObjectiveSpec], trigger: str, class_word: str) -> None:
    """Raise where one of them preserves a class that no caption can name.

    Raises:
        ConfigError: in one line, with what is missing.
    """
    if not any(spec.preserve_class for spec in specs):
        return
    missing = [
        name for name, words in (("data.trigger", trigger), ("eval.class_word", class_word)) if not words.strip()
    ]
    if missing:
        raise ConfigError(
            [
                f"objective.preserve_class puts the class word in the trigger's place; set {' and '.join(missing)}, "
                "or objective.preserve_class=0"
            ]
        )
